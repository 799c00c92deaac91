# SPDX-License-Identifier: MIT
"""serve exec: a program for each connection."""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import resource
import signal
import socket
import stat
import subprocess

import pytest

import harness
from harness import LOOPBACK, receive_all, receive_exactly, scaled, text_address, wait_until

MIB = 1 << 20


def serve(sonde, *words, options=(), url=LOOPBACK, **keywords):
    """`sonde serve exec OPTIONS URL -- WORDS`; without words the options say what is run."""
    return sonde.serve("exec", *options, url=[url, *(["--", *words] if words else [])], sockets=1, **keywords)


def children(pid):
    return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descriptors(pid):
    return sorted(os.listdir(f"/proc/{pid}/fd"))


def is_gone(pid):
    """No such process, or one that only waits to be looked at by whoever adopted it."""
    try:
        return harness.process_state(pid) in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_child(server):
    """The process of the only connection."""
    return wait_until(lambda: children(server.pid), "a child runs")[0]


def the_line(server, pattern):
    return server.out.wait_match(pattern)


@pytest.fixture
def noise(tmp_path):
    """A file of a mebibyte in which no two places look alike."""
    path = tmp_path / "noise"
    path.write_bytes(random.Random(5).randbytes(MIB))
    return path


# --- what goes through ---------------------------------------------------------------------------------------------


def test_cat_is_an_echo_server(sonde):
    server = serve(sonde, "cat")
    data = random.Random(1).randbytes(scaled(4 * MIB, MIB))
    with server.connect() as sock:
        harness.exchange(sock, data, seed=1)
    row = server.wait_closed()
    assert (row.reason, row.bytes_in, row.bytes_out, row.unsent) == ("served, exit 0", len(data), len(data), 0)


@pytest.mark.parametrize(
    "client", [["nc.openbsd", "-N"], ["ncat"], ["socat", "-t20", "-"]], ids=lambda client: client[0]
)
def test_filters_with_other_clients(sonde, tool, client):
    server = serve(sonde, "tr", "a-z", "A-Z")
    argv = [tool(client[0]), *client[1:]]
    argv += [f"TCP:127.0.0.1:{server.port}"] if client[0] == "socat" else ["127.0.0.1", str(server.port)]
    done = subprocess.run(argv, input=b"what is said\n" * 1000, stdout=subprocess.PIPE, timeout=60, check=False)
    assert done.stdout == b"WHAT IS SAID\n" * 1000


def test_a_dialogue(sonde, tool):
    tool("bc")
    server = serve(sonde, "bc", "-q")
    with server.connect() as sock:
        for question, answer in ((b"6*7\n", b"42\n"), (b"2^70\n", b"1180591620717411303424\n")):
            sock.sendall(question)
            assert receive_exactly(sock, len(answer)) == answer
        sock.sendall(b"quit\n")
        assert receive_all(sock) == b""
    assert server.wait_closed().reason == "served, exit 0"


def test_a_shell_command(sonde):
    server = serve(sonde, options=["--sh", 'read name; echo "hello, $name" | tr a-z A-Z'])
    with server.connect() as sock:
        sock.sendall(b"world\n")
        assert receive_all(sock) == b"HELLO, WORLD\n"


def test_words_behind_the_dashes_are_the_programs(sonde):
    server = serve(sonde, "printf", "%s|", "--quiet", "-4", "--", "tcp://127.0.0.1:1", "a b", "")
    with server.connect() as sock:
        assert receive_all(sock) == b"--quiet|-4|--|tcp://127.0.0.1:1|a b||"


def test_an_answer_after_the_end_of_input(sonde):
    server = serve(sonde, "sha256sum")
    data = random.Random(2).randbytes(MIB)
    with server.connect() as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock).split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_unix_sockets(sonde, place):
    server = serve(sonde, options=["--sh", "echo $PROTO $SONDE_PEER; cat"], url=f"unix:{place}/s")
    with server.connect() as sock:
        sock.sendall(b"and back")
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == f"UNIX pid {os.getpid()} (uid {os.getuid()})\nand back".encode()


@pytest.mark.heavy
def test_many_at_once(sonde):
    n = scaled(200, 20)
    server = serve(sonde, "cat", options=["--max-children", n])
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(server.connect()) for _ in range(n)]
        for number, sock in enumerate(socks):
            sock.sendall(b"%d\n" % number)
        for number, sock in enumerate(socks):
            assert receive_exactly(sock, len(b"%d\n" % number)) == b"%d\n" % number
        assert len(children(server.pid)) == n
        for sock in socks:
            sock.shutdown(socket.SHUT_WR)
        assert all(receive_all(sock) == b"" for sock in socks)
    wait_until(lambda: len(server.closed()) == n, "all are closed")
    assert {row.reason for row in server.closed()} == {"served, exit 0"}


# --- the last output is never lost -----------------------------------------------------------------------------------


def test_the_last_output_is_never_lost(sonde, noise):
    """A program that writes a mebibyte and is gone at once, and clients of every pace."""
    server = serve(sonde, "cat", noise)
    expected = noise.read_bytes()
    for run in range(scaled(40, 8)):
        with harness.dial(server.url, rcvbuf=4096 if run % 2 else None) as sock:
            if run % 4 == 3:
                sock.shutdown(socket.SHUT_WR)
            got = bytearray()
            while chunk := sock.recv(100 + 977 * run if run % 3 == 0 else MIB):
                got += chunk
            assert got == expected, harness.difference(got, expected)
    wait_until(lambda: len(server.closed()) == scaled(40, 8), "all are closed")
    assert {(row.reason, row.bytes_out) for row in server.closed()} == {("served, exit 0", MIB)}


def test_a_client_that_reads_late_gets_all(sonde, noise):
    """Far later than a connection that has nothing more to say is waited for."""
    server = serve(sonde, "cat", *[noise] * 4)
    with harness.dial(server.url, rcvbuf=4096) as sock:
        with harness.Observation(6):
            pass
        assert server.closed() == []
        assert receive_all(sock) == noise.read_bytes() * 4
    assert server.wait_closed().reason == "served, exit 0"


def test_more_was_sent_than_the_program_reads(sonde, noise):
    """What it leaves unread must not destroy its answer (RFC 2525, 2.17), and is counted."""
    server = serve(sonde, "cat", noise)
    with server.connect() as sock:
        sock.sendall(bytes(3 * MIB))
        assert receive_all(sock) == noise.read_bytes()
    row = server.wait_closed()
    unread = re.fullmatch(r"served, exit 0, (\d+) not read", row.reason)
    assert unread and 3 * MIB - 65536 <= int(unread.group(1)) <= 3 * MIB
    assert row.bytes_in == 3 * MIB


def test_a_grandchild_says_more(sonde):
    """The program ends; what it has started still holds the pipe."""
    # The shell gives a background process no input of its own: it is handed on as descriptor 3.
    server = serve(sonde, options=["--sh", "exec 3<&0; (read line <&3; echo late) & echo early"])
    with server.connect() as sock:
        assert receive_exactly(sock, 6) == b"early\n"
        wait_until(lambda: not children(server.pid), "the program has ended and was reaped")
        assert server.closed() == []
        sock.sendall(b"go on\n")
        assert receive_all(sock) == b"late\n"
    assert server.wait_closed().reason == "served, exit 0"


def test_output_ends_before_the_program_does(sonde, tmp_path):
    """It closes its standard output and lives on: the client is told, and may still speak."""
    server = serve(sonde, options=["--sh", f"echo done; exec 1>&-; cat > {tmp_path}/heard; exit 7"])
    with server.connect() as sock:
        assert receive_all(sock) == b"done\n"
        sock.sendall(b"still there?")
        assert server.closed() == []
        sock.shutdown(socket.SHUT_WR)
        row = server.wait_closed()
    assert row.reason == "served, exit 7"
    assert (tmp_path / "heard").read_bytes() == b"still there?"


def test_input_ends_before_the_program_does(sonde):
    """It closes its standard input: the client's bytes are counted, and the output goes on."""
    server = serve(sonde, options=["--sh", "exec 0<&-; echo ready; sleep 1000"])
    with server.connect() as sock:
        assert receive_exactly(sock, 6) == b"ready\n"
        sock.sendall(bytes(MIB))
        harness.wait_taken(sock)
        harness.reset(sock)
    assert the_line(server, rf"^closed 1 \S+ <- \S+ reset by peer, still running, {MIB} not read, {MIB} bytes in")
    assert the_line(server, r"^ended 1 signal 1, ")


# --- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command, text, event",
    [("exit 0", "exit 0", {"exit": 0}), ("exit 3", "exit 3", {"exit": 3}), ("kill -9 $$", "signal 9", {"signal": 9})],
)
def test_how_it_ended_is_told(sonde, command, text, event):
    server = serve(sonde, options=["--sh", command])
    with server.connect() as sock:
        receive_all(sock)
    assert server.wait_closed().reason == f"served, {text}"
    server = serve(sonde, options=["--json", "--sh", command])
    with server.connect() as sock:
        receive_all(sock)
    row = server.wait_event("closed")
    assert {name: row[name] for name in row if name in ("exit", "signal", "running")} == event
    assert (row["reason"], row["unread"]) == ("served", 0)


def test_a_reset_hangs_up(sonde):
    server = serve(sonde, "sleep", "1000")
    sock = server.connect()
    pid = wait_child(server)
    harness.reset(sock)
    assert the_line(server, r"^closed 1 \S+ <- \S+ reset by peer, still running, ")
    assert the_line(server, r"^ended 1 signal 1$")
    assert is_gone(pid)


def test_a_reset_after_both_have_ended(sonde):
    """What the client has not taken then will never be acknowledged, and nothing that is received or sent tells why."""
    server = serve(sonde, options=["--sh", "cat > /dev/null; head -c 16384 /dev/zero"])
    with harness.dial(server.url, rcvbuf=2048) as sock:
        mine, theirs = sock.getsockname(), sock.getpeername()
        sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: harness.connection_row(theirs, mine).state == "LAST_ACK", "the program's side has ended too")
        assert harness.connection_row(theirs, mine).tx_queue > 0
        harness.reset(sock)
    assert the_line(server, r"^closed 1 \S+ <- \S+ reset by peer, exit 0, 0 bytes in, 16384 out, ")


def test_a_reset_hangs_up_in_json(sonde):
    server = serve(sonde, "sleep", "1000", options=["--json"])
    sock = server.connect()
    wait_child(server)
    harness.reset(sock)
    assert server.wait_event("closed")["running"] is True
    row = server.wait_event("ended")
    assert (row["connection"], row["signal"]) == (1, 1)


def test_whoever_ignores_the_hangup_is_killed(sonde):
    """With all of its group."""
    server = serve(sonde, options=["--sh", "trap '' HUP TERM; echo $$; sleep 1000 & echo $!; wait"])
    sock = server.connect()
    lines = sock.makefile("rb")
    pids = [int(lines.readline()), int(lines.readline())]
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [is_gone(pid) or os.kill(pid, signal.SIGKILL) for pid in pids])
        lines.close()
        harness.reset(sock)
        the_line(server, r"^closed 1 .*still running")
        assert not is_gone(pids[0])
        assert the_line(server, r"^ended 1 signal 9$")
        wait_until(lambda: all(map(is_gone, pids)), "both are gone")


def test_what_a_program_leaves_behind_goes_with_the_client(sonde):
    server = serve(sonde, options=["--sh", "sleep 1000 & echo $!"])
    sock = server.connect()
    lines = sock.makefile("rb")
    pid = int(lines.readline())
    lines.close()
    wait_until(lambda: not children(server.pid), "the program has ended")
    assert not is_gone(pid)
    harness.reset(sock)
    assert the_line(server, r"^closed 1 \S+ <- \S+ reset by peer, exit 0, ")
    wait_until(lambda: is_gone(pid), "what it has started is gone")


def test_a_clients_end_is_no_hangup(sonde):
    """A half-close only ends the input."""
    server = serve(sonde, options=["--sh", "cat; read nothing < /dev/null; sleep 0.2; echo the end"])
    with server.connect() as sock:
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b"the end\n"
    assert server.wait_closed().reason == "served, exit 0"


# --- the end of the server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_at_the_end_programs_have_their_say(sonde, number):
    """SIGTERM to them, and what they still say arrives; also when the server's terminal was closed."""
    server = serve(sonde, options=["--sh", "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.05; done"])
    with server.connect() as sock:
        assert receive_exactly(sock, 6) == b"ready\n"
        server.signal(number)
        assert receive_all(sock) == b"bye\n"
    assert server.wait() == 0
    assert server.wait_closed().reason == "stopped, exit 4"


def test_at_the_end_nobody_outlives_it(sonde):
    server = serve(sonde, options=["--drain", "0.3", "--sh", "trap '' TERM HUP; echo $$; sleep 1000 & echo $!; wait"])
    with server.connect() as sock:
        lines = sock.makefile("rb")
        pids = [int(lines.readline()), int(lines.readline())]
        assert server.terminate() == 0
        lines.close()
    assert the_line(server, r"^closed 1 .* stopped, ")
    assert re.search(r"(^ended 1|stopped,) signal 9", server.out.text, re.M)
    wait_until(lambda: all(map(is_gone, pids)), "both are gone")


def test_a_second_signal_waits_for_nobody(sonde):
    """Not even for a program whose client has gone already."""
    server = serve(sonde, options=["--drain", "1000", "--sh", "trap '' TERM HUP; echo $$; while :; do sleep 1000; done"])
    gone, stays = server.connect(), server.connect()
    pids = [int(sock.recv(100)) for sock in (gone, stays)]
    harness.reset(gone)
    the_line(server, r"^closed . .* reset by peer, still running, ")
    server.signal(signal.SIGTERM)
    wait_until(lambda: harness.accept_queue(server.port) is None, "it has heard of the first")
    with pytest.raises(AssertionError):
        server.wait(0.5)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert all(map(is_gone, pids))
    stays.close()


def test_once(sonde):
    server = serve(sonde, options=["--once", "--sh", "echo here; cat"])
    with server.connect() as sock:
        assert receive_exactly(sock, 5) == b"here\n"
        sock.sendall(b"there")
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b"there"
    assert server.wait() == 0


def test_once_waits_for_the_program(sonde):
    """The client is gone; the program has still to end."""
    server = serve(sonde, options=["--once", "--sh", "trap 'exit 5' HUP; echo here; while :; do sleep 0.05; done"])
    sock = server.connect()
    assert receive_exactly(sock, 5) == b"here\n"
    harness.reset(sock)
    assert server.wait() == 0
    assert the_line(server, r"^ended 1 exit 5$")


def bound(sonde):
    """What a client that is a burden may cost. A sanitizer keeps what was freed."""
    return (512 if sonde.sanitized else 8) * MIB


# --- one is no burden to another ----------------------------------------------------------------------------------------------


def test_a_program_that_never_reads(sonde):
    """Its client has to wait, at a bounded cost; the others don't notice. A reset is noticed all the same."""
    server = serve(sonde, options=["--sh", "read what; case $what in sleep) sleep 1000;; *) echo fine;; esac"])
    before = harness.rss_bytes(server.pid)
    flood = server.connect()
    flood.sendall(b"sleep\n")
    sent, _ = harness.fill_until_blocked(flood)
    assert sent > 65536
    assert harness.rss_bytes(server.pid) - before < bound(sonde)
    with server.connect() as sock:
        sock.sendall(b"go\n")
        assert receive_all(sock) == b"fine\n"
    cpu = harness.cpu_seconds(server.pid)
    with harness.Observation(1) as watched:
        pass
    assert harness.cpu_seconds(server.pid) - cpu < watched.elapsed / 2
    harness.reset(flood)
    assert the_line(server, r"^closed 1 .*reset by peer, still running, \d+ not read, ")
    assert the_line(server, r"^ended 1 signal 1, \d+ not read$")


def test_a_reset_while_neither_side_reads(sonde):
    """The program's output meets the reset first, when its input is not read from the client."""
    server = serve(sonde, "yes", "and on it goes")
    for number in range(1, scaled(10, 3)):
        sock = harness.dial(server.url, rcvbuf=4096)
        harness.fill_until_blocked(sock)
        harness.reset(sock)
        the_line(server, rf"^closed {number} .*reset by peer, ")
        the_line(server, rf"^ended {number} signal (1|13), ")


def test_a_client_that_never_reads(sonde):
    """Its program has to wait."""
    server = serve(sonde, "yes", "and on it goes")
    before = harness.rss_bytes(server.pid)
    deaf = harness.dial(server.url, rcvbuf=4096)
    pid = wait_child(server)
    wait_until(lambda: harness.process_state(pid) == "S", "the program waits")
    with server.connect() as sock:
        receive_exactly(sock, 4 * MIB)
    with harness.Observation(1) as watched:
        cpu = harness.cpu_seconds(server.pid)
        served = harness.cpu_seconds(pid)
    assert harness.rss_bytes(server.pid) - before < bound(sonde)
    assert harness.cpu_seconds(server.pid) - cpu < watched.elapsed / 2
    assert harness.cpu_seconds(pid) - served < watched.elapsed / 2
    deaf.close()
    the_line(server, r"^closed 1 .*, still running, ")
    the_line(server, r"^ended 1 signal (1|13)$")


def test_most_at_a_time(sonde):
    server = serve(sonde, options=["--max-children", "1", "--sh", "echo $$; cat"])
    first, second, third = (server.connect() for _ in range(3))
    with first, second, third:
        pid = int(first.recv(100))
        wait_until(lambda: harness.accept_queue(server.port) == 2, "two wait in the accept queue")
        assert children(server.pid) == [pid]
        assert harness.nothing_to_read(second)
        for sock, after in ((first, second), (second, third)):
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock) in (b"", b"%d\n" % pid)
            pid = int(after.recv(100))
            assert children(server.pid) == [pid]
        third.shutdown(socket.SHUT_WR)
        assert receive_all(third) == b""


def test_a_place_is_free_when_the_program_has_ended(sonde):
    """Not when its connection has: a client that does not end its side keeps nobody out."""
    server = serve(sonde, options=["--max-children", "1", "--max-clients", "2", "--sh", "echo $$"])
    with server.connect() as one, server.connect() as two:
        assert int(receive_all(one)) != int(receive_all(two))


# --- standard error -----------------------------------------------------------------------------------------------------------


def test_standard_error_is_labelled_and_harmless(sonde):
    command = r"printf 'plain\n\033[31mred\007\n\n' >&2; head -c 10000 /dev/zero | tr '\0' x >&2; printf '\nend' >&2"
    server = serve(sonde, options=["--sh", command])
    for number in (1, 2):
        with server.connect() as sock:
            receive_all(sock)
        server.err.wait_match(rf"^\[{number}\] end$")
        lines = [line[4:] for line in server.err.lines if line.startswith(f"[{number}] ")]
        assert lines[:3] == ["plain", r"\x1b[31mred\x07", ""]
        assert [len(line.rstrip("…")) for line in lines[3:-1]] == [4096, 4096, 10000 - 2 * 4096]
        assert [line.endswith("…") for line in lines[3:]] == [True, True, False, False]
    harness.assert_printable(server.err.data)


def test_a_line_of_what_is_left_in_the_background(sonde):
    """It is one line, however long it takes, when the program that began it has ended long since."""
    command = "(echo began >&3; read go <&4; printf 'one ' >&2; echo half >&3; read go <&4; echo line >&2; echo done >&3) & exit"
    server = serve(sonde, options=["--sh", f"exec 3>&1 4<&0; {command}"])
    with server.connect() as sock:
        for word in (b"began\n", b"half\n", b"done\n"):
            assert receive_exactly(sock, len(word)) == word
            sock.sendall(b"go\n")
        server.err.wait_match(r"^\[1\] one line$")
    assert not re.search(r"^\[1\] one $", server.err.text, re.M)


def test_last_words_on_standard_error_come_before_the_end(sonde):
    server = serve(sonde, options=["--sh", "echo last words >&2; exit 1"], prefix=["sh", "-c", 'exec "$0" "$@" 2>&1'])
    for number in range(1, scaled(20, 5)):
        with server.connect() as sock:
            receive_all(sock)
        the_line(server, rf"^closed {number} ")
        assert server.out.text.index(f"[{number}] last words") < server.out.text.index(f"closed {number} ")


def test_nobody_reads_standard_error(sonde, tmp_path):
    """Programs that complain have to wait; nobody else does, and nothing is lost."""
    fifo = tmp_path / "stderr"
    os.mkfifo(fifo)
    n_lines = 40000
    command = f"read what; [ $what = talk ] || {{ seq {n_lines} >&2; echo done; exit; }}; echo fine"
    server = serve(sonde, options=["--sh", command], prefix=["sh", "-c", f'exec 2<>"{fifo}"; exec "$0" "$@"'])
    with server.connect() as noisy:
        noisy.sendall(b"complain\n")
        pid = wait_child(server)
        with open(f"/proc/{server.pid}/fd/2", "rb", buffering=0) as reader:
            wait_until(lambda: harness.unread(reader) >= 32768, "standard error is full")
            for _ in range(5):
                with server.connect() as sock:
                    sock.sendall(b"talk\n")
                    assert receive_all(sock) == b"fine\n"
            assert not is_gone(pid)
            expected = b"".join(b"[1] %d\n" % number for number in range(1, n_lines + 1))
            got = bytearray()
            while len(got) < len(expected):
                got += reader.read(65536)
            assert got == expected, harness.difference(got, expected)
        assert receive_all(noisy) == b"done\n"


def test_nobody_reads_standard_error_to_the_end(sonde, tmp_path):
    fifo = tmp_path / "stderr"
    os.mkfifo(fifo)
    server = serve(
        sonde, "sh", "-c", "yes complaint >&2", prefix=["sh", "-c", f'exec 2<>"{fifo}"; exec "$0" "$@"']
    )
    with server.connect() as sock:
        pid = wait_child(server)
        with open(f"/proc/{server.pid}/fd/2", "rb", buffering=0) as reader:
            wait_until(lambda: harness.unread(reader) >= 32768, "standard error is full")
        sock.shutdown(socket.SHUT_WR)
        assert server.terminate() == 0
    assert is_gone(pid)


# --- a terminal ---------------------------------------------------------------------------------------------------------------


def read_until(sock, mark):
    got = b""
    while mark not in got:
        chunk = sock.recv(4096)
        assert chunk, f"the end came without {mark!r}: {got!r}"
        got += chunk
    return got


def has_the_terminal(shell, name):
    """Does a program of that name, started by the shell, get what is typed?"""
    foreground = int(pathlib.Path(f"/proc/{shell}/stat").read_text().rpartition(")")[2].split()[5])
    return foreground in children(shell) and pathlib.Path(f"/proc/{foreground}/comm").read_text() == f"{name}\n"


def test_a_shell_on_a_terminal(sonde):
    server = serve(sonde, "env", "PS1=ready> ", "sh", "-i", options=["--pty"])
    with server.connect() as sock:
        read_until(sock, b"ready> ")
        for command, answer in (
            (b"tty", rb"/dev/pts/\d+"),
            (b"stty size", rb"24 80"),
            (b"tty <&1 >&2", rb"/dev/pts/\d+"),
            (b"echo on > /dev/tty", rb"on"),
            (b"ps -o stat= -p $$", rb"Ss\S*"),
        ):
            sock.sendall(command + b"\n")
            got = read_until(sock, b"ready> ")
            assert re.fullmatch(re.escape(command) + rb"\r\n" + answer + rb"\s*\r\nready> ", got), got
        sock.sendall(b"sleep 1000\n")
        read_until(sock, b"sleep 1000\r\n")
        shell = wait_child(server)
        wait_until(lambda: has_the_terminal(shell, "sleep"), "the command has the terminal")
        sock.sendall(b"\x03")  # to the command alone
        read_until(sock, b"ready> ")
        sock.sendall(b"exit 9\n")
        receive_all(sock)
    assert server.wait_closed().reason == "served, exit 9"


def test_the_end_of_input_on_a_terminal(sonde):
    """What a person would type: once at the beginning of a line, twice inside one."""
    for text in (b"", b"one\n", b"one\ntwo"):
        server = serve(sonde, "sh", "-c", "stty -echo; echo go; exec cat", options=["--pty"])
        with server.connect() as sock:
            read_until(sock, b"go\r\n")
            sock.sendall(text)
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock) == text.replace(b"\n", b"\r\n")
        assert server.wait_closed().reason == "served, exit 0"


def test_the_last_output_on_a_terminal(sonde, noise):
    text = noise.read_bytes().hex().encode()
    noise.write_bytes(text)
    server = serve(sonde, "cat", noise, options=["--pty"])
    for run in range(scaled(10, 3)):
        with harness.dial(server.url, rcvbuf=4096 if run % 2 else None) as sock:
            got = receive_all(sock)
        assert got == text, harness.difference(got, text)


def test_a_terminal_hangs_up(sonde):
    server = serve(sonde, "sh", "-c", "stty raw -echo; echo $$; exec sleep 1000", options=["--pty"])
    sock = server.connect()
    pid = int(read_until(sock, b"\n"))
    harness.fill_until_blocked(sock)
    harness.reset(sock)
    the_line(server, r"^ended 1 signal 1")
    assert is_gone(pid)


# --- what a program finds -------------------------------------------------------------------------------------------------------


def test_three_descriptors_and_no_more(sonde, tmp_path):
    """Neither ours nor those that we were started with."""
    prefix = ["sh", "-c", 'exec 7</dev/null 8>/dev/null; exec "$0" "$@"']
    server = serve(sonde, "ls", "/proc/self/fd", prefix=prefix)
    with server.connect() as other:
        receive_all(other)
        with server.connect() as sock:
            assert receive_all(sock).split() == [b"0", b"1", b"2", b"3"]  # 3: the directory that ls looks at
    server = serve(sonde, "ls", "/proc/self/fd", options=["--pty"], prefix=prefix)
    with server.connect() as sock:
        assert receive_all(sock).split() == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("options", [[], ["--pty"]], ids=["pipes", "pty"])
def test_nothing_is_left_over(sonde, options):
    """Descriptors, processes, zombies."""
    server = serve(sonde, options=[*options, "--sh", "echo said; echo said >&2; exit 1"])
    with server.connect() as sock:
        receive_all(sock)
    server.wait_closed()
    before = wait_until(lambda: not children(server.pid) and descriptors(server.pid), "nobody is left")
    n = scaled(60, 10)
    for run in range(n):
        with server.connect() as sock:
            if run % 3:
                receive_all(sock)
            elif run % 2:
                harness.reset(sock)
    wait_until(lambda: len(server.closed()) == n + 1, "all are closed")
    wait_until(lambda: not children(server.pid), "no child is left, not even a zombie")
    wait_until(lambda: len(descriptors(server.pid)) <= len(before), f"as many descriptors as before: {before}")


def test_signals_are_as_any_program_expects_them(sonde):
    prefix = ["sh", "-c", 'trap "" HUP CHLD QUIT; exec "$0" "$@"']
    server = serve(sonde, "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", prefix=prefix)
    with server.connect() as sock:
        masks = dict(line.split() for line in receive_all(sock).decode().splitlines())
    assert int(masks["SigBlk:"], 16) == 0
    assert int(masks["SigIgn:"], 16) & ~0x180000000 == 0  # 32 and 33 are the C library's own
    assert server.wait_closed().reason == "served, exit 0"  # SIGCHLD was ignored when we were started


def test_the_environment(sonde, ipv6):
    prefix = ["env", "PROTO=nonsense", "TCPREMOTEINFO=nonsense", "NOTIFY_SOCKET=/nonsense", "KEPT=yes"]
    pattern = "^(PROTO|TCP.*|SONDE_PEER|NOTIFY_SOCKET|KEPT)="
    for url, host in ((LOOPBACK, "127.0.0.1"), ("tcp://[::1]:0", "::1")):
        server = serve(sonde, options=["--sh", f"env | grep -E '{pattern}'"], url=url, prefix=prefix)
        with server.connect() as sock:
            port = sock.getsockname()[1]
            got = dict(line.split("=", 1) for line in receive_all(sock).decode().splitlines())
            assert got == {
                "PROTO": "TCP",
                "TCPREMOTEIP": host,
                "TCPREMOTEPORT": str(port),
                "TCPLOCALIP": host,
                "TCPLOCALPORT": server.url.rpartition(":")[2],
                "SONDE_PEER": text_address(sock.getsockname()),
                "KEPT": "yes",
            }


def test_as_an_ordinary_user(sonde, nobody):
    ordinary = type(sonde)(nobody.binary, sonde.engine, sonde._started, sonde.sanitized)
    server = serve(ordinary, options=["--sh", "id -u; cat"], prefix=nobody.prefix)
    with server.connect() as sock:
        sock.sendall(b"x")
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b"%d\nx" % (65534 if nobody.prefix else os.getuid())


# --- what is said ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, says",
    [
        ([], "exec runs what?"),
        (["cat"], "exec runs what?"),
        (["--"], "exec runs what?"),
        ([LOOPBACK, "--"], "exec runs what?"),
        (["--", "surely-no-program-of-this-name"], "not found in PATH"),
        (["--", "date -u"], "--sh"),
        (["--", ""], "exec runs what?"),
        (["--", "/no/such/program"], "no such file"),
        (["--", "/etc/passwd"], "permission denied"),
        (["--", "/etc"], "directory"),
        (["--sh", "cat", "--", "cat"], "exclude each other"),
        (["--max-children", "0", "--", "cat"], "--max-children"),
    ],
)
def test_misuse(command, words, says):
    result = command.run("serve", "exec", *words)
    assert result.status == 2
    assert says in harness.one_sentence(result.err)
    assert result.out == b""


def test_options_of_exec_are_for_exec(command):
    for option in (["--sh", "cat"], ["--pty"]):
        result = command.run("serve", "echo", *option, LOOPBACK)
        assert result.status == 2
        assert "for exec" in harness.one_sentence(result.err)


def test_a_program_of_this_folder_is_named_with_it(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    result = command.run("serve", "exec", "--", "tool")
    assert result.status == 2 and "./tool" in harness.one_sentence(result.err)
    server = serve(command, "./tool")
    with server.connect() as sock:
        assert receive_all(sock) == b"found\n"


def test_it_cannot_be_started_later(sonde, tmp_path):
    """Each such client is reset, a line says why, and serving goes on."""
    program = tmp_path / "tool"
    program.write_text("no first line that names an interpreter\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    server = serve(sonde, program)
    for attempt, says in ((1, "it is no program"), (2, "no such file")):
        with pytest.raises(ConnectionResetError), server.connect() as sock:
            sock.recv(1)
        server.err.wait_match(rf"^sonde: \[{attempt}\] {re.escape(str(program))} cannot be started: .*{says}")
        assert the_line(server, rf"^closed {attempt} .*, not started, ")
        program.unlink(missing_ok=True)
    assert children(server.pid) == []


def test_descriptors_run_out(sonde):
    """A client for whose program there are none is reset; nothing leaks, and it goes on when there are some again."""
    server = serve(sonde, "cat")
    before = descriptors(server.pid)
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    for n_left in (2, 4, 6, 7):
        limit = int(max(before, key=int)) + 1 + n_left
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limits[1]))
        with pytest.raises(ConnectionResetError), server.connect() as sock:
            sock.recv(1)
        wait_until(lambda: len(descriptors(server.pid)) == len(before), "all are closed again")
        assert children(server.pid) == []
    server.err.wait_match(r"cannot be started: .*too many open files")
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
    with server.connect() as sock:
        harness.round_trip(sock, b"again")


def test_a_warning_where_anybody_may_connect(sonde):
    server = serve(sonde, "cat", url="tcp://0.0.0.0:0")
    server.err.wait_match(r"^sonde: anybody who can reach tcp://0\.0\.0\.0:\d+ can run /\S+/cat\.$")
    server.terminate()
    assert len(server.err.lines) == 1
    server = serve(sonde, "cat")
    server.terminate()
    assert server.err.text == ""


def test_json_has_no_other_lines(sonde):
    server = serve(sonde, options=["--json", "--sh", "echo out; echo err >&2"])
    with server.connect() as sock:
        receive_all(sock)
    server.wait_event("closed")
    assert server.terminate() == 0
    assert [json.loads(line)["event"] for line in server.out.lines] == ["listening", "opened", "closed"]
    assert server.err.lines == ["[1] err"]
