# SPDX-License-Identifier: MIT
"""`sonde connect`: a pipe in a script. Half-close in all its forms, the options known from nc, and how it ends."""

import contextlib
import os
import random
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

import harness
from harness import DEADLINE, hint, one_sentence, receive_all, receive_exactly, url_of, wait_until


# --- the half-close table ----------------------------------------------------------------------------------------


def slow_answer(connection, _):
    """Reads to the end, thinks for a second, answers: what nc hangs on and socat loses."""
    question = receive_all(connection)
    with harness.Observation(1):
        pass
    connection.sendall(b"you said " + question)


WAITS_FOR_THE_ANSWER = [
    [],
    ["--eof", "wait"],
    ["--eof=wait"],
    ["-N"],
    ["-q", "-1"],
    ["-q", "30"],
    ["--eof", "after:30"],
    ["-w", "30"],
    ["-q", "0", "--eof", "wait"],
    ["--eof", "close", "-N"],
]


def test_the_answer_after_our_end_is_printed(sonde, peer):
    """They wait side by side."""
    server = peer(slow_answer)
    clients = [sonde.start_connect(*options, server.url) for options in WAITS_FOR_THE_ANSWER]
    for client in clients:
        client.feed(b"hi")
        client.end_input()
    for client in clients:
        assert (client.wait(), client.out.data, client.err.text) == (0, b"you said hi", ""), client
    server.join()


class Withheld:
    """A server that reads to the end and answers only when told to: what a client that leaves by itself never sees."""

    def __init__(self, peer):
        self.question = b""
        self.ended = threading.Event()
        self.answer_now = threading.Event()
        self.peer = peer(self._script)
        self.url = self.peer.url

    def _script(self, connection, _):
        while chunk := connection.recv(1 << 16):
            self.question += chunk
        self.ended.set()
        assert self.answer_now.wait(DEADLINE * 3)
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"too late")


@pytest.fixture
def withheld(peer):
    server = Withheld(peer)
    yield server
    server.answer_now.set()


@pytest.mark.parametrize(
    "options",
    [
        ["--eof", "close"],
        ["-q", "0"],
        ["-q", "1"],
        ["--eof", "after:0.5"],
        ["--eof", "after:500ms"],
        ["--eof", "wait", "-q", "0"],
        ["-N", "--eof", "close"],
    ],
    ids=" ".join,
)
def test_who_does_not_want_the_answer_leaves(sonde, withheld, options):
    result = sonde.connect(*options, withheld.url, input=b"hi")
    assert (result.status, result.out, result.err) == (0, b"", "")
    assert withheld.ended.wait(DEADLINE)
    assert withheld.question == b"hi", "what was sent must arrive all the same"


@pytest.mark.parametrize("options", [["--eof", "close"], ["-q", "0"], ["--eof", "after:0.1"]], ids=" ".join)
def test_leaving_loses_nothing_of_a_large_input(sonde, withheld, options):
    data = os.urandom(1 << 22)
    result = sonde.connect(*options, withheld.url, input=data)
    assert result.status == 0, result.process
    assert withheld.ended.wait(DEADLINE)
    assert withheld.question == data, harness.difference(withheld.question, data)


def test_an_idle_timeout_is_not_a_success(sonde, withheld):
    """nc -w1 gives up with status 0 and the reply lost."""
    result = sonde.connect("-w", "1", withheld.url, input=b"hi")
    assert result.status == 1
    sentence = one_sentence(result.err)
    assert "timed out" in sentence and withheld.url in sentence
    assert withheld.question == b"hi"


def test_eof_ignore_does_not_half_close(sonde, listen):
    sock = listen()
    process = sonde.start_connect("--eof", "ignore", url_of(sock))
    process.feed(b"hi")
    process.end_input()
    connection, _ = harness.accept(sock)
    with connection:
        assert receive_exactly(connection, 2) == b"hi"
        with harness.Observation(0.5):
            pass
        assert harness.nothing_to_read(connection), "it half-closed"
        assert process.running
        connection.sendall(b"answer")
        connection.shutdown(socket.SHUT_WR)
        assert process.wait() == 0
        assert process.out.data == b"answer"


def test_the_peer_s_end_is_enough(sonde, peer):
    """stdin stays open: by default the peer's end ends it."""
    server = peer(lambda connection, _: connection.sendall(b"goodbye\n"))
    process = sonde.start_connect(server.url)
    assert process.wait() == 0, process
    assert process.out.data == b"goodbye\n"
    assert process.err.text == ""


def test_what_stdin_offers_is_still_sent_after_the_peer_s_end(sonde, listen, tmp_path):
    data = os.urandom(1 << 20)
    (tmp_path / "input").write_bytes(data)
    sock = listen()
    with open(tmp_path / "input", "rb") as stdin:
        process = sonde.start_connect(url_of(sock), stdin=stdin)
        connection, _ = harness.accept(sock)
        with connection:
            connection.sendall(b"goodbye")
            connection.shutdown(socket.SHUT_WR)
            process.out.wait_match("goodbye")
            harness.wait_state(connection, "FIN_WAIT2", "TIME_WAIT")  # it has our end
            got = receive_all(connection)
    assert got == data, harness.difference(got, data)
    assert process.wait() == 0, process


def test_peer_eof_wait_goes_on_sending(sonde, listen):
    sock = listen()
    process = sonde.start_connect("--peer-eof", "wait", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        connection.sendall(b"goodbye")
        connection.shutdown(socket.SHUT_WR)
        process.out.wait_match("goodbye")
        harness.wait_state(connection, "FIN_WAIT2")
        for number in range(10):
            process.feed(b"line %d\n" % number)
            assert receive_exactly(connection, 7) == b"line %d\n" % number
        process.end_input()
        assert receive_all(connection) == b""
    assert process.wait() == 0, process


def test_full_duplex_while_both_have_much_to_say(sonde, listen):
    """Both sides send four mebibytes, and the peer reads nothing until it has sent all."""
    ours, theirs = os.urandom(1 << 22), os.urandom(1 << 22)
    sock = listen()
    process = sonde.start_connect(url_of(sock))

    def feed():
        with contextlib.suppress(BrokenPipeError):  # it may leave once the peer has ended
            process.feed(ours)
        process.end_input()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    connection, _ = harness.accept(sock)
    with connection:
        connection.sendall(theirs)
        connection.shutdown(socket.SHUT_WR)
        got = receive_all(connection)
    feeder.join(DEADLINE)
    assert process.wait() == 0, process
    assert process.out.data == theirs, harness.difference(process.out.data, theirs)
    # The peer's end came first, so all of stdin need not be sent; what was sent is exact.
    assert ours.startswith(got), harness.difference(got, ours)


# --- other people's servers --------------------------------------------------------------------------------------

SERVERS = {
    "nc -l": lambda port: ["nc.openbsd", "-l", "127.0.0.1", port],
    "nc -l -N": lambda port: ["nc.openbsd", "-l", "-N", "127.0.0.1", port],
    "ncat -l": lambda port: ["ncat", "-l", "127.0.0.1", port],
    "socat": lambda port: ["socat", "-t", str(DEADLINE), "-", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr"],
}


@pytest.mark.parametrize("server", SERVERS)
def test_other_servers(sonde, tool, server, tmp_path):
    port = harness.free_port()
    argv = SERVERS[server](str(port))
    argv[0] = tool(argv[0])
    other = sonde.start(argv)
    other.feed(b"from the server\n")
    other.end_input()
    wait_until(lambda: harness.accept_queue(port) is not None, f"{server} listens")
    # The server's end may come first, and then only what stdin offers without waiting is sent: a file.
    (tmp_path / "input").write_bytes(b"from sonde\n")
    with open(tmp_path / "input", "rb") as stdin:
        result = sonde.connect(f"tcp://127.0.0.1:{port}", stdin=stdin)
    assert (result.status, result.out, result.err) == (0, b"from the server\n", "")
    assert other.wait() == 0, other
    assert other.out.data == b"from sonde\n"


def test_sonde_to_sonde(sonde):
    server = sonde.serve("echo")
    result = sonde.connect(server.url, input=b"hello\n")
    assert (result.status, result.out, result.err) == (0, b"hello\n", "")
    assert server.wait_closed().reason == "end of data"


def test_unix_sockets(sonde, place, tool):
    for url, address in (
        (f"unix:{place}/x.sock", f"UNIX-LISTEN:{place}/x.sock"),
        (f"unix:@sonde-e2e-connect-{os.getpid()}", f"ABSTRACT-LISTEN:sonde-e2e-connect-{os.getpid()}"),
    ):
        other = sonde.start([tool("socat"), "-d", "-d", address, "EXEC:cat"])
        other.err.wait_match("listening on")
        result = sonde.connect(url, input=b"hello\n")
        assert (result.status, result.out, result.err) == (0, b"hello\n", "")


@pytest.mark.parametrize("form", ["host port", "host:port", "url", "localhost", "localhost port"])
def test_ways_to_write_the_address(sonde, echo_peer, form):
    arguments = {
        "host port": ["127.0.0.1", echo_peer.port],
        "host:port": [f"127.0.0.1:{echo_peer.port}"],
        "url": [echo_peer.url],
        "localhost": [f"tcp://localhost:{echo_peer.port}"],
        "localhost port": ["localhost", echo_peer.port],
    }[form]
    result = sonde.connect(*arguments, input=b"hello")
    assert (result.status, result.out) == (0, b"hello"), result.process


def test_a_port_alone_is_loopback(sonde, echo_peer):
    result = sonde.connect(f":{echo_peer.port}", input=b"hello")
    assert (result.status, result.out) == (0, b"hello"), result.process


def test_ipv6(sonde, peer, ipv6):
    server = peer(harness.echo_script, family=socket.AF_INET6)
    for arguments in ([server.url], ["::1", server.port], ["-6", "localhost", server.port]):
        result = sonde.connect(*arguments, input=b"hello")
        assert (result.status, result.out) == (0, b"hello"), result.process


@pytest.mark.parametrize("sign", ["%", "%25"])
def test_ipv6_zone_in_both_spellings(sonde, peer, link_local, sign):
    address, interface = link_local
    sock = socket.socket(socket.AF_INET6)
    sock.bind((address, 0, 0, socket.if_nametoindex(interface)))
    sock.listen()
    server = peer(harness.echo_script, sock=sock)
    result = sonde.connect(f"tcp://[{address}{sign}{interface}]:{server.port}", input=b"hello")
    assert (result.status, result.out) == (0, b"hello"), result.process


# --- stdin and stdout --------------------------------------------------------------------------------------------


def test_stdin_is_a_file(sonde, echo_peer, tmp_path):
    (tmp_path / "input").write_bytes(b"from a file\n" * 1000)
    with open(tmp_path / "input", "rb") as stdin:
        result = sonde.connect(echo_peer.url, stdin=stdin)
    assert (result.status, result.out, result.err) == (0, b"from a file\n" * 1000, "")


def test_stdin_is_empty(sonde, peer):
    server = peer(slow_answer)
    result = sonde.connect(server.url, stdin=subprocess.DEVNULL)
    assert (result.status, result.out, result.err) == (0, b"you said ", "")


def test_stdin_is_closed(sonde, peer):
    """Then the socket may become descriptor 0, and must not be taken for stdin."""
    server = peer(slow_answer)
    result = sonde.connect(server.url, stdin=subprocess.DEVNULL, close=[0])
    assert (result.status, result.out) == (0, b"you said "), result.process
    server.join()


def test_stdout_is_closed(sonde, peer):
    """Then the socket may become descriptor 1, and what arrives must not be sent back to it."""
    got = []

    def script(connection, _):
        connection.sendall(b"for stdout only")
        with contextlib.suppress(ConnectionError):
            got.append(receive_all(connection))

    server = peer(script)
    sonde.connect(server.url, input=b"hi", close=[1])
    server.join()
    assert not got or b"hi".startswith(got[0])


def test_everything_closed(sonde, peer):
    got = []

    def script(connection, _):
        connection.sendall(b"for nobody")
        with contextlib.suppress(ConnectionError):
            got.append(receive_all(connection))

    server = peer(script)
    sonde.start_connect(server.url, stdin=subprocess.DEVNULL, close=[0, 1, 2]).wait()
    server.join()
    assert got in ([], [b""]), "something of ours went over the connection"


def test_stdin_comes_in_pieces(sonde, echo_peer):
    process = sonde.start_connect(echo_peer.url)
    for number in range(20):
        process.feed(b"piece %d\n" % number)
        process.out.wait_match(f"^piece {number}$")
    process.end_input()
    assert process.wait() == 0, process
    assert process.out.data == b"".join(b"piece %d\n" % number for number in range(20))


def test_bytes_are_left_alone(sonde, echo_peer):
    """stdout is no terminal: everything goes through as it is."""
    data = bytes(range(256)) + b"\x1b[31m\r\n\r\n\x00\xff" * 10
    result = sonde.connect(echo_peer.url, input=data)
    assert (result.status, result.out) == (0, data), result.process


@pytest.mark.parametrize("verbose", [False, True])
def test_stdout_closed_early_is_quiet(sonde, verbose):
    """`sonde connect URL | head -c 10`"""
    server = sonde.serve("chargen")
    process = sonde.start_connect(*(["-v"] if verbose else []), server.url, stdout=(pipe := os.pipe())[1])
    os.close(pipe[1])
    assert os.read(pipe[0], 10)
    os.close(pipe[0])
    assert process.wait() == 1, process
    if not verbose:
        assert process.err.text == ""
    server.wait_closed()


def test_in_a_pipeline_with_head(sonde):
    server = sonde.serve("chargen")
    script = f"{shlex.join(map(str, sonde.argv('connect', server.url)))} | head -c 74"
    process = sonde.start(["/bin/sh", "-c", script])
    assert process.wait() == 0
    assert len(process.out.data) == 74 and process.err.text == ""
    server.wait_closed()


def test_a_full_disk_is_said(sonde, peer):
    server = peer(lambda connection, _: connection.sendall(b"something to print"))
    with open("/dev/full", "wb") as full:
        process = sonde.start_connect(server.url, stdout=full)
        assert process.wait() == 1
    assert "No space left" in one_sentence(process.err.text) or "no space" in process.err.text.lower()


def test_a_reader_that_stops_stops_the_peer(sonde, listen, sanitized):
    """Nobody reads stdout: the peer is held back, memory stays bounded, and nothing is lost once the reader goes on."""
    sock = listen()
    pipe = os.pipe()
    process = sonde.start_connect(url_of(sock), stdout=pipe[1])
    os.close(pipe[1])
    connection, _ = harness.accept(sock)
    with connection:
        before = harness.rss_bytes(process.pid)
        sent, _ = harness.fill_until_blocked(connection)
        if not sanitized:
            assert harness.rss_bytes(process.pid) - before < 8 << 20
        connection.shutdown(socket.SHUT_WR)
        out = harness.Capture(pipe[0], "stdout")
        assert process.wait() == 0, process
        out.wait_ended()
    assert len(out.data) == sent


# --- options known from nc ---------------------------------------------------------------------------------------


def test_w_limits_the_time_to_connect(sonde, listen):
    """A full accept queue: the handshake is not answered."""
    sock = listen(backlog=0)
    waiting = [socket.create_connection(sock.getsockname()) for _ in range(1)]
    result = sonde.connect("-w", "1", url_of(sock))
    assert result.status == 1, result.process
    sentence = one_sentence(result.err)
    assert "timed out" in sentence and url_of(sock) in sentence
    hint(sentence)
    for one in waiting:
        one.close()


def test_w_is_no_limit_for_who_talks(sonde, echo_peer):
    process = sonde.start_connect("-w", "5", echo_peer.url)
    for number in range(100):
        process.feed(b"%d\n" % number)
        process.out.wait_match(f"^{number}$")
    process.end_input()
    assert process.wait() == 0, process


def test_i_waits_between_lines(sonde, peer):
    came, n_segments = [], []

    def script(connection, _):
        came.append(receive_all(connection))
        # The kernel counts what comes as it comes, however late it is read.
        n_segments.append(struct.unpack_from("I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 152)[0])

    server = peer(script)
    begin = time.monotonic()
    result = sonde.connect("-i", "0.3", server.url, input=b"one\ntwo\nthree\nfour")
    assert time.monotonic() - begin >= 0.9, "three delays are missing"
    assert result.status == 0, result.process
    server.join()
    assert came == [b"one\ntwo\nthree\nfour"]
    assert n_segments == [4], "tcpi_data_segs_in"


def closed_port():
    """A port that is bound and not listened on, so that nobody else can take it."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", harness.free_port()))
    return sock


def test_z_open_and_closed(sonde, listen):
    sock = listen()
    result = sonde.connect("-z", url_of(sock), stdin=subprocess.DEVNULL)
    assert (result.status, result.out) == (0, b""), result.process
    connection, _ = harness.accept(sock)
    assert receive_all(connection) == b"", "no data"
    connection.close()
    with closed_port() as closed:
        result = sonde.connect("-z", url_of(closed), stdin=subprocess.DEVNULL)
        assert (result.status, result.out) == (1, b""), result.process


def test_z_does_not_read_stdin(sonde, listen):
    sock = listen()
    process = sonde.start_connect("-z", "127.0.0.1", sock.getsockname()[1])  # its stdin stays open
    assert process.wait() == 0, process


def test_z_ranges(sonde):
    """Three ports side by side, the middle one closed; then all open."""
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            with contextlib.suppress(OSError), contextlib.ExitStack() as attempt:
                first = harness.free_port()
                socks = []
                for port in range(first, first + 3):
                    socks.append(attempt.enter_context(socket.socket()))
                    socks[-1].bind(("127.0.0.1", port))
                stack.enter_context(attempt.pop_all())
                break
        socks[0].listen()
        socks[2].listen()
        ports = f"{first}-{first + 2}"
        result = sonde.connect("-z", "-v", "127.0.0.1", ports, stdin=subprocess.DEVNULL)
        assert (result.status, result.out) == (1, b""), result.process
        for number in range(3):
            said = [line for line in result.err.splitlines() if re.search(rf"\b{first + number}\b", line)]
            assert said, f"nothing about port {first + number}:\n{result.err}"
            assert ("refused" in said[0]) == (number == 1), said
        socks[1].listen()
        result = sonde.connect("-z", "127.0.0.1", ports, stdin=subprocess.DEVNULL)
        assert (result.status, result.out, result.err) == (0, b"", ""), result.process
        result = sonde.connect("-zv", "127.0.0.1", ports, stdin=subprocess.DEVNULL)
        assert result.status == 0, result.process
        for number in range(3):
            assert re.search(rf"\b{first + number}\b", result.err)


def peer_address(sonde, listen, *options):
    """Where a connection comes from, as the listener sees it."""
    sock = listen()
    process = sonde.start_connect(*options, url_of(sock))
    connection, address = harness.accept(sock)
    connection.close()
    assert process.wait() == 0, process
    return address


def test_s_and_p_choose_the_local_address(sonde, listen):
    assert peer_address(sonde, listen, "-s", "127.0.0.2")[0] == "127.0.0.2"
    port = harness.free_port()
    assert peer_address(sonde, listen, "-p", port) == ("127.0.0.1", port)
    port = harness.free_port("127.0.0.3")
    assert peer_address(sonde, listen, "-s", "127.0.0.3", "-p", port) == ("127.0.0.3", port)


def test_bind_chooses_both(sonde, listen):
    assert peer_address(sonde, listen, "--bind", "127.0.0.4")[0] == "127.0.0.4"
    port = harness.free_port("127.0.0.5")
    assert peer_address(sonde, listen, "--bind", f"127.0.0.5:{port}") == ("127.0.0.5", port)


def test_bind_on_the_url(sonde, listen):
    sock = listen()
    port = harness.free_port("127.0.0.6")
    process = sonde.start_connect(f"{url_of(sock)}?bind=127.0.0.6:{port}")
    connection, address = harness.accept(sock)
    connection.close()
    assert process.wait() == 0, process
    assert address == ("127.0.0.6", port)


def test_bind_to_an_address_that_is_not_ours(sonde, listen, foreign_address):
    result = sonde.connect("--bind", foreign_address, url_of(listen()))
    assert result.status == 1
    sentence = one_sentence(result.err)
    assert foreign_address in sentence
    hint(sentence)


def test_4_and_6_choose_the_family(sonde, ipv6, peer):
    port = harness.free_port()

    def saying(word):
        return lambda connection, _: connection.sendall(word)

    four = peer(saying(b"four"), port=port)
    six = peer(saying(b"six"), family=socket.AF_INET6, port=port)
    assert four.port == six.port
    for option, word in (("-4", b"four"), ("-6", b"six")):
        result = sonde.connect(option, "localhost", port, stdin=subprocess.DEVNULL)
        assert (result.status, result.out) == (0, word), result.process


def test_localhost_finds_the_family_that_listens(sonde, peer, ipv6):
    """::1 refuses, 127.0.0.1 answers, and the other way round."""
    for family in (socket.AF_INET, socket.AF_INET6):
        server = peer(harness.echo_script, family=family, port=harness.free_port("::1"))
        result = sonde.connect(f"tcp://localhost:{server.port}", input=b"hello")
        assert (result.status, result.out, result.err) == (0, b"hello", ""), result.process


def test_v_tells_each_address_that_failed(sonde, ipv6):
    port = harness.free_port("::1")
    result = sonde.connect("-v", f"tcp://localhost:{port}", stdin=subprocess.DEVNULL)
    assert result.status == 1
    for address in (f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert any(address in line and "refused" in line for line in result.err.splitlines()), result.err


def test_4_with_an_ipv6_address_is_an_error(sonde):
    result = sonde.connect("-4", "tcp://[::1]:7", stdin=subprocess.DEVNULL)
    assert result.status in (1, 2), result.process
    assert "::1" in one_sentence(result.err)


def test_n_looks_nothing_up(sonde, echo_peer):
    result = sonde.connect("-n", "127.0.0.1", echo_peer.port, input=b"hello")
    assert (result.status, result.out) == (0, b"hello"), result.process
    result = sonde.connect("-n", "localhost", echo_peer.port, input=b"hello")
    assert (result.status, result.out) == (1, b""), result.process
    assert "localhost" in one_sentence(result.err)


def test_v_tells_who_is_connected_and_how_it_ended(sonde, echo_peer):
    result = sonde.connect("-v", echo_peer.url, input=b"hello")
    assert (result.status, result.out) == (0, b"hello")
    peer = re.escape(f"127.0.0.1:{echo_peer.port}")
    lines = result.err.splitlines()
    connected = re.fullmatch(rf"(?:sonde: )?connected (127\.0\.0\.1:\d+) -> {peer}", lines[0])
    assert connected, result.err
    closed = re.fullmatch(
        rf"(?:sonde: )?closed {re.escape(connected[1])} -> {peer} end of data, 5 bytes in, 5 out, \d+\.\d+ s", lines[1]
    )
    assert closed, result.err
    assert len(lines) == 2


NOT_BUILT = [
    ["-e", "/bin/cat"], ["-c", "cat"], ["-x", "127.0.0.1:1080"], ["-X", "5"], ["-P", "bob"], ["-t"], ["-b"],
]  # fmt: skip


@pytest.mark.parametrize("options", NOT_BUILT, ids=" ".join)
def test_options_of_nc_that_are_not_built_say_so(command, echo_peer, options):
    result = command.run("connect", *options, "127.0.0.1", echo_peer.port, input=b"hello")
    assert (result.status, result.out) == (2, b""), result.process
    sentence = one_sentence(result.err)
    assert re.search(r"sonde \w+|coming|not built|--\w+", sentence), f"no hint: {sentence!r}"
    assert echo_peer.n_connections == 0


# --- options of its own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--crlf", "-C"])
def test_crlf(sonde, listen, option):
    sock = listen()
    process = sonde.start_connect(option, url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        process.feed(b"one\ntwo\r\nthree\r")
        assert receive_exactly(connection, 16) == b"one\r\ntwo\r\nthree\r"
        process.feed(b"\n\nlast")  # the CR was there already, in the piece before
        process.end_input()
        assert receive_all(connection) == b"\n\r\nlast"
        connection.sendall(b"a\nb\r\nc")
    assert process.wait() == 0, process
    assert process.out.data == b"a\nb\r\nc", "only what is sent is changed"


def test_crlf_wherever_the_pieces_are_cut(sonde, listen):
    chance = random.Random(7)
    data = bytes(chance.choice(b"\r\nx") for _ in range(200000))
    sock = listen()
    process = sonde.start_connect("--crlf", url_of(sock))

    def feed():
        at = 0
        while at < len(data):
            size = chance.choice((1, 2, 3, 100, 4095, 4096, 65536))
            process.feed(data[at : at + size])
            at += size
        process.end_input()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    connection, _ = harness.accept(sock)
    with connection:
        got = receive_all(connection)
    feeder.join(DEADLINE)
    assert process.wait() == 0, process
    expected = re.sub(rb"(?<!\r)\n", b"\r\n", data)
    assert got == expected, harness.difference(got, expected)


def test_hex_of_much_data_is_whole(sonde, echo_peer):
    data = os.urandom(100000)
    result = sonde.connect("--hex", echo_peer.url, input=data)
    assert (result.status, result.err) == (0, ""), result.process
    for sign in ("> ", "< "):
        shown = harness.hex_dump(result.out.decode(), sign)
        assert shown == data, harness.difference(shown, data)


def test_hex_shows_both_directions(sonde, listen):
    sock = listen()
    process = sonde.start_connect("--hex", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        process.feed(b"hi\n")
        assert receive_exactly(connection, 3) == b"hi\n"
        process.out.wait_match(r"^> 00000000  68 69 0a\b.*\|hi\.\|$")
        connection.sendall(b"\x1b[0mhello, world, more than a line\n")
        process.out.wait_match(r"^< 00000000  1b 5b 30 6d 68 65 6c 6c\b.*\|\.\[0mhello, world,?.*\|$")
        process.feed(b"again")
        process.out.wait_match(r"^> 00000003  61 67 61 69 6e\b.*\|again\|$")
        process.end_input()
        assert receive_all(connection) == b"again"
    assert process.wait() == 0, process
    harness.assert_printable(process.out.data)
    assert all(re.match(r"[<>] [0-9a-f]{8}  ", line) for line in process.out.lines), process.out.text
    assert harness.hex_dump(process.out.text, "> ") == b"hi\nagain"
    assert harness.hex_dump(process.out.text, "< ") == b"\x1b[0mhello, world, more than a line\n"


def test_each_line_new_opens_a_connection_for_each(sonde, peer):
    got = {}

    def script(connection, number):
        got[number] = receive_all(connection)
        connection.sendall(b"answer %d\n" % number)

    server = peer(script)
    result = sonde.connect("--each-line", "new", server.url, input=b"two words\n\nthree\nlast, without an end")
    assert (result.status, result.err) == (0, ""), result.process
    assert result.out == b"answer 0\nanswer 1\nanswer 2\nanswer 3\n"
    server.join()
    assert [got[number] for number in sorted(got)] == [b"two words\n", b"\n", b"three\n", b"last, without an end"]


def test_each_line_new_against_a_server_that_takes_one_after_another(sonde):
    server = sonde.serve("echo", "--sequential")
    text = b"".join(b"line %d\n" % number for number in range(20))
    result = sonde.connect("--each-line", "new", server.url, input=text)
    assert (result.status, result.out, result.err) == (0, text, "")
    server.out.wait_for(lambda _: len(server.closed()) == 20, "twenty closed lines")
    assert {row.bytes_in for row in server.closed()} == {len(b"line 0\n"), len(b"line 10\n")}


def test_each_line_new_ends_with_the_first_failure(sonde, listen):
    sock = listen()
    url = url_of(sock)
    process = sonde.start_connect("--each-line", "new", url)
    process.feed(b"one\n")
    connection, _ = harness.accept(sock)
    with connection:
        assert receive_all(connection) == b"one\n"
        sock.close()
        connection.sendall(b"answer\n")
    process.out.wait_match("^answer$")
    process.feed(b"two\n")
    assert process.wait() == 1
    assert process.out.data == b"answer\n"
    assert "refused" in one_sentence(process.err.text)


def test_retry_until_the_server_is_there(sonde, peer):
    port = harness.free_port()
    process = sonde.start_connect("--retry", f"tcp://127.0.0.1:{port}")
    process.feed(b"hello")
    process.end_input()
    with harness.Observation(0.5):
        pass
    assert process.running, process
    peer(harness.echo_script, port=port)
    assert process.wait() == 0, process
    assert process.out.data == b"hello"


def test_retry_a_number_of_times(sonde):
    with closed_port() as closed:
        begin = time.monotonic()
        result = sonde.connect("--retry=2", url_of(closed), stdin=subprocess.DEVNULL)
        assert time.monotonic() - begin >= 0.3, "100 ms and 200 ms between three attempts"
        assert result.status == 1, result.process
        assert "refused" in result.err and url_of(closed) in result.err


def test_retry_for_so_long_together(sonde):
    """-w is for all attempts, each of which is refused at once."""
    with closed_port() as closed:
        result = sonde.connect("--retry", "-w", "0.5", url_of(closed), stdin=subprocess.DEVNULL)
        assert result.status == 1, result.process
        assert "refused" in one_sentence(result.err)


def test_retry_can_be_interrupted(sonde):
    with closed_port() as closed:
        process = sonde.start_connect("--retry", url_of(closed))
        with harness.Observation(0.3):
            pass
        process.signal(signal.SIGINT)
        assert process.wait() == 130


def test_once_ends_after_the_first_answer(sonde, listen):
    sock = listen()
    process = sonde.start_connect("--once", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        connection.sendall(b"first")
        assert process.wait() == 0, process
        assert process.out.data == b"first"


def test_output_goes_to_a_file(sonde, echo_peer, tmp_path):
    data = os.urandom(100000)
    path = tmp_path / "output"
    path.write_bytes(bytes(200000))  # what was there before is gone
    result = sonde.connect("--output", path, echo_peer.url, input=data)
    assert (result.status, result.out, result.err) == (0, b"", "")
    assert path.read_bytes() == data


def test_output_that_cannot_be_written(sonde, echo_peer, tmp_path):
    result = sonde.connect("--output", tmp_path / "no" / "such", echo_peer.url, input=b"hello")
    assert result.status in (1, 2), result.process
    assert str(tmp_path / "no" / "such") in one_sentence(result.err)


def test_json(sonde, echo_peer):
    result = sonde.connect("--json", echo_peer.url, input=b"hello\n")
    assert (result.status, result.err) == (0, ""), result.process
    events = harness.strict_json_lines(result.out)
    assert [event["event"] for event in events if event["event"] != "data"] == ["opened", "closed"]
    assert events[0]["peer"] == f"127.0.0.1:{echo_peer.port}"
    closed = events[-1]
    assert (closed["event"], closed["reason"], closed["bytes_in"], closed["bytes_out"], closed["unsent"]) == (
        "closed", "end", 6, 6, 0,
    )  # fmt: skip
    assert (closed["local"], closed["peer"]) == (events[0]["local"], events[0]["peer"])
    for direction in ("in", "out"):
        data = [event["bytes"] for event in events if event["event"] == "data" and event["direction"] == direction]
        assert sum(data) == 6, f"{direction}: {data}"
    harness.assert_printable(result.out)


def test_json_of_a_reset(sonde, listen):
    sock = listen()
    process = sonde.start_connect("--json", url_of(sock))
    connection, _ = harness.accept(sock)
    connection.sendall(b"hello")
    process.out.wait_match('"data"')
    harness.reset(connection)
    assert process.wait() == 1
    closed = harness.strict_json_lines(process.out.data)[-1]
    assert closed["event"] == "closed"
    assert (closed["reason"], closed["error"], closed["bytes_in"]) == ("reset", "ECONNRESET", 5)


# --- how it ends -------------------------------------------------------------------------------------------------


def test_refused(sonde):
    with closed_port() as closed:
        url = url_of(closed)
        result = sonde.connect(url, stdin=subprocess.DEVNULL)
        assert (result.status, result.out) == (1, b"")
        sentence = one_sentence(result.err)
        assert sentence.startswith(f"{url} refused the connection: nothing listens there.")
        hint(sentence)


def test_the_address_is_named_as_it_was_given(sonde):
    with closed_port() as closed:
        port = closed.getsockname()[1]
        result = sonde.connect("127.0.0.1", port, stdin=subprocess.DEVNULL)
        assert re.search(rf"127\.0\.0\.1[: ]{port}", one_sentence(result.err))
        result = sonde.connect("-4", f"tcp://localhost:{port}", stdin=subprocess.DEVNULL)
        assert f"tcp://localhost:{port}" in one_sentence(result.err)


def test_unix_refused(sonde, place):
    path = f"{place}/stale.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(path)
    for name in (path, f"{place}/never-was.sock"):
        result = sonde.connect(f"unix:{name}", stdin=subprocess.DEVNULL)
        assert (result.status, result.out) == (1, b"")
        sentence = one_sentence(result.err)
        assert name in sentence
        hint(sentence)


def test_unreachable(sonde, echo_peer, tool):
    """A network namespace of its own, whose loopback is down."""
    unshare = [tool("unshare"), "--user", "--net", "--map-root-user"]
    if subprocess.run([*unshare, "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no user namespaces here")
    result = sonde.connect("tcp://127.0.0.1:7007", prefix=unshare, stdin=subprocess.DEVNULL)
    assert (result.status, result.out) == (1, b""), result.process
    sentence = one_sentence(result.err)
    assert "tcp://127.0.0.1:7007" in sentence and "reach" in sentence
    hint(sentence)


def test_a_name_that_does_not_resolve(sonde):
    result = sonde.connect("tcp://name.invalid:7007", stdin=subprocess.DEVNULL, deadline=60)
    assert (result.status, result.out) == (1, b"")
    sentence = one_sentence(result.err)
    assert "name.invalid" in sentence
    hint(sentence)


@pytest.fixture
def silent_dns(tool):
    """What to put before a command so that no name is resolved and none is refused."""
    prefix = [
        *[tool("unshare"), "--user", "--net", "--mount", "--map-root-user"],
        *[sys.executable, str(harness.HERE / "helpers" / "silent_dns.py")],
    ]
    if subprocess.run([*prefix, "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no name spaces here, or no ip and mount in them")
    return prefix


def test_w_holds_for_the_look_up_too(sonde, silent_dns):
    result = sonde.connect("-w", "1", "tcp://name.example:7007", prefix=silent_dns, stdin=subprocess.DEVNULL)
    assert (result.status, result.out) == (1, b""), result.process
    sentence = one_sentence(result.err)
    assert "tcp://name.example:7007" in sentence and "timed out" in sentence
    hint(sentence)


def test_interrupt_while_looking_up_a_name(sonde, silent_dns):
    process = sonde.start_connect("--calls", "tcp://name.example:7007", prefix=silent_dns)

    def asks():  # two descriptors of the same kind: one asks, the other never answers
        sockets = 0
        for fd in os.listdir(f"/proc/{process.pid}/fd"):
            with contextlib.suppress(OSError):
                sockets += os.readlink(f"/proc/{process.pid}/fd/{fd}").startswith("socket:")
        return sockets >= 2

    wait_until(asks, "it asks for the name")
    process.signal(signal.SIGINT)
    assert process.wait() == 130


def test_reset(sonde, listen):
    sock = listen()
    process = sonde.start_connect(url_of(sock))
    process.feed(b"seven..")
    connection, _ = harness.accept(sock)
    assert receive_exactly(connection, 7) == b"seven.."
    connection.sendall(b"five.")
    process.out.wait_match("five")
    harness.reset(connection)
    assert process.wait() == 1
    assert process.out.data == b"five."
    sentence = one_sentence(process.err.text)
    assert sentence.startswith(f"{url_of(sock)} reset the connection after 5 bytes received, 7 sent.")
    hint(sentence)


def test_a_reset_after_both_have_ended(sonde, listen):
    """What the peer has not taken then will never be acknowledged, and nothing that is received or sent tells why."""
    sock = listen()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    process = sonde.start_connect("--eof", "close", url_of(sock))
    connection, peer = harness.accept(sock)
    process.feed(bytes(16384))
    process.end_input()

    def its_end():
        return harness.connection_row(peer, connection.getsockname())

    wait_until(lambda: its_end().state == "FIN_WAIT1", "it has ended its side")
    connection.shutdown(socket.SHUT_WR)
    wait_until(lambda: its_end().state == "CLOSING" and its_end().rx_queue == 0, "it has read our end")
    harness.reset(connection)
    assert process.wait() == 1, process
    assert "reset" in one_sentence(process.err.text)


def test_not_everything_was_taken_is_not_a_success(sonde, listen):
    """The peer ends its data in order, but never takes ours: 0 would hide the loss."""
    sock = listen()
    process = sonde.start_connect(url_of(sock))
    process.feed(b"hello")
    connection, _ = harness.accept(sock)
    harness.wait_until(lambda: harness.unread(connection) == 5, "our bytes are in the peer's kernel")
    connection.sendall(b"goodbye")
    connection.close()  # with unread data: a reset follows the data
    assert process.wait() == 1, process
    assert "reset" in one_sentence(process.err.text)


def test_interrupt(sonde, listen):
    sock = listen()
    process = sonde.start_connect("-v", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        process.err.wait_match("connected")
        process.signal(signal.SIGINT)
        assert process.wait() == 130
        assert receive_all(connection) == b""


def test_interrupt_while_connecting(sonde, listen):
    sock = listen(backlog=0)
    with socket.create_connection(sock.getsockname()):
        process = sonde.start_connect(url_of(sock))
        port = sock.getsockname()[1]
        wait_until(lambda: harness.connecting(port), "it is connecting")
        process.signal(signal.SIGINT)
        assert process.wait() == 130


def test_sigterm_ends_it(sonde, listen):
    sock = listen()
    process = sonde.start_connect("-v", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        process.err.wait_match("connected")
        process.signal(signal.SIGTERM)
        assert process.wait() == 143


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--no-such-option", "127.0.0.1", "7"],
        ["-?", "127.0.0.1", "7"],
        ["127.0.0.1", "7", "8"],
        ["tcp://127.0.0.1:7", "8"],
        ["--eof", "maybe", "127.0.0.1", "7"],
        ["--eof", "after:", "127.0.0.1", "7"],
        ["--eof", "after:soon", "127.0.0.1", "7"],
        ["--peer-eof", "maybe", "127.0.0.1", "7"],
        ["-w", "abc", "127.0.0.1", "7"],
        ["-w", "-5", "127.0.0.1", "7"],
        ["-i", "abc", "127.0.0.1", "7"],
        ["-q", "abc", "127.0.0.1", "7"],
        ["-p", "65536", "127.0.0.1", "7"],
        ["-p", "http", "127.0.0.1", "7"],
        ["-s", "not-an-address", "127.0.0.1", "7"],
        ["--bind", "1.2.3.4.5", "127.0.0.1", "7"],
        ["--each-line", "old", "127.0.0.1", "7"],
        ["--retry=abc", "127.0.0.1", "7"],
        ["--engine", "steam", "127.0.0.1", "7"],
        ["--output"],
        ["127.0.0.1", "65536"],
        ["127.0.0.1", "20-30"],  # a range, but not -z
        ["-z", "127.0.0.1", "1-70000"],
        ["--send", r"bad \q escape", "127.0.0.1", "7"],
        ["--send", "hex:4", "127.0.0.1", "7"],
        ["--send", "hex:4 8", "127.0.0.1", "7"],
        ["--send", "hex:xy", "127.0.0.1", "7"],
        ["--send", "@", "127.0.0.1", "7"],
        ["--send", "@/no/such/file", "127.0.0.1", "7"],
        ["--send", "@/", "127.0.0.1", "7"],
        ["--repeat=3", "127.0.0.1", "7"],
        ["--every", "1s", "127.0.0.1", "7"],
        ["--send", "x", "--every", "1s", "127.0.0.1", "7"],
        ["--send", "x", "--repeat=-1", "127.0.0.1", "7"],
        ["--send", "x", "--repeat=2", "--every", "0", "127.0.0.1", "7"],
        ["--send", "x", "--each-line", "new", "127.0.0.1", "7"],
        ["--send", "x", "-z", "127.0.0.1", "7"],
        ["--send", "@/dev/stdin", "--repeat=2", "127.0.0.1", "7"],
        ["--within", "1s", "127.0.0.1", "7"],
        ["--expect", "", "127.0.0.1", "7"],
        ["--expect", "x*", "127.0.0.1", "7"],
        ["--expect", "a(b", "127.0.0.1", "7"],
        ["--expect", "a)b", "127.0.0.1", "7"],
        ["--expect", r"(a)\1", "127.0.0.1", "7"],
        ["--expect", "[[:nosuch:]]", "127.0.0.1", "7"],
        ["--expect", "x", "--each-line", "new", "127.0.0.1", "7"],
        ["--expect", "x", "--verify-echo", "127.0.0.1", "7"],
        ["--expect", "x", "-z", "127.0.0.1", "7"],
        ["--verify-echo", "--once", "127.0.0.1", "7"],
        ["-k", "127.0.0.1", "7"],
        ["-l", "-z", "127.0.0.1", "7"],
        ["-l", "--retry", "127.0.0.1", "7"],
        ["-l", "--bind", "127.0.0.1:7", "7"],
        ["-l", "--proxy", "http://127.0.0.1:1", "7"],
        ["-l", "--each-line", "new", "7"],
        ["-l", "127.0.0.1", "7", "8"],
        ["-l", "-p", "7", "127.0.0.1", "8"],
        ["-l", "-n", "localhost", "7"],
        ["--proxy", "ftp://127.0.0.1:1", "127.0.0.1", "7"],
        ["--proxy", "http://127.0.0.1:1", "unix:/tmp/no-such"],
        ["--proxy", "http://127.0.0.1:1", "-z", "127.0.0.1", "7"],
    ],
    ids=" ".join,
)
def test_misuse(command, arguments):
    result = command.run("connect", *arguments)
    assert (result.status, result.out) == (2, b""), result.process
    assert sum(line.startswith("sonde: ") for line in result.err.splitlines()) == 1, result.err


def test_nothing_is_lost_over_many_short_connections(sonde):
    """Answers that come together with the end of data."""
    server = sonde.serve(("greet", "0123456789"))
    for _ in range(30):
        result = sonde.connect(server.url, stdin=subprocess.DEVNULL)
        assert (result.status, result.out, result.err) == (0, b"0123456789", "")
