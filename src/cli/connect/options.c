/* SPDX-License-Identifier: MIT */
/* The options of connect, and the examples of its help. What they mean together is connect.c's. */
#include "cli/connect/connect_internal.h"
#include "cli/say.h"

#include <limits.h>

static const char *const peer_eof_choices[] = {"quit", "wait", NULL};
static const char *const each_line_choices[] = {"new", NULL};
static const char *const engine_choices[] = {"auto", "uring", "epoll", NULL};

#define MEMBER(name) offsetof(struct connect_settings, name)

/* clang-format off */
const struct option_row connect_options[] = {
    {'4', NULL, NULL, OPTION_FLAG, MEMBER(only_ipv4), N_("IPv4 only."), .brief = true},
    {'6', NULL, NULL, OPTION_FLAG, MEMBER(only_ipv6), N_("IPv6 only."), .brief = true},
    {'n', NULL, NULL, OPTION_FLAG, MEMBER(numeric), N_("Numbers only: no name is looked up.")},
    {'l', "listen", NULL, OPTION_FLAG, MEMBER(listen),
     N_("Wait for one connection on the address (without a host: loopback) rather than connect; then everything is the "
        "same."), .brief = true},
    {'k', "keep-open", NULL, OPTION_FLAG, MEMBER(keep_open),
     N_("With -l: after one connection has ended, take the next. Input that has ended stays ended; what --send says is "
        "sent to each.")},
    {'s', NULL, "ADDRESS", OPTION_TEXT, MEMBER(source_address),
     N_("Connect from this local address; with -l: listen on it.")},
    {'p', NULL, "PORT", OPTION_TEXT, MEMBER(source_port), N_("Connect from this local port; with -l: listen on it.")},
    {0, "bind", "ADDRESS[:PORT]", OPTION_TEXT, MEMBER(bind), N_("Connect from this local address and port.")},
    {0, "proxy", "URL", OPTION_LIST, MEMBER(proxy),
     N_("Connect through a proxy: socks5://HOST:PORT (names are looked up here), socks5h://HOST:PORT (they are looked up "
        "there), http://HOST:PORT. User and password stand before the host, USER:PASSWORD@, or better, as ps does not "
        "show it, in the environment: SONDE_PROXY_USER=USER:PASSWORD.")},
    {'u', "udp", NULL, OPTION_FLAG, MEMBER(udp), N_("UDP: sonde connect -u HOST PORT is sonde connect udp://HOST:PORT."),
     .brief = true},
    {'w', NULL, "SECS", OPTION_DURATION, MEMBER(wait_ns),
     N_("Give up when connecting takes so long, or when nothing has come or gone for so long."), .brief = true},
    {0, "retry", "[N]", OPTION_COUNT, MEMBER(n_retries),
     N_("When connecting fails because the peer refuses, cannot be reached or does not answer, try again, N times or "
        "for ever."), .without = LLONG_MAX},
    {'z', NULL, NULL, OPTION_FLAG, MEMBER(scan),
     N_("Only connect: exit with 0 when all the ports that were asked for accept. With -v each one is a line. On udp:// "
        "an empty datagram asks, and no answer (in the time of -w, or 2 s) is not open."),
     .brief = true},
    {0, "eof", "wait|close|after:SECS|ignore", OPTION_TEXT, MEMBER(eof),
     N_("At the end of standard input: end this side and wait for the peer's end (the default); or close once "
        "everything is acknowledged; or end this side, wait so long at most, and close; or do nothing and wait for the "
        "peer's end. By default a WebSocket is closed when a ping has been answered and nothing has come for 500 ms, and "
        "datagrams are over when nothing has come for 1 s."), .brief = true, .group = N_("Ends:")},
    {'N', NULL, NULL, OPTION_FLAG, MEMBER(half_close),
     N_("The same as --eof wait; on a WebSocket, which has one end for both sides: close at once, and take what comes "
        "until the peer has closed.")},
    {'q', NULL, "SECS", OPTION_TEXT, MEMBER(eof),
     N_("At the end of standard input end this side, and quit so long after it; -1 waits. Of -N, -q and --eof the last "
        "one counts.")},
    {0, "peer-eof", NULL, OPTION_CHOICE, MEMBER(peer_eof),
     N_("At the peer's end: send what standard input offers without waiting, and exit (the default); or go on sending "
        "until standard input ends."), peer_eof_choices},
    {'i', NULL, "SECS", OPTION_DURATION, MEMBER(delay_ns), N_("Wait so long between one line sent and the next."),
     .group = N_("Sending:")},
    {'C', "crlf", NULL, OPTION_FLAG, MEMBER(crlf),
     N_("Send the line end LF as CR LF, unless a CR stands before it already."), .brief = true},
    {0, "each-line", NULL, OPTION_CHOICE, MEMBER(each_line),
     N_("Make a new connection for each line of standard input: connect, send the line, end, print everything until "
        "the peer's end."), each_line_choices},
    {0, "send", "WHAT", OPTION_LIST, MEMBER(send),
     N_("Send this instead of standard input: a text (\\n, \\r, \\t, \\0, \\\\ and \\xHH are undone), hex:48656c6c6f, or "
        "@FILE, a file as it is (@- is standard input). May be given again: in order."), .brief = true},
    {0, "repeat", "N", OPTION_COUNT, MEMBER(n_rounds), N_("Send what --send says N times; 0: for ever.")},
    {0, "every", "TIME", OPTION_DURATION, MEMBER(every_ns),
     N_("Send one --send each so often. A time that cannot be kept is left out, and never made up for."),
     .minimum = 1000000, .maximum = 24ll * 3600 * 1000000000},
    {0, "expect", "REGEX", OPTION_TEXT, MEMBER(expect),
     N_("Exit with 0 as soon as what was received matches this extended regular expression (^ and $ mean lines); with 1 "
        "when the peer ends before."), .brief = true, .group = N_("Judging what comes back:")},
    {0, "within", "TIME", OPTION_DURATION, MEMBER(within_ns),
     N_("With --expect: exit with 1 when nothing has matched so long after the connection stands."),
     .minimum = 1000000},
    {0, "verify-echo", NULL, OPTION_FLAG, MEMBER(verify_echo),
     N_("What comes back must be what was sent, in order: exit with 1 at the first difference, and say where it is. What "
        "is received is not printed, unless --output, --hex or --json say so.")},
    {0, "once", NULL, OPTION_FLAG, MEMBER(once), N_("Exit after the first bytes, or the first message, that are received were printed.")},
    {0, "frame", "CODEC", OPTION_TEXT, MEMBER(frame),
     N_("Send and receive messages: each line of standard input is one, each --send is one, each one received is printed "
        "as a line. They are framed as none, line, crlf, nul, fixed:N, u8, u16be, u16le, u32be, u32le, varint, "
        "netstring, slip, cobs, delim:HEX or len:OFFSET,WIDTH,ORDER,ADJUST. Where the transport has messages (ws://, wss://, "
        "udp://, unixgram:, seqpacket:), standard input and output are framed so, and what is sent is not."),
     .group = N_("Messages and WebSocket:")},
    {0, "frame-max", "SIZE", OPTION_SIZE, MEMBER(frame_max),
     N_("With --frame: the longest message (default 1M), to be sent or received."), .minimum = 1, .maximum = 1 << 30},
    {0, "binary", NULL, OPTION_FLAG, MEMBER(binary),
     N_("WebSocket: send binary messages. What one read of standard input brings is one (or see --frame), and what is "
        "received is written as it is."), .brief = true},
    {0, "base64", NULL, OPTION_FLAG, MEMBER(base64),
     N_("Messages: each line of standard input is base64 of a binary one, and each binary one received becomes such a "
        "line.")},
    {0, "header", "HEADER", OPTION_LIST, MEMBER(header),
     N_("WebSocket: send this header, \"Name: value\", with the request; @FILE: those in FILE, one a line, which ps does "
        "not show. May be given again.")},
    {0, "origin", "URL", OPTION_TEXT, MEMBER(origin),
     N_("WebSocket: send this Origin; with -l: let pages of this origin in.")},
    {0, "subprotocol", "NAME[,NAME]", OPTION_TEXT, MEMBER(subprotocol),
     N_("WebSocket: offer these subprotocols; one has to be agreed on.")},
    {0, "no-deflate", NULL, OPTION_FLAG, MEMBER(no_deflate), N_("WebSocket: no compression (permessage-deflate).")},
    {0, "ping", "SECS", OPTION_DURATION, MEMBER(ping_ns),
     N_("WebSocket: ping so often, and give up when one has not been answered by the next."), .minimum = 1000000},
    {0, "print-ping", NULL, OPTION_FLAG, MEMBER(print_ping),
     N_("WebSocket: say on standard error how long each pong took, and when the peer pings. -v does, too.")},
    {0, "message-max", "SIZE", OPTION_SIZE, MEMBER(message_max),
     N_("WebSocket: the longest message (default 16M), to be sent or received."), .minimum = 1, .maximum = 1 << 30},
    {0, "commands", NULL, OPTION_FLAG, MEMBER(commands),
     N_("WebSocket: lines that begin with a slash are commands: /ping [TEXT], /close [CODE [REASON]], /binary HEX, /help; "
        "//... is a message that begins with a slash. On a terminal they are in any case.")},
    TLS_OWN_ROWS(struct connect_settings),
    TLS_CONNECT_ROWS(struct connect_settings),
    {0, "output", "FILE", OPTION_TEXT, MEMBER(output),
     N_("Write what is received to FILE, as it comes, rather than to standard output."), .group = N_("Output:")},
    {0, "hex", NULL, OPTION_FLAG, MEMBER(hex),
     N_("Print both directions as a hex dump: > was sent, < was received."), .brief = true},
    {0, "json", NULL, OPTION_FLAG, MEMBER(json),
     N_("Print JSON Lines: opened, data or message (with its direction, in or out), closed; listening, matched, ping, pong, "
        "close, icmp, lost."), .brief = true},
    {'v', NULL, NULL, OPTION_FLAG, MEMBER(verbose),
     N_("Say on standard error when the connection stands and how it ended, and each address that was tried in vain."),
     .brief = true},
    {.name = "trace",
     .kind = OPTION_FLAG,
     MEMBER(trace),
     .help = N_("Draw the ladder of the connection on standard error: calls, segments, states."),
     .brief = true},
    {.name = "trace-json",
     .value = "FILE",
     .kind = OPTION_TEXT,
     MEMBER(trace_json),
     .help = N_("Write the same events into FILE; sonde trace -r FILE draws them.")},
    PAGE_ROWS(struct connect_settings),
    {0, "calls", NULL, OPTION_FLAG, MEMBER(calls),
     N_("Print each call on a socket on standard error, with its result and the time it took."), .brief = true},
    {0, "no-edit", NULL, OPTION_FLAG, MEMBER(no_edit), N_("On a terminal: do not edit lines, take them as they are typed."),
     .group = N_("This command:")},
    {0, "engine", NULL, OPTION_CHOICE, MEMBER(engine),
     N_("How to wait: io_uring, epoll, or the better one that works here (the default)."), engine_choices},

    {'U', "unixsock", NULL, OPTION_REFUSED, 0, N_("say it in the address: sonde connect unix:/run/x.sock")},
    {'e', "exec", NULL, OPTION_REFUSED, 0,
     N_("to run a program for each client is a service: sonde serve exec -- PROGRAM ARGUMENT...")},
    {'c', "sh-exec", NULL, OPTION_REFUSED, 0,
     N_("to run a command for each client is a service (sonde serve exec --sh 'COMMAND'); TLS is in the address: tls://HOST:PORT")},
    {0, "ssl", NULL, OPTION_REFUSED, 0, N_("TLS is in the address: sonde connect tls://HOST:PORT")},
    {'x', NULL, NULL, OPTION_REFUSED, 0,
     N_("-x is a proxy in one tool and a hex dump in another: --proxy http://HOST:PORT, and --hex.")},
    {'X', NULL, NULL, OPTION_REFUSED, 0,
     N_("the kind of proxy is part of its address: --proxy socks5://HOST:PORT or --proxy http://HOST:PORT")},
    {'P', NULL, NULL, OPTION_REFUSED, 0,
     N_("the user is part of the proxy's address, --proxy http://USER:PASSWORD@HOST:PORT, or stands in the environment: "
        "SONDE_PROXY_USER=USER:PASSWORD")},
    {'t', "telnet", NULL, OPTION_REFUSED, 0,
     N_("telnet negotiation is not built: bytes go as they are, and --hex shows them.")},
    {'b', NULL, NULL, OPTION_REFUSED, 0, N_("say it in the address: sonde connect 'udp://192.0.2.255:7007?broadcast=1'")},
    {'d', NULL, NULL, OPTION_REFUSED, 0,
     N_("to read nothing from standard input: sonde connect --eof ignore ADDRESS </dev/null")},
    {'D', NULL, NULL, OPTION_REFUSED, 0, N_("SO_DEBUG does nothing on Linux; --calls shows what happens.")},
    {'I', NULL, NULL, OPTION_REFUSED, 0, N_("say it in the address: sonde connect 'tcp://HOST:PORT?rcvbuf=65536'")},
    {'O', NULL, NULL, OPTION_REFUSED, 0, N_("say it in the address: sonde connect 'tcp://HOST:PORT?sndbuf=65536'")},
    {'T', NULL, NULL, OPTION_REFUSED, 0, N_("say it in the address: sonde connect 'tcp://HOST:PORT?dscp=46'")},
    {'M', NULL, NULL, OPTION_REFUSED, 0, N_("say it in the address: sonde connect 'tcp://HOST:PORT?ttl=8'")},
    {'m', NULL, NULL, OPTION_REFUSED, 0,
     N_("the lowest TTL to accept is not built; the one to send with is in the address: ?ttl=8")},
    {'r', NULL, NULL, OPTION_REFUSED, 0, N_("the kernel chooses local ports at random by itself.")},
    {'S', NULL, NULL, OPTION_REFUSED, 0, N_("TCP MD5 signatures are not built.")},
    {'V', NULL, NULL, OPTION_REFUSED, 0,
     N_("a routing table is chosen with a mark: sonde connect 'tcp://HOST:PORT?mark=1'; the version: sonde --version")},
    {'F', NULL, NULL, OPTION_REFUSED, 0, N_("passing the descriptor on is not built.")},
    {'W', NULL, NULL, OPTION_REFUSED, 0, N_("to end after the first bytes that come: --once")},
    {'Z', NULL, NULL, OPTION_REFUSED, 0, N_("TLS is in the address: sonde connect tls://HOST:PORT")},
    {'o', NULL, NULL, OPTION_REFUSED, 0, N_("to write what is received to a file: --output FILE")},
    {0, "no-shutdown", NULL, OPTION_REFUSED, 0, N_("to leave this side open at the end of standard input: --eof ignore")},
    {0, "send-only", NULL, OPTION_REFUSED, 0,
     N_("to close once everything is sent, whatever the peer says: --eof close")},
    {0, "recv-only", NULL, OPTION_REFUSED, 0,
     N_("to read nothing from standard input: sonde connect --eof ignore ADDRESS </dev/null")},
    {0},
};

const struct example connect_examples[] = {
    {"printf 'hello\\n' | sonde connect tcp://127.0.0.1:7007", N_("Say something, get everything back.")},
    {"sonde connect --hex 127.0.0.1:7007", N_("Type, and see both directions byte by byte.")},
    {"sonde connect -v -z 127.0.0.1 20-30", N_("Which of these ports answer?")},
    {"sonde connect --retry --once :7007 </dev/null", N_("Wait for a server to come up, print its greeting.")},
    {"sonde connect --send 'PING\\r\\n' --expect '^.PONG' --within 2s :6379", N_("Is a server in good health?")},
    {"sonde connect wss://echo.example/chat", N_("Talk to a WebSocket: a line is a message; /ping and /close too.")},
    {"echo hello | sonde connect udp://127.0.0.1:7007", N_("Send a datagram, print the answers.")},
    {"sonde connect -v tls://example.org:443", N_("Shake hands, and see what was agreed on and with whom.")},
    {"sonde connect -l 5188 >file", N_("Take what one client sends.")},
    {"sonde connect --calls unix:/run/x.sock", N_("See every call on the socket, with its result.")},
    {NULL, NULL},
};
/* clang-format on */
