/* SPDX-License-Identifier: MIT */
/* C26: a web page fetched by nothing but socket, connect, send and recv. The server is as simple: it knows no more of
 * HTTP than where a request ends. */
#include "lab/call.h"
#include "lab/table.h"
#include "term/escape.h"
#include "term/translate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PAGE "<!doctype html><title>Hi</title><p>Hello.</p>\n"
#define ROOM_BYTES 2048

struct server {
    int listener;
    char request[ROOM_BYTES]; /* what it received, NUL behind it */
    size_t n_request;
};

struct page {
    struct lab *lab;
    char request[256], response[ROOM_BYTES]; /* NUL behind them */
    size_t n_request, n_response;
    uint16_t port, client_port;
    unsigned n_receives; /* that brought bytes */
    int status;          /* of the status line; 0: there was none */
    const char *body;    /* in response; NULL: no end of headers */
    size_t n_body;
    long n_announced; /* Content-Length; -1: none */
};

/* One request, one answer. */
static void *serve(struct party *party, void *data)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: text/html\r\n"
                               "Content-Length: %zu\r\n"
                               "Connection: close\r\n"
                               "\r\n" PAGE;
    struct server *server = data;
    char response[512];
    int fd = party_accept(party, server->listener);

    if (fd < 0)
        return NULL;
    while (!strstr(server->request, "\r\n\r\n") && server->n_request < sizeof(server->request) - 1) {
        ssize_t n = party_recv(party, fd, server->request + server->n_request,
                               sizeof(server->request) - 1 - server->n_request, 0);
        if (n <= 0)
            break;
        server->n_request += (size_t)n;
    }
    int n_bytes = snprintf(response, sizeof(response), head, strlen(PAGE));
    party_send(party, fd, response, (size_t)n_bytes, 0);
    party_close(party, fd);
    return NULL;
}

static void fetch(struct page *page, struct party *client)
{
    struct lab *lab = page->lab;
    int fd = party_socket(client, AF_INET, SOCK_STREAM, 0);
    int result = fd < 0 ? fd : party_connect(client, fd, lab_address(lab, END_B), page->port);

    if (result < 0)
        lab_give_up(lab, _("The client could not connect: %s."), sonde_error_name(result));
    page->client_port = lab_local_port(fd);
    page->n_request = (size_t)snprintf(page->request, sizeof(page->request),
                                       "GET / HTTP/1.1\r\nHost: %s:%u\r\nConnection: close\r\n\r\n",
                                       lab_address(lab, END_B), page->port);
    party_send(client, fd, page->request, page->n_request, 0);
    while (page->n_response < sizeof(page->response) - 1) {
        ssize_t n =
            party_recv(client, fd, page->response + page->n_response, sizeof(page->response) - 1 - page->n_response, 0);
        if (n <= 0)
            break;
        page->n_response += (size_t)n;
        page->n_receives++;
    }
    party_close(client, fd);
}

/* As much of HTTP as it takes: a status line, a header field, an empty line. */
static void understand(struct page *page)
{
    const char *end = strstr(page->response, "\r\n\r\n");

    page->n_announced = -1;
    if (sscanf(page->response, "HTTP/%*d.%*d %d", &page->status) != 1)
        page->status = 0;
    if (!end)
        return;
    page->body = end + 4;
    page->n_body = page->n_response - (size_t)(page->body - page->response);
    for (const char *line = strstr(page->response, "\r\n"); line && line < end; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, "Content-Length:", 15) == 0)
            page->n_announced = strtol(line + 2 + 15, NULL, 10);
}

/* The bytes, a line of HTTP to each row, with their ends. */
static void show_lines(struct lab *lab, const char *who, const char *bytes, size_t n_bytes)
{
    char text[200];

    for (size_t at = 0; at < n_bytes;) {
        const char *newline = memchr(bytes + at, '\n', n_bytes - at);
        size_t n = newline ? (size_t)(newline - bytes) + 1 - at : n_bytes - at;
        escape_short(bytes + at, n, text, sizeof(text));
        lab_cell(lab, "%s", at == 0 ? who : "");
        lab_cell(lab, "%zu", n);
        lab_cell(lab, "%s", text);
        at += n;
    }
}

static void show(struct page *page)
{
    static const char *const heads[] = {N_("by"), N_("bytes"), N_("the bytes themselves")};

    lab_table(page->lab, 3, heads);
    show_lines(page->lab, _("client"), page->request, page->n_request);
    show_lines(page->lab, _("server"), page->response, page->n_response);
    lab_table_end(page->lab);
}

static void judge(const struct page *page, const struct server *server)
{
    struct lab *lab = page->lab;
    bool whole = page->body && page->n_announced == (long)page->n_body && page->n_body == strlen(PAGE) &&
                 memcmp(page->body, PAGE, page->n_body) == 0;
    bool asked = server->n_request == page->n_request && memcmp(server->request, page->request, page->n_request) == 0;

    lab_figure(lab, "C26", "request_bytes", (double)page->n_request);
    lab_figure(lab, "C26", "response_bytes", (double)page->n_response);
    lab_figure(lab, "C26", "body_bytes", (double)page->n_body);
    lab_figure(lab, "C26", "content_length", (double)page->n_announced);
    lab_figure(lab, "C26", "status", page->status);
    lab_answer(lab, "%s", whole ? "a" : "b");
    if (page->status == 200 && whole && asked)
        lab_verdict(lab, "C26", LAB_FALSE,
                    _("HTTP is bytes in a stream: %zu bytes written by send() were the request, and recv() brought "
                      "%zu: status %d, "
                      "headers, and a page of %zu bytes, as Content-Length said. The socket knew nothing of HTTP; both "
                      "programs did."),
                    page->n_request, page->n_response, page->status, page->n_body);
    else
        lab_verdict(
            lab, "C26", LAB_NOT_SHOWN,
            _("%zu of %zu bytes of the request arrived, and %zu bytes came back, status %d: not the whole page."),
            server->n_request, page->n_request, page->n_response, page->status);
}

static void run(struct lab *lab)
{
    struct page page = {.lab = lab};
    struct server server = {0};
    struct party *client = lab_party(lab, "client", END_A), *party = lab_party(lab, "server", END_B);

    server.listener = lab_listening(party, 4, &page.port);
    party_start(party, serve, &server);
    fetch(&page, client);
    party_join(party);
    party_close(party, server.listener);
    understand(&page);
    show(&page);
    lab_ladder(lab, page.client_port, NULL);
    judge(&page, &server);
}

static const struct lab_claim claims[] = {
    {"C26", N_("A program with sockets can't fetch a web page, for HTTP is a layer above them.")},
    {NULL, NULL},
};

static const char *const choices[] = {
    N_("a) with send() and recv(): the request and the page are bytes like any others"),
    N_("b) not at all: it takes a library, or a browser"),
    NULL,
};

const struct experiment experiment_web_page = {
    .name = "web-page",
    .chapter = CHAPTER_LAYERS,
    .title = N_("a web page fetched with nothing but a socket"),
    .claims = claims,
    .systems = NULL,
    .milliseconds = 20,
    .done = N_(
        "A server of a few lines waits for an HTTP request. A client connects, sends the request's bytes, and receives "
        "until the end. Neither uses anything but socket calls."),
    .question = N_("How does a program with nothing but a TCP socket get a web page?"),
    .choices = choices,
    .by_hand = "python3 -m http.server 8000 --bind 127.0.0.1 &\n"
               "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | sonde connect 127.0.0.1:8000\n"
               "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc.openbsd 127.0.0.1 8000",
    .read = "RFC 9110, 3; RFC 9112, 2 and 3 (HTTP/1.1 messages); tcp(7)",
    .settings = NULL,
    .run = run,
};
