/* SPDX-License-Identifier: MIT */
/* What listen() makes of a socket: passive, and no use for data. */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static const struct lab_claim claims[] = {
    {"C1", N_("A socket is active until listen() makes it passive.")},
    {"C20", N_("A listening socket cannot carry data.")},
    {0},
};

static const char *const choices[] = {
    N_("a) it blocks until a client sends"),
    N_("b) it returns 0, as at an end"),
    N_("c) it fails"),
    NULL,
};

/* ---- active and passive */

struct passive {
    int acceptconn[2];       /* SO_ACCEPTCONN before and after listen() */
    int client_result[2];    /* of a client that connects to its port, before and after */
    int connects;            /* connect() on it after listen() */
    int connects_unlistened; /* ... on a socket that never listened */
    int listens_connected;   /* listen() on a connected one */
};

static int try_client(struct lab *lab, struct party *client, uint16_t port)
{
    int fd = opening_socket(client, lab);
    int result = party_connect(client, fd, lab_address(lab, END_B), port);

    opening_linger(fd);
    party_close(client, fd);
    return result;
}

static struct passive become_passive(struct lab *lab, struct party *client, struct party *server, int *ret_listener)
{
    struct passive passive = {0};
    uint16_t other_port;
    int other = lab_listening(server, 5, &other_port);
    int fd = opening_socket(server, lab);

    int result = party_bind(server, fd, lab_address(lab, END_B), 0);
    party_get(server, fd, SOL_SOCKET, SO_ACCEPTCONN, &passive.acceptconn[0]);
    passive.client_result[0] = try_client(lab, client, lab_local_port(fd));
    if (result == 0) {
        result = party_listen(server, fd, 5);
    }
    if (result < 0) {
        lab_give_up(lab, _("There could be no listener: %s."), sonde_strerror(result));
    }
    party_get(server, fd, SOL_SOCKET, SO_ACCEPTCONN, &passive.acceptconn[1]);
    passive.client_result[1] = try_client(lab, client, lab_local_port(fd));
    passive.connects = party_connect(server, fd, lab_address(lab, END_B), other_port);

    int active = opening_socket(server, lab);
    passive.connects_unlistened = party_connect(server, active, lab_address(lab, END_B), other_port);
    passive.listens_connected = party_listen(server, active, 5);
    opening_linger(active);
    party_close(server, active);
    party_close(server, other);
    *ret_listener = fd;
    return passive;
}

/* ---- data */

struct carries {
    ssize_t received, written, sent; /* read: recv; written: by write(2); sent: by send with MSG_NOSIGNAL */
    bool signalled;                  /* write raised SIGPIPE */
};

static struct carries try_data(struct party *server, int listener)
{
    struct carries carries = {0};
    const struct timespec at_once = {0};
    struct sigaction usual = {.sa_handler = SIG_DFL}, before;
    sigset_t pipe_signal, mask;
    char data[8];

    carries.received = party_recv(server, listener, data, sizeof data, 0);
    carries.sent = party_send(server, listener, "hello", 5, 0);
    /* SIGPIPE is kept waiting, so that it can be looked for rather than end this process; an ignored one does not wait
     */
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &mask);
    sigaction(SIGPIPE, &usual, &before);
    ssize_t n = write(listener, "hello", 5);
    carries.written = n < 0 ? -errno : n;
    carries.signalled = sigtimedwait(&pipe_signal, NULL, &at_once) == SIGPIPE;
    sigaction(SIGPIPE, &before, NULL);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    return carries;
}

static void table(struct lab *lab, const struct passive *passive, const struct carries *carries)
{
    static const char *const heads[] = {N_("on this socket"), N_("before listen()"), N_("after listen()")};

    opening_table(lab, 3, heads);
    lab_cell(lab, "SO_ACCEPTCONN");
    lab_cell(lab, "%d", passive->acceptconn[0]);
    lab_cell(lab, "%d", passive->acceptconn[1]);
    lab_cell(lab, "%s", _("a client's connect() to it"));
    lab_cell(lab, "%s", opening_result(passive->client_result[0]));
    lab_cell(lab, "%s", opening_result(passive->client_result[1]));
    lab_cell(lab, "%s", _("its own connect()"));
    lab_cell(lab, "%s (a)", opening_result(passive->connects_unlistened));
    lab_cell(lab, "%s", opening_result(passive->connects));
    lab_cell(lab, "recv()");
    lab_cell(lab, "-");
    lab_cell(lab, "%s", opening_result(carries->received));
    lab_cell(lab, "send(MSG_NOSIGNAL)");
    lab_cell(lab, "-");
    lab_cell(lab, "%s", opening_result(carries->sent));
    lab_cell(lab, "write()");
    lab_cell(lab, "-");
    lab_cell(lab, carries->signalled ? _("%s and SIGPIPE") : "%s", opening_result(carries->written));
    lab_table_end(lab);
    lab_footnote(lab, _("(a) On another socket: one that has connected cannot listen any more (%s)."),
                 opening_result(passive->listens_connected));
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A);
    struct party *server = lab_party(lab, "server", END_B);
    int listener;

    struct passive passive = become_passive(lab, client, server, &listener);
    struct carries carries = try_data(server, listener);
    table(lab, &passive, &carries);
    lab_answer(lab, "%s", carries.received == -EAGAIN ? "a" : carries.received == 0 ? "b" : "c");

    bool became = !passive.acceptconn[0] && passive.acceptconn[1] && passive.client_result[0] < 0 &&
                  passive.client_result[1] == 0 && passive.connects < 0 && passive.connects_unlistened == 0;
    lab_verdict(
        lab, "C1", became ? LAB_TRUE : LAB_FALSE,
        _("A client's connect() to it gave %s before listen() and %s after; SO_ACCEPTCONN went from %d to %d. Its "
          "own connect() then gave %s, that of a socket which had never listened %s."),
        opening_result(passive.client_result[0]), opening_result(passive.client_result[1]), passive.acceptconn[0],
        passive.acceptconn[1], opening_result(passive.connects), opening_result(passive.connects_unlistened));
    lab_figure(lab, "C1", "acceptconn_before", passive.acceptconn[0]);
    lab_figure(lab, "C1", "acceptconn_after", passive.acceptconn[1]);
    lab_figure_text(lab, "C1", "client_before", opening_result(passive.client_result[0]));
    lab_figure_text(lab, "C1", "client_after", opening_result(passive.client_result[1]));
    lab_figure_text(lab, "C1", "connect_listening", opening_result(passive.connects));

    bool carried = carries.received >= 0 || carries.sent >= 0 || carries.written >= 0;
    lab_verdict(lab, "C20", carried ? LAB_FALSE : LAB_TRUE,
                carries.signalled
                    ? _("recv() gave %s and write() %s, with SIGPIPE, which ends a program that does not expect it.")
                    : _("recv() gave %s and write() %s, without SIGPIPE."),
                opening_result(carries.received), opening_result(carries.written));
    lab_figure_text(lab, "C20", "recv_result", opening_result(carries.received));
    lab_figure_text(lab, "C20", "write_result", opening_result(carries.written));
    lab_figure(lab, "C20", "sigpipe", carries.signalled);
}

const struct experiment experiment_listener = {
    .name = "listener",
    .chapter = CHAPTER_OPENING,
    .title = N_("what listen() makes of a socket, and that it carries no data"),
    .claims = claims,
    .systems = "S3",
    .milliseconds = 20,
    .done =
        N_("A socket is bound; a client tries to connect to it before and after listen(). Then the listening socket "
           "itself is asked to connect, to read and to write."),
    .question = N_("What does recv() on a listening socket do?"),
    .choices = choices,
    .by_hand = "sonde serve hold :7007 &\n"
               "nc -vz 127.0.0.1 7007\n"
               "python3 -c 'import socket; socket.create_server((\"\",0)).recv(1)'",
    .read = "listen(2); socket(7), SO_ACCEPTCONN; tcp(7); pipe(7), SIGPIPE",
    .settings = NULL,
    .run = run,
};
