/* SPDX-License-Identifier: MIT */
#include "cli/connect/input.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static void on_ready(struct sonde_poll *poll, unsigned events, void *user);
static void on_timer(struct sonde_timer *timer);

static const struct sonde_poll_handler poll_handler = {.ready = on_ready};

static ssize_t read_stdin(void *user, bool draining, void *ret_bytes, size_t size_bytes, struct input_wait *ret_wait)
{
    struct pollfd pollfd = {.fd = STDIN_FILENO, .events = POLLIN};

    (void)user, (void)draining;
    ret_wait->fd = STDIN_FILENO;
    if (poll(&pollfd, 1, 0) <= 0)
        return -EAGAIN;
    ssize_t n_bytes = read(STDIN_FILENO, ret_bytes, size_bytes);
    if (n_bytes >= 0)
        return n_bytes;
    /* EIO is what a terminal that was hung up says. */
    return errno == EINTR ? -EAGAIN : errno == EIO && isatty(STDIN_FILENO) ? 0 : -errno;
}

const struct input_source input_stdin = {.read = read_stdin};

/* Errors: those of sonde_poll_create. */
static int watch(struct input *input, int fd)
{
    if (input->poll != NULL && input->poll_fd == fd)
        return 0;
    if (input->poll != NULL)
        sonde_poll_close(input->poll);
    input->poll = NULL;
    input->reading = false;
    input->poll_fd = fd;
    return sonde_poll_create(input->loop, fd, &poll_handler, input, &input->poll);
}

int input_open(struct input *input, struct sonde_loop *loop, const struct input_source *source, void *source_user,
               const struct input_options *options, const struct input_handler *handler, void *user)
{
    *input = (struct input){
        .loop = loop,
        .source = source,
        .source_user = source_user,
        .options = *options,
        .handler = handler,
        .user = user,
        .open = true,
        .wait = {.fd = source == &input_stdin ? STDIN_FILENO : -1},
    };
    sonde_timer_init(&input->timer, loop, on_timer, input);

    input->text = malloc(INPUT_CHUNK);
    input->converted = options->crlf ? malloc(2 * INPUT_CHUNK) : NULL;
    int error = input->text == NULL || (options->crlf && input->converted == NULL) ? -ENOMEM : 0;
    if (error == 0 && input->wait.fd >= 0)
        error = watch(input, input->wait.fd);
    if (error < 0)
        input_close(input);
    return error;
}

void input_close(struct input *input)
{
    if (input->loop == NULL)
        return;
    sonde_timer_stop(&input->timer);
    if (input->poll != NULL)
        sonde_poll_close(input->poll);
    free(input->text);
    free(input->converted);
    input->poll = NULL;
    input->open = false;
    input->text = input->converted = NULL;
    input->begin = input->end = 0;
    input->wish = INPUT_NOTHING;
}

bool input_is_delayed(const struct input *input)
{
    const struct input_wait *wait = &input->wait;
    bool waits = input->begin == input->end && !input->ended && wait->fd < 0 && wait->due_ns != INT64_MAX;

    return input->delayed || (waits && wait->due_ns > sonde_loop_now_ns(input->loop));
}

static void read_once(struct input *input)
{
    input->wait = (struct input_wait){.fd = -1, .due_ns = 0};
    size_t most = input->options.most_bytes, room = most > 0 && most < INPUT_CHUNK ? most : INPUT_CHUNK;
    ssize_t n_bytes = input->source->read(input->source_user, input->draining, input->text, room, &input->wait);

    if (n_bytes > 0) {
        input->begin = 0;
        input->end = (size_t)n_bytes;
    } else if (n_bytes != -EAGAIN) {
        input->ended = true;
        input->error = (int)n_bytes;
    }
}

static void line_was_given(struct input *input)
{
    if (input->options.line_delay_ns > 0 && !input->draining) {
        input->delayed = true;
        input->due_ns = sonde_loop_now_ns(input->loop) + input->options.line_delay_ns;
    }
    if (input->options.each_line) {
        input->in_line = false;
        input->wish = INPUT_NOTHING;
        input->handler->line_end(input->user);
    }
}

static void give_piece(struct input *input)
{
    const char *data = input->text + input->begin;
    size_t n_bytes = input->end - input->begin;
    bool whole = false;

    if (input->options.each_line || input->options.line_delay_ns > 0)
        n_bytes = line_length(data, n_bytes, &whole);
    input->begin += n_bytes;
    input->in_line = true;
    if (input->options.crlf) {
        n_bytes = crlf_convert(&input->crlf, data, n_bytes, input->converted);
        data = input->converted;
    }
    input->handler->bytes(data, n_bytes, input->user);
    if (whole && input->open)
        line_was_given(input);
}

static void tell_end(struct input *input)
{
    /* The last line may lack its newline: it is a line nevertheless. */
    if (input->options.each_line && input->in_line && !input->draining) {
        line_was_given(input);
        return;
    }
    input->told = true;
    input->wish = INPUT_NOTHING;
    input->handler->end(input->error, input->user);
}

/* Hand out what is there, as long as it is wished for. */
static void give(struct input *input)
{
    bool may_read = true;

    input->giving = true;
    while (input->open && input->wish != INPUT_NOTHING && !input->told) {
        bool has_bytes = input->begin < input->end;

        if (!has_bytes && !input->ended) {
            if (!may_read)
                break;
            may_read = false;
            read_once(input);
            if (input->begin == input->end && !input->ended) {
                if (input->draining)
                    tell_end(input);
                break;
            }
        } else if (has_bytes && input->delayed) {
            break;
        } else if (input->wish == INPUT_LOOK) {
            input->wish = INPUT_NOTHING;
            input->handler->looked(has_bytes, input->user);
        } else if (has_bytes) {
            give_piece(input);
        } else {
            tell_end(input);
        }
    }
    input->giving = false;
}

/* Wait for whatever is needed next. */
static int regulate(struct input *input)
{
    if (!input->open || input->giving)
        return 0;
    bool wished = input->wish != INPUT_NOTHING && !input->told;
    bool has_bytes = input->begin < input->end;
    bool waits = wished && !has_bytes && !input->ended && !input->draining;
    bool reads = waits && input->wait.fd >= 0;

    if (waits && !reads && input->wait.due_ns == INT64_MAX)
        sonde_timer_stop(&input->timer);
    else if (waits && !reads && input->wait.due_ns > 0)
        sonde_timer_start(&input->timer, input->wait.due_ns);
    else if (wished && !reads && has_bytes && input->delayed)
        sonde_timer_start(&input->timer, input->due_ns);
    else if (wished && !reads)
        sonde_timer_start_in(&input->timer, 0);
    else
        sonde_timer_stop(&input->timer);

    int error = reads ? watch(input, input->wait.fd) : 0;
    if (error < 0 || reads == input->reading)
        return error;
    error = sonde_poll_start(input->poll, reads ? SONDE_READABLE : 0);
    input->reading = error == 0 && reads;
    return error;
}

static void go_on(struct input *input)
{
    give(input);
    int error = regulate(input);
    if (error < 0) {
        input->ended = true;
        input->error = error;
        sonde_timer_start_in(&input->timer, 0);
    }
}

static void on_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct input *input = user;

    (void)poll, (void)events;
    input->reading = false;
    go_on(input);
}

static void on_timer(struct sonde_timer *timer)
{
    struct input *input = timer->user;

    if (input->delayed && sonde_loop_now_ns(input->loop) >= input->due_ns)
        input->delayed = false;
    go_on(input);
}

int input_wish(struct input *input, enum input_wish wish)
{
    if (input->wish == wish)
        return 0;
    input->wish = wish;
    return regulate(input);
}

int input_drain(struct input *input)
{
    input->draining = true;
    input->delayed = false;
    if (input->held)
        input->told = input->held = false;
    return regulate(input);
}

int input_wake(struct input *input)
{
    input->wait = (struct input_wait){.fd = -1, .due_ns = 0};
    return regulate(input);
}

void input_restart(struct input *input)
{
    input->wish = INPUT_NOTHING;
    input->told = input->held = input->draining = input->delayed = input->in_line = false;
    input->error = 0;
    if (input->source->rewind != NULL) {
        input->source->rewind(input->source_user);
        input->begin = input->end = 0;
        input->ended = false;
        input->wait = (struct input_wait){.fd = -1, .due_ns = 0};
        input->crlf = (struct crlf){.after_cr = false};
    }
    regulate(input);
}

void input_restart_beside(struct input *input)
{
    bool has_ended = input->source->rewind == NULL && input->ended && input->begin == input->end;

    input_restart(input);
    input->told = input->held = has_ended;
}
