/* SPDX-License-Identifier: MIT */
#include "cli/connect/edit.h"

#include "cli/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- what is typed --------------------------------------------------------------------------------------------------
 */

static ssize_t read_typed(void *user, bool draining, void *ret_bytes, size_t size_bytes, struct input_wait *ret_wait)
{
    struct edit *edit = user;
    size_t n_bytes = edit->end - edit->begin;

    (void)draining;
    ret_wait->due_ns = INT64_MAX;
    if (n_bytes == 0)
        return edit->ended ? 0 : -EAGAIN;
    if (n_bytes > size_bytes)
        n_bytes = size_bytes;
    memcpy(ret_bytes, edit->text + edit->begin, n_bytes);
    edit->begin += n_bytes;
    if (edit->begin < edit->end || edit->ended) /* the end is due as well */
        ret_wait->due_ns = 0;
    return (ssize_t)n_bytes;
}

const struct input_source edit_source = {.read = read_typed};

static bool make_room(struct edit *edit, size_t n_bytes)
{
    if (edit->begin < edit->end)
        memmove(edit->text, edit->text + edit->begin, edit->end - edit->begin);
    edit->end -= edit->begin;
    edit->begin = 0;
    if (edit->room - edit->end >= n_bytes)
        return true;
    if (edit->end + n_bytes > EDIT_QUEUE_BYTES)
        return false;
    char *larger = realloc(edit->text, edit->end + n_bytes);
    if (larger == NULL)
        return false;
    edit->text = larger;
    edit->room = edit->end + n_bytes;
    return true;
}

static void on_line(const char *text, size_t n_bytes, void *user)
{
    struct edit *edit = user;

    /* It stands on the screen now, with the answer behind it. */
    edit->n_tail = 0;
    typing_set_text(edit->typing, "");
    if (!make_room(edit, n_bytes + 1)) {
        say(_("the peer takes nothing, and too much waits for it: this line is not sent."));
        return;
    }
    memcpy(edit->text + edit->end, text, n_bytes);
    edit->text[edit->end + n_bytes] = '\n';
    edit->end += n_bytes + 1;
    input_wake(edit->input);
}

/* From here on what comes is printed as it comes, and the line that has not ended is the beginning of it. */
static void stop_editing(struct edit *edit)
{
    typing_close(edit->typing);
    edit->typing = NULL;
    output_write(edit->out, edit->tail, edit->n_tail);
    edit->n_tail = 0;
}

static void on_end(void *user)
{
    struct edit *edit = user;

    edit->ended = true;
    stop_editing(edit);
    input_wake(edit->input);
}

static bool may_show(void *user)
{
    const struct edit *edit = user;

    return !output_is_stuck(edit->out);
}

static const struct typing_handler typing_handler = {.line = on_line, .end = on_end, .may_show = may_show};

/* --- what comes --------------------------------------------------------------------------------------------------- */

/* Whole lines, which begin with what was there already. */
static void put_lines(struct edit *edit, const char *text, size_t n_bytes)
{
    typing_make_room(STDOUT_FILENO);
    output_write(edit->out, edit->tail, edit->n_tail);
    output_write(edit->out, text, n_bytes);
    edit->n_tail = 0;
}

void edit_put(struct edit *edit, const char *text, size_t n_bytes)
{
    static const char mark[] = "\u2026\n";
    const char *newline = memrchr(text, '\n', n_bytes);
    size_t n_lines = newline != NULL ? (size_t)(newline - text) + 1 : 0;

    if (edit->typing == NULL) {
        output_write(edit->out, text, n_bytes);
        return;
    }
    if (n_lines > 0)
        put_lines(edit, text, n_lines);
    text += n_lines;
    n_bytes -= n_lines;
    if (edit->n_tail + n_bytes >= EDIT_TAIL_BYTES) {
        put_lines(edit, text, n_bytes);
        output_write(edit->out, mark, sizeof(mark) - 1);
        n_bytes = 0;
    }
    memcpy(edit->tail + edit->n_tail, text, n_bytes);
    edit->n_tail += n_bytes;
    edit->tail[edit->n_tail] = '\0';
    typing_set_text(edit->typing, edit->tail);
}

void edit_end_line(struct edit *edit)
{
    if (edit->typing == NULL || edit->n_tail == 0)
        return;
    put_lines(edit, "\n", 1);
    typing_set_text(edit->typing, "");
}

/* --- its life ----------------------------------------------------------------------------------------------------- */

bool edit_open(struct edit *edit, struct sonde_loop *loop, struct input *input, struct output *out)
{
    *edit = (struct edit){.input = input, .out = out};
    return isatty(STDOUT_FILENO) == 1 && typing_open(loop, true, &typing_handler, edit, &edit->typing) == 0;
}

void edit_close(struct edit *edit)
{
    if (edit->typing != NULL) {
        stop_editing(edit);
        edit->ended = true;
    }
    free(edit->text);
    edit->text = NULL;
    edit->begin = edit->end = edit->room = 0;
}
