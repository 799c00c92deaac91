/* SPDX-License-Identifier: MIT */
#include "service/talk_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The digits at the beginning: their number, and how many they are. A number that is too large is nobody's: 0. */
static size_t take_number(const char *text, size_t n_bytes, uint64_t *ret_number)
{
    uint64_t number = 0;
    bool fits = true;
    size_t i = 0;

    for (; i < n_bytes && is_digit(text[i]); i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        fits = fits && number <= (UINT64_MAX - digit) / 10;
        number = 10 * number + digit;
    }
    *ret_number = fits ? number : 0;
    return i;
}

static size_t skip_spaces(const char *text, size_t n_bytes)
{
    size_t i = 0;

    while (i < n_bytes && text[i] == ' ')
        i++;
    return i;
}

/* "@2", alone or with a space behind it. Returns its length, 0 when it is none. */
static size_t take_address(const char *text, size_t n_bytes, uint64_t *ret_number)
{
    if (n_bytes < 2 || text[0] != '@')
        return 0;
    size_t n = take_number(text + 1, n_bytes - 1, ret_number);
    if (n == 0 || (n + 1 < n_bytes && text[n + 1] != ' '))
        return 0;
    return n + 1;
}

static const struct word {
    const char *name;
    enum talk_verb verb;
} words[] = {{"/who", TALK_WHO}, {"/kick", TALK_KICK}, {"/help", TALK_HELP}, {"/quit", TALK_QUIT}};

static void parse_command(const char *line, size_t n_bytes, struct talk_command *command)
{
    size_t n_word = 0;

    while (n_word < n_bytes && line[n_word] != ' ')
        n_word++;
    command->text = line;
    command->n_text_bytes = n_word;
    command->verb = TALK_UNKNOWN;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strlen(words[i].name) == n_word && memcmp(words[i].name, line, n_word) == 0)
            command->verb = words[i].verb;
    if (command->verb == TALK_UNKNOWN)
        return;
    const char *rest = line + n_word;
    size_t n_rest = n_bytes - n_word, n_space = skip_spaces(rest, n_rest);
    rest += n_space;
    n_rest -= n_space;
    if (command->verb != TALK_KICK) {
        command->verb = n_rest > 0 ? TALK_TAKES_NOTHING : command->verb;
        return;
    }
    size_t n_number = take_number(rest, n_rest, &command->number);
    if (n_number == 0 || n_number + skip_spaces(rest + n_number, n_rest - n_number) < n_rest)
        command->verb = TALK_NEEDS_NUMBER;
}

void talk_parse(const char *line, size_t n_bytes, struct talk_command *ret_command)
{
    struct talk_command command = {.verb = TALK_SAY, .text = line, .n_text_bytes = n_bytes};
    bool many = n_bytes > 0 && memchr(line, '\n', n_bytes) != NULL;
    size_t n_space = skip_spaces(line, n_bytes), n_address = take_address(line, n_bytes, &command.number);
    uint64_t number;

    if (n_address > 0) {
        size_t n_skip = n_address + (n_address < n_bytes);
        command.verb = TALK_SAY_TO;
        command.text = line + n_skip;
        command.n_text_bytes = n_bytes - n_skip;
    } else if (n_bytes > 0 && line[0] == '/' && !many) {
        if (n_bytes > 1 && line[1] == '/') {
            command.text++;
            command.n_text_bytes--;
        } else {
            parse_command(line, n_bytes, &command);
        }
    } else if (n_space > 0 && n_space < n_bytes &&
               (line[n_space] == '/' || take_address(line + n_space, n_bytes - n_space, &number) > 0)) {
        command.text++;
        command.n_text_bytes--;
    }
    *ret_command = command;
}

void talk_number(uint64_t number, char *ret_text)
{
    char digits[TALK_NUMBER];
    int n = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    size_t at = 0;

    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            ret_text[at++] = ',';
        ret_text[at++] = digits[i];
    }
    ret_text[at] = '\0';
}

enum talk_reading talk_look(struct talk_reader *reader, size_t n_waiting, uint64_t n_sent, int64_t now_ns)
{
    bool moved = n_waiting == 0 || n_sent != reader->n_sent || !reader->waits;

    if (moved) {
        bool again = reader->told;
        *reader = (struct talk_reader){.n_sent = n_sent, .since_ns = now_ns, .waits = n_waiting > 0};
        return again ? TALK_READS_AGAIN : TALK_READS;
    }
    if (now_ns - reader->since_ns >= TALK_DROP_NS)
        return TALK_GIVEN_UP;
    if (now_ns - reader->since_ns >= TALK_TELL_NS && !reader->told) {
        reader->told = true;
        return TALK_STALLS;
    }
    return TALK_READS;
}
