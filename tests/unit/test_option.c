/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/help.h"
#include "cli/near.h"
#include "cli/option.h"
#include "cli/say.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECOND 1000000000ll
#define SAID_MAX 16384
#define DONE (EXIT_DONE + 1)
#define MISUSE (EXIT_MISUSE + 1)

struct settings {
    bool quiet, brief;
    long long count, size, wait, retry;
    const char *file, *page;
    int engine, mode;
};

/* What nothing else in a command line begins with. */
static bool is_page(const char *word)
{
    return strncmp(word, "page:", 5) == 0;
}

static const char *const engines[] = {"auto", "uring", "epoll", NULL};
static const char *const modes[] = {"off", "on", "both", NULL};

#define MEMBER(name) .member = offsetof(struct settings, name)

static const struct option_row rows[] = {
    {'q', "quiet", NULL, OPTION_FLAG, MEMBER(quiet), "say less", .brief = true},
    {'b', NULL, NULL, OPTION_FLAG, MEMBER(brief), "letter only"},
    {0, "threads", "N", OPTION_COUNT, MEMBER(count), "how many threads", .minimum = 1, .maximum = 256},
    {'s', "size", "BYTES", OPTION_SIZE, MEMBER(size), "how much"},
    {'w', "wait", "SECS", OPTION_DURATION, MEMBER(wait), "how long", .minimum = -SECOND, .maximum = 60 * SECOND},
    {'r', "retry", "[N]", OPTION_COUNT, MEMBER(retry), "again", .without = -1},
    {'f', "file", "F", OPTION_TEXT, MEMBER(file), "from a file"},
    {0, "engine", NULL, OPTION_CHOICE, MEMBER(engine), "which engine", engines},
    {0, "mode", "[MODE]", OPTION_CHOICE, MEMBER(mode), "which mode", modes, .without = 2},
    {'p', "page", "[URL]", OPTION_TEXT, MEMBER(page), "a page", .takes_word = is_page},
    {'u', NULL, NULL, OPTION_REFUSED, 0, "-u is UDP, and not here."},
    {'e', "exec", NULL, OPTION_REFUSED, 0, "--exec is coming."},
    {0, NULL, NULL, OPTION_FLAG},
};

static const struct example examples[] = {
    {"sonde test", "an example that comes first"},
    {NULL, NULL},
};

static const struct verb verb = {
    .name = "test",
    .summary = "A verb for tests.",
    .usage = "[OPTION...] THING",
    .options = rows,
    .examples = examples,
    .more = "A paragraph that is long enough to be wrapped at eighty columns, as everybody can see who looks at it.\n"
            "\n"
            "  as   it   is\n",
};

/* What was written to a descriptor while `action` ran. */
struct capture {
    int fd, saved, file;
};

static void capture_begin(struct capture *capture, int fd)
{
    fflush(stdout);
    capture->fd = fd;
    capture->saved = dup(fd);
    capture->file = memfd_create("said", MFD_CLOEXEC);
    assert_true(capture->saved >= 0 && capture->file >= 0);
    assert_int_equal(dup2(capture->file, fd), fd);
}

static void capture_end(struct capture *capture, char *ret_text)
{
    fflush(stdout);
    assert_int_equal(dup2(capture->saved, capture->fd), capture->fd);
    ssize_t n = pread(capture->file, ret_text, SAID_MAX - 1, 0);
    assert_true(n >= 0);
    ret_text[n] = '\0';
    close(capture->saved);
    close(capture->file);
}

static struct settings settings;
static char said[SAID_MAX];
static char *arguments[32];
static int n_operands;

/* Parse the words of a command line, separated by blanks. */
static int parse(const char *command)
{
    static char words[512];
    int argc = 0;
    snprintf(words, sizeof words, "test %s", command);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        arguments[argc++] = word;
    arguments[argc] = NULL;
    settings = (struct settings){.engine = -1};
    n_operands = -1;
    struct capture capture;
    capture_begin(&capture, STDERR_FILENO);
    int status = option_parse(&verb, &settings, argc, arguments, &n_operands);
    capture_end(&capture, said);
    return status;
}

static void check_misuse(const char *command, const char *sentence)
{
    assert_int_equal(parse(command), MISUSE);
    assert_string_equal(said, sentence);
}

static void flags_and_values(void **state)
{
    (void)state;
    assert_int_equal(parse("-q -s 64k --threads 3 --wait=500ms --file - --engine epoll"), 0);
    assert_true(settings.quiet);
    assert_false(settings.brief);
    assert_int_equal(settings.size, 65536);
    assert_int_equal(settings.count, 3);
    assert_int_equal(settings.wait, SECOND / 2);
    assert_string_equal(settings.file, "-");
    assert_int_equal(settings.engine, 2);
    assert_int_equal(n_operands, 0);
    assert_string_equal(said, "");
    assert_int_equal(parse("-qbs4 -w -1 -fname"), 0);
    assert_true(settings.quiet && settings.brief);
    assert_int_equal(settings.size, 4);
    assert_int_equal(settings.wait, -SECOND);
    assert_string_equal(settings.file, "name");
}

static void optional_values(void **state)
{
    (void)state;
    assert_int_equal(parse("--retry 5"), 0);
    assert_int_equal(settings.retry, -1);
    assert_int_equal(n_operands, 1);
    assert_string_equal(arguments[1], "5");
    assert_int_equal(parse("--retry=5"), 0);
    assert_int_equal(settings.retry, 5);
    assert_int_equal(parse("-r7"), 0);
    assert_int_equal(settings.retry, 7);
    assert_int_equal(parse("-r"), 0);
    assert_int_equal(settings.retry, -1);
    assert_int_equal(parse("--mode"), 0);
    assert_int_equal(settings.mode, 2);
    assert_int_equal(parse("--mode=on"), 0);
    assert_int_equal(settings.mode, 1);
}

/* An optional value that can be nothing else may stand apart. */
static void optional_words(void **state)
{
    (void)state;
    assert_int_equal(parse("a --page page:1 b"), 0);
    assert_string_equal(settings.page, "page:1");
    assert_int_equal(n_operands, 2);
    assert_string_equal(arguments[1], "a");
    assert_string_equal(arguments[2], "b");
    assert_int_equal(parse("--page a"), 0);
    assert_string_equal(settings.page, "");
    assert_int_equal(n_operands, 1);
    assert_int_equal(parse("--page=x page:1"), 0);
    assert_string_equal(settings.page, "x");
    assert_string_equal(arguments[1], "page:1");
    assert_int_equal(parse("-p page:1 -q"), 0);
    assert_string_equal(settings.page, "page:1");
    assert_true(settings.quiet);
    assert_int_equal(parse("-qp page:1"), 0);
    assert_string_equal(settings.page, "page:1");
    assert_int_equal(parse("--page -- page:1"), 0);
    assert_string_equal(settings.page, "");
    assert_int_equal(n_operands, 1);
    assert_int_equal(parse("--page"), 0);
    assert_string_equal(settings.page, "");
    assert_int_equal(parse("--page --quiet"), 0);
    assert_string_equal(settings.page, "");
    assert_true(settings.quiet);
}

static void operands(void **state)
{
    (void)state;
    assert_int_equal(parse("one -q two --threads 2 - three -- -b --quiet"), 0);
    assert_int_equal(n_operands, 6);
    static const char *const expected[] = {"one", "two", "-", "three", "-b", "--quiet"};
    for (int i = 0; i < n_operands; i++)
        assert_string_equal(arguments[1 + i], expected[i]);
    assert_true(settings.quiet);
    assert_false(settings.brief);
    assert_int_equal(settings.count, 2);
}

static void posixly_correct_changes_nothing(void **state)
{
    (void)state;
    setenv("POSIXLY_CORRECT", "1", 1);
    assert_int_equal(parse("one -q"), 0);
    unsetenv("POSIXLY_CORRECT");
    assert_int_equal(n_operands, 1);
    assert_true(settings.quiet);
}

static void unknown_options(void **state)
{
    (void)state;
    check_misuse("--quite", "sonde: test has no option --quite. Did you mean --quiet?\n");
    check_misuse("--thread=3 --frob=1",
                 "sonde: test has no option --frob. \"sonde test --help\" lists those it has.\n");
    check_misuse("--sise=4", "sonde: test has no option --sise. Did you mean --size?\n");
    check_misuse("-Z", "sonde: test has no option -Z. \"sonde test --help\" lists those it has.\n");
    check_misuse("-qZ", "sonde: test has no option -Z. \"sonde test --help\" lists those it has.\n");
    check_misuse("-\x1b", "sonde: test has no option -\\x1b. \"sonde test --help\" lists those it has.\n");
    check_misuse("--\x1b[2J", "sonde: test has no option --\\x1b[2J. \"sonde test --help\" lists those it has.\n");
}

static void values_missing_or_too_many(void **state)
{
    (void)state;
    check_misuse("--threads", "sonde: --threads needs a value: --threads N\n");
    check_misuse("-s", "sonde: -s needs a value: -s BYTES\n");
    check_misuse("--engine", "sonde: --engine needs a value: --engine auto|uring|epoll\n");
    check_misuse("--quiet=1", "sonde: --quiet takes no value.\n");
    check_misuse("--help=1", "sonde: --help takes no value.\n");
}

static void bad_values(void **state)
{
    (void)state;
    check_misuse("--threads many", "sonde: --threads takes a number, such as 20 or 10k, and not \"many\".\n");
    check_misuse("-s 4x", "sonde: -s takes a number of bytes, such as 4096 or 64k, and not \"4x\".\n");
    check_misuse("-w soon", "sonde: -w takes seconds, or a time with its unit, such as 0.5, 500ms or 2m, and not "
                            "\"soon\".\n");
    check_misuse("--engine fast", "sonde: --engine takes one of these: auto, uring, epoll; and not \"fast\".\n");
    check_misuse("--engine \x1b[2J", "sonde: --engine takes one of these: auto, uring, epoll; and not \"\\x1b[2J\".\n");
}

static void values_out_of_range(void **state)
{
    (void)state;
    check_misuse("--threads 0", "sonde: --threads must be from 1 to 256; 0 is not.\n");
    check_misuse("--threads 257", "sonde: --threads must be from 1 to 256; 257 is not.\n");
    check_misuse("-w 61", "sonde: -w must be from -1s to 1m; 61 is not.\n");
    check_misuse("-w -2", "sonde: -w must be from -1s to 1m; -2 is not.\n");
    check_misuse("--size=-1", "sonde: --size must be at least 0; -1 is not.\n");
    check_misuse("--retry=-1", "sonde: --retry must be at least 0; -1 is not.\n");
}

static void refused_options(void **state)
{
    (void)state;
    check_misuse("-u", "sonde: -u is UDP, and not here.\n");
    check_misuse("-qu", "sonde: -u is UDP, and not here.\n");
    check_misuse("-e", "sonde: --exec is coming.\n");
    check_misuse("--exec=sh", "sonde: --exec is coming.\n");
    check_misuse("--exec sh", "sonde: --exec is coming.\n");
}

static int parse_for_help(const char *command, char *ret_shown)
{
    struct capture capture;
    capture_begin(&capture, STDOUT_FILENO);
    int status = parse(command);
    capture_end(&capture, ret_shown);
    return status;
}

static void help(void **state)
{
    (void)state;
    static char shown[SAID_MAX];
    assert_int_equal(parse_for_help("-h", shown), DONE);
    assert_non_null(strstr(shown, "Usage: sonde test [OPTION...] THING\nA verb for tests.\n"));
    assert_non_null(strstr(shown, "  -q, --quiet                 say less\n"));
    assert_null(strstr(shown, "--threads"));
    assert_non_null(strstr(shown, "All options: sonde test --help\n"));

    assert_int_equal(parse_for_help("--help", shown), DONE);
    assert_non_null(strstr(shown, "  -q, --quiet                 say less\n"));
    assert_non_null(strstr(shown, "  -b                          letter only\n"));
    assert_non_null(strstr(shown, "      --threads N             how many threads\n"));
    assert_non_null(strstr(shown, "  -r, --retry[=N]             again\n"));
    assert_non_null(strstr(shown, "      --engine auto|uring|epoll\n                              which engine\n"));
    assert_non_null(strstr(shown, "  -h, --help "));
    assert_non_null(strstr(shown, "  -e, --exec                  --exec is coming.\n"));
    assert_non_null(strstr(shown, "\n  as   it   is\n"));
    assert_non_null(strstr(shown, "as everybody\ncan see who looks at it.\n"));
    /* Examples first. */
    assert_true(strstr(shown, "an example that comes first") < strstr(shown, "--quiet"));
    for (const char *line = shown; *line; line += strcspn(line, "\n") + 1) {
        assert_true(strcspn(line, "\n") <= 80);
        assert_true(line == shown || line[-2] != ' ');
    }
}

static void narrow_help(void **state)
{
    (void)state;
    static char shown[SAID_MAX];
    setenv("COLUMNS", "40", 1);
    assert_int_equal(parse_for_help("--help", shown), DONE);
    setenv("COLUMNS", "80", 1);
    assert_non_null(strstr(shown, "  -q, --quiet\n        say less\n"));
}

static const struct {
    const char *text;
    long long ns;
} good_durations[] = {
    {"5", 5 * SECOND},
    {"0.5", SECOND / 2},
    {".5", SECOND / 2},
    {"5.", 5 * SECOND},
    {"0", 0},
    {"007s", 7 * SECOND},
    {"500ms", SECOND / 2},
    {"2S", 2 * SECOND},
    {"1m", 60 * SECOND},
    {"1.5h", 5400 * SECOND},
    {"1d", 86400 * SECOND},
    {"3us", 3000},
    {"1ns", 1},
    {"0.000000001", 1},
    {"1.0000000000", SECOND},
    {"-1", -SECOND},
    {"-0.5", -SECOND / 2},
    {"9223372036854775807ns", LLONG_MAX},
};

static void durations(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "-",
        ".",
        "s",
        "5x",
        "5 s",
        " 5",
        "+5",
        "1e3",
        "0x5",
        "5,5",
        "--5",
        "0.0000000001",
        "1.5ns",
        "9223372036854775808ns",
        "9223372037s",
        "99999999999999999999",
        "5s5",
        "\xc2\xb5s",
    };
    for (size_t i = 0; i < sizeof good_durations / sizeof good_durations[0]; i++) {
        long long ns = 4711;
        assert_true(option_parse_duration(good_durations[i].text, &ns));
        assert_int_equal(ns, good_durations[i].ns);
        char text[32];
        size_t n = option_format_duration(ns, text, sizeof text);
        assert_int_equal(n, strlen(text));
        assert_true(option_parse_duration(text, &ns));
        assert_int_equal(ns, good_durations[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        long long ns = 4711;
        assert_false(option_parse_duration(bad[i], &ns));
        assert_int_equal(ns, 4711);
    }
    char text[32];
    option_format_duration(90 * SECOND, text, sizeof text);
    assert_string_equal(text, "90s");
    option_format_duration(0, text, sizeof text);
    assert_string_equal(text, "0s");
}

static void counts_and_sizes(void **state)
{
    (void)state;
    long long number = 4711;
    assert_true(option_parse_count("10k", &number) && number == 10000);
    assert_true(option_parse_count("1.5M", &number) && number == 1500000);
    assert_true(option_parse_count("2g", &number) && number == 2000000000);
    assert_true(option_parse_size("64K", &number) && number == 65536);
    assert_true(option_parse_size("1G", &number) && number == 1 << 30);
    assert_true(option_parse_size("7", &number) && number == 7);
    number = 4711;
    assert_false(option_parse_count("1.5", &number));
    assert_false(option_parse_count("9223372036854775807k", &number));
    assert_false(option_parse_size("8388608T", &number));
    assert_false(option_parse_size("1kb", &number));
    assert_int_equal(number, 4711);
}

static const char *nearest(const char *word)
{
    struct near near;
    near_begin(&near, word);
    near_try(&near, "serve");
    near_try(&near, NULL);
    near_try(&near, "connect");
    near_try(&near, "version");
    return near.best;
}

static void near_words(void **state)
{
    (void)state;
    assert_string_equal(nearest("srve"), "serve");
    assert_string_equal(nearest("sevre"), "serve");
    assert_string_equal(nearest("server"), "serve");
    assert_string_equal(nearest("conn"), "connect");
    assert_string_equal(nearest("conect"), "connect");
    assert_string_equal(nearest("verison"), "version");
    assert_null(nearest("listen"));
    assert_null(nearest("x"));
    assert_null(nearest(""));
    assert_null(nearest("a word that is much longer than any option of any verb"));
}

static int set_up(void **state)
{
    (void)state;
    setenv("COLUMNS", "80", 1);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_and_values),
        cmocka_unit_test(optional_values),
        cmocka_unit_test(optional_words),
        cmocka_unit_test(operands),
        cmocka_unit_test(posixly_correct_changes_nothing),
        cmocka_unit_test(unknown_options),
        cmocka_unit_test(values_missing_or_too_many),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(values_out_of_range),
        cmocka_unit_test(refused_options),
        cmocka_unit_test(help),
        cmocka_unit_test(narrow_help),
        cmocka_unit_test(durations),
        cmocka_unit_test(counts_and_sizes),
        cmocka_unit_test(near_words),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
