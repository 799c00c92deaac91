/* SPDX-License-Identifier: MIT */
#include "cli/connect_input.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static void on_ready(struct sonde_poll *poll, unsigned events, void *user);
static void on_timer(struct sonde_timer *timer);

static const struct sonde_poll_handler poll_handler = {.ready = on_ready};

int input_open(struct input *input, struct sonde_loop *loop, int fd, const struct input_options *options,
               const struct input_handler *handler, void *user)
{
    *input = (struct input){.loop = loop, .fd = fd, .options = *options, .handler = handler, .user = user};
    sonde_timer_init(&input->timer, loop, on_timer, input);

    input->text = malloc(INPUT_CHUNK);
    input->converted = options->crlf ? malloc(2 * INPUT_CHUNK) : NULL;
    int error = input->text == NULL || (options->crlf && input->converted == NULL) ? -ENOMEM : 0;
    if (error == 0)
        error = sonde_poll_create(loop, fd, &poll_handler, input, &input->poll);
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
    input->text = input->converted = NULL;
    input->begin = input->end = 0;
    input->wish = INPUT_NOTHING;
}

bool input_is_delayed(const struct input *input)
{
    return input->delayed;
}

static bool is_ready_now(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    return poll(&pollfd, 1, 0) > 0;
}

static void read_once(struct input *input)
{
    ssize_t n_bytes = read(input->fd, input->text, INPUT_CHUNK);

    if (n_bytes > 0) {
        input->begin = 0;
        input->end = (size_t)n_bytes;
    } else if (n_bytes == 0) {
        input->ended = true;
    } else if (errno != EINTR && errno != EAGAIN) {
        input->ended = true;
        /* What a terminal that was hung up says. */
        input->error = errno == EIO && isatty(input->fd) ? 0 : -errno;
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
    if (whole && input->poll != NULL)
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

/* Hand out what is there, as long as it is wished for. poll is NULL once the owner has closed us in a callback. */
static void give(struct input *input)
{
    input->giving = true;
    while (input->poll != NULL && input->wish != INPUT_NOTHING && !input->told) {
        bool has_bytes = input->begin < input->end;

        if (!has_bytes && !input->ended) {
            if (!input->draining)
                break;
            if (is_ready_now(input->fd))
                read_once(input);
            else
                tell_end(input);
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
    if (input->poll == NULL || input->giving)
        return 0;
    bool wished = input->wish != INPUT_NOTHING && !input->told;
    bool has_bytes = input->begin < input->end;
    bool reads = wished && !has_bytes && !input->ended && !input->draining;

    if (wished && !reads && input->delayed && has_bytes)
        sonde_timer_start(&input->timer, input->due_ns);
    else if (wished && !reads)
        sonde_timer_start_in(&input->timer, 0);
    else
        sonde_timer_stop(&input->timer);

    if (reads == input->reading)
        return 0;
    int error = sonde_poll_start(input->poll, reads ? SONDE_READABLE : 0);
    input->reading = error == 0 && reads;
    return error;
}

static void go_on(struct input *input)
{
    give(input);
    if (regulate(input) < 0) {
        input->ended = true;
        input->error = -ENOMEM;
        sonde_timer_start_in(&input->timer, 0);
    }
}

static void on_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct input *input = user;

    (void)poll, (void)events;
    input->reading = false;
    if (input->begin == input->end && !input->ended)
        read_once(input);
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
    return regulate(input);
}
