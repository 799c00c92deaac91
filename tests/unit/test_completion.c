/* SPDX-License-Identifier: MIT */
/* Completion scripts of verbs that nobody has, with texts that no shell likes, read by the shells themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/completion_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NASTY "it's \"so\": $(touch x) `touch x` [a] {b} \\ $HOME !! % * ~ | & ; > \\n \303\244"

static const char *const odd_choices[] = {"a:b", "it's", "two words", "$HOME", "`x`", "(c)", NULL};

static const struct option_row rows[] = {
    {.letter = 'f', .name = "flag", .kind = OPTION_FLAG, .help = NASTY},
    {.letter = 'v', .name = "value", .value = "A:B [C]", .kind = OPTION_TEXT, .help = "x"},
    {.name = "file", .value = "FILE", .kind = OPTION_TEXT, .help = "]"},
    {.name = "list", .value = "X", .kind = OPTION_LIST, .help = "["},
    {.name = "choice", .kind = OPTION_CHOICE, .help = "\\", .choices = odd_choices},
    {.name = "maybe", .value = "[N]", .kind = OPTION_COUNT, .help = "'"},
    {.name = "no", .kind = OPTION_REFUSED, .help = "never"},
    {.kind = OPTION_FLAG},
};

static const struct verb odd_verb = {.name = "odd", .summary = NASTY, .usage = "[OPTION...]", .options = rows};
static const struct verb *const odd_verbs[] = {&odd_verb, NULL};

/* Write the script, let the shell run it with this after it, and give what that prints; NULL when the shell is not
 * here. */
static char *run_shell(const char *shell, void (*write)(const struct verb *const *list, FILE *out), const char *after)
{
    static char output[16384];
    char path[] = "/tmp/test-completion-XXXXXX", command[256];

    snprintf(command, sizeof command, "command -v %s >/dev/null", shell);
    if (system(command) != 0)
        return NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    fputs("compdef() { : ; }\n", file);
    write(odd_verbs, file);
    fputs(after, file);
    assert_int_equal(fclose(file), 0);
    snprintf(command, sizeof command, "cd / && %s %s %s 2>&1", shell, strcmp(shell, "zsh") == 0 ? "-f" : "--norc",
             path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n = fread(output, 1, sizeof output - 1, pipe);
    output[n] = '\0';
    int status = pclose(pipe);
    unlink(path);
    if (status != 0)
        fail_msg("%s: %s", shell, output);
    return output;
}

static void test_zsh_is_given_each_text_as_it_is(void **state)
{
    (void)state;
    char *output = run_shell("zsh", completion_zsh,
                             "_arguments() { shift 2; print -rl -- \"$@\" }\ncompdef() { : }\n_sonde_odd\n");
    if (output == NULL)
        skip();
    /* A backslash before brackets, and before itself, belongs to the specification. */
    assert_string_equal(output,
                        "(- *)-h[a short help (-h), or all of it (--help)]\n"
                        "(- *)--help[a short help (-h), or all of it (--help)]\n"
                        "(-f --flag)-f[it's \"so\": $(touch x) `touch x` \\[a\\] {b} \\\\ $HOME !! % * ~ | & ; > "
                        "\\\\n \303\244]\n"
                        "(-f --flag)--flag[it's \"so\": $(touch x) `touch x` \\[a\\] {b} \\\\ $HOME !! % * ~ | & "
                        "; > \\\\n \303\244]\n"
                        "(-v --value)-v+[x]:A\\:B [C]:\n"
                        "(-v --value)--value=[x]:A\\:B [C]:\n"
                        "(--file)--file=[\\]]:FILE:_files\n"
                        "*--list=[\\[]:X:\n"
                        "(--choice)--choice=[\\\\]:value: _sonde_words 'a\\:b' 'it'\\''s' 'two words' '$HOME' "
                        "'`x`' '(c)'\n"
                        "(--maybe)--maybe=-[']::N:\n"
                        "*: : \n");
}

static void test_bash_is_given_each_word_as_it_is(void **state)
{
    (void)state;
    char *output = run_shell("bash", completion_bash,
                             "_sonde_value odd --choice; printf '<%s>' \"${values[@]}\"; echo\n"
                             "_sonde_options odd; printf '<%s>' \"${words[@]}\"; echo\n"
                             "_sonde_value odd --maybe && echo $tied\n"
                             "_sonde_value odd -v && echo $tied\n"
                             "_sonde_value odd --file && echo $what\n"
                             "_sonde_value odd --flag || echo none\n"
                             "_sonde_value odd --no || echo none\n");
    if (output == NULL)
        skip();
    assert_string_equal(output, "<a:b><it's><two words><$HOME><`x`><(c)>\n"
                                "<-h><--help><-f><--flag><-v><--value><--file><--list><--choice><--maybe>\n"
                                "1\n0\nfile\nnone\nnone\n");
}

/* The words that the name of a value holds. */
static void test_words_of_a_value(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *words[5];
    } cases[] = {
        {"wait|close|after:SECS|ignore", {"wait", "close", "after:", "ignore"}},
        {"SECS", {NULL}},
        {"[N]", {NULL}},
        {"[red|green]", {"red", "green"}},
        {"CIDR[,CIDR...]", {NULL}},
        {"socks5://HOST|http://HOST", {"socks5://", "http://"}},
        {"tcp|x N|unix", {"tcp", "unix"}},
        {"", {NULL}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const struct option_row row = {.name = "x", .value = cases[c].value, .kind = OPTION_TEXT};
        char word[COMPLETION_WORD_MAX];
        unsigned i = 0;
        for (; cases[c].words[i]; i++) {
            assert_true(completion_word(&row, i, word));
            assert_string_equal(word, cases[c].words[i]);
        }
        assert_false(completion_word(&row, i, word));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zsh_is_given_each_text_as_it_is),
        cmocka_unit_test(test_bash_is_given_each_word_as_it_is),
        cmocka_unit_test(test_words_of_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
