# SPDX-License-Identifier: MIT
"""A hostile peer and the user's terminal: what is sent to be obeyed is shown instead."""

import os
import re
import signal
import subprocess

import pytest

import harness
from harness import url_of, wait_until

HOSTILE = {
    "colour": (b"\x1b[31mred\x1b[0m", r"\x1b[31mred"),
    "title": (b"\x1b]0;owned\x07", r"\x1b]0;owned"),
    "clear": (b"\x1b[2J\x1b[H", r"\x1b[2J"),
    "answerback": (b"\x05\x1b[c\x1b[6n\x1bZ", r"\x1b[c"),
    "clipboard": (b"\x1b]52;c;cm0gLXJm\x07", r"\x1b]52;c;"),
    "device control": (b"\x1bP$q\"p\x1b\\", r"\x1bP$q"),
    "8-bit CSI": (b"\x9b31mred", r"\x9b31mred"),
    "CSI as UTF-8": (b"\xc2\x9b31mred", "31mred"),
    "overlong ESC": (b"\xc0\x9b[31mred", "[31mred"),
    "bidi": ("user\u202etxt.exe \u2066x\u2069 \u200fy".encode(), "txt.exe"),
    "NUL": (b"a\x00b", "b"),
    "backspaces": (b"rm -rf /\x08\x08\x08\x08\x08\x08\x08\x08ls      ", "ls"),
    "shift out": (b"\x0eqqqq\x0f", "qqqq"),
    "invalid UTF-8": (b"\xff\xfe\xf8\x88\x80\x80\x80 \xed\xa0\x80 \xf4\x90\x80\x80 ok", "ok"),
    "line separator": ("a\u2028b\u0085c".encode(), "c"),
    "every byte": (bytes(range(256)), "~"),
}


def assert_harmless(data):
    """What a terminal got: text, tabs, and line ends as the terminal driver writes them."""
    harness.assert_printable(data.replace(b"\r\n", b"\n"), allowed="\n\t")


def visible(data):
    return data.decode("utf-8").replace("\r\n", "\n")


# --- sonde connect on a terminal ---------------------------------------------------------------------------------


def talk(sonde, listen, *options):
    """`sonde connect` on a terminal, connected: (terminal, connection)."""
    sock = listen()
    # Without the line editor every byte that is written is the program's answer to the peer's.
    terminal = sonde.on_terminal("connect", "--no-edit", *options, url_of(sock))
    connection, _ = harness.accept(sock)
    return terminal, connection


@pytest.mark.parametrize("what", HOSTILE)
def test_connect_shows_it_instead(sonde, listen, what):
    data, shown = HOSTILE[what]
    terminal, connection = talk(sonde, listen)
    with connection:
        connection.sendall(b"before " + data + b" after\n")
        terminal.out.wait_for(lambda data: b" after" in data, "what was sent last")
    status, written = terminal.wait()
    assert status == 0
    assert_harmless(written)
    assert shown in visible(written)


@pytest.mark.parametrize("option", ["--hex", "--json"])
def test_connect_in_its_other_forms(sonde, listen, option):
    terminal, connection = talk(sonde, listen, option)
    with connection:
        for data, _ in HOSTILE.values():
            connection.sendall(data)
    status, written = terminal.wait()
    assert status == 0
    assert_harmless(written)


def test_a_control_cut_in_two_is_not_put_together_again(sonde, listen):
    """C2 9B is a CSI; it comes in two pieces."""
    terminal, connection = talk(sonde, listen)
    with connection:
        for piece in (b"x\xc2", b"\x9b31mred y\xe2\x80", b"\xaetxt z\x1b", b"[31m end"):
            connection.sendall(piece)
            harness.wait_taken(connection)
    status, written = terminal.wait()
    assert status == 0
    assert_harmless(written)
    assert "end" in visible(written)


def test_text_cut_in_two_is_still_text(sonde, listen):
    terminal, connection = talk(sonde, listen)
    data = "你好, wörld".encode()
    with connection:
        for index in range(len(data)):
            connection.sendall(data[index : index + 1])
            harness.wait_taken(connection)
    status, written = terminal.wait()
    assert status == 0
    assert "你好, wörld" in visible(written)


def test_a_mebibyte_without_a_line_end(sonde, listen):
    terminal, connection = talk(sonde, listen)
    with connection:
        connection.sendall(b"Z" * (1 << 20) + b"end")
    status, written = terminal.wait()
    assert status == 0
    assert written.count(b"Z") == 1 << 20
    assert written.replace(b"\r\n", b"").rstrip().endswith(b"Zend")


def test_a_mebibyte_of_escapes(sonde, listen):
    terminal, connection = talk(sonde, listen)
    with connection:
        connection.sendall(b"\x1b" * (1 << 18) + b"end")
    status, written = terminal.wait()
    assert status == 0
    assert written.count(rb"\x1b") == 1 << 18
    assert_harmless(written)


def test_both_may_talk_at_any_time(sonde, listen):
    """Two terminals talking, full duplex: neither waits for the other."""
    terminal, connection = talk(sonde, listen)
    with connection:
        terminal.out.wait_match(r"connected 127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+")  # said without -v on a terminal
        connection.sendall(b"unasked\n")
        terminal.out.wait_match("^unasked\r?$")
        terminal.type(b"typed\n")
        assert harness.receive_exactly(connection, 6) == b"typed\n"
        terminal.type(b"typed again\n")
        assert harness.receive_exactly(connection, 12) == b"typed again\n"
        connection.sendall(b"unasked again\n")
        terminal.out.wait_match("^unasked again\r?$")
        terminal.type(b"\x04")  # ^D: the end of input, so the half-close
        assert harness.receive_all(connection) == b""
        connection.sendall(b"the answer\n")
    status, written = terminal.wait()
    assert status == 0
    assert "the answer" in visible(written)


def test_a_short_line_after_a_long_one(sonde, listen):
    terminal, connection = talk(sonde, listen)
    with connection:
        connection.sendall(b"a long line that leaves its tail behind\n")
        terminal.out.wait_match("behind\r?$")
        connection.sendall(b"short\n")
        terminal.out.wait_match("^short\r?$")


@pytest.mark.parametrize("how", ["the peer's end", "SIGINT", "SIGTERM", "^C", "reset"])
def test_the_terminal_is_left_as_it_was(sonde, listen, how):
    terminal, connection = talk(sonde, listen)
    with connection:
        connection.sendall(b"hello\n")
        terminal.out.wait_match("hello")
        if how.startswith("SIG"):
            terminal.signal(getattr(signal, how))
        elif how == "^C":
            terminal.type(b"\x03")
        elif how == "reset":
            harness.reset(connection)
        else:
            connection.close()
        status, written = terminal.wait()
    assert status == {"SIGINT": 130, "^C": 130, "SIGTERM": 143, "reset": 1, "the peer's end": 0}[how]
    assert terminal.after == terminal.before
    assert b"\x1b" not in written


# --- sonde serve on a terminal -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", ["--print text", "--print hex", "--json --print text", "--calls"])
def test_serve_shows_it_instead(sonde, options):
    terminal = sonde.on_terminal("serve", *options.split(), "echo", harness.LOOPBACK)
    url = terminal.out.wait_match(r'(tcp://127\.0\.0\.1:\d+)"?').group(1)
    with harness.dial(url) as sock:
        for data, _ in HOSTILE.values():
            harness.round_trip(sock, data)
    terminal.out.wait_match("closed|end of data")
    terminal.signal(signal.SIGUSR1)
    terminal.signal(signal.SIGTERM)
    status, written = terminal.wait()
    assert status == 0
    assert_harmless(written)


def test_names_of_our_own_are_harmless_too(sonde):
    """A name with control bytes in it, percent-encoded on the URL."""
    url = f"unix:@sonde-%1b]0;x%07-{os.getpid()}-{sonde.engine}"
    server = sonde.serve("echo", url=url)
    harness.assert_printable(server.out.data)
    result = sonde.connect("-v", "--calls", url, input=b"hello")
    assert (result.status, result.out) == (0, b"hello"), result.process
    harness.assert_printable(result.process.err.data)
    server.wait_closed()
    harness.assert_printable(server.out.data)


def test_serve_prints_a_mebibyte_without_a_line_end(sonde):
    terminal = sonde.on_terminal("serve", "--print", "text", "echo", harness.LOOPBACK)
    url = terminal.out.wait_match(r"listening (\S+)").group(1)
    with harness.dial(url) as sock:
        harness.exchange(sock, b"Z" * (1 << 20), seed=9)
    terminal.out.wait_match("end of data")
    terminal.signal(signal.SIGTERM)
    status, written = terminal.wait()
    assert status == 0
    assert written.count(b"Z") == 1 << 20


# --- a real terminal emulator ------------------------------------------------------------------------------------


class Tmux:
    """A tmux server of its own, with one pane of 160 x 50."""

    def __init__(self, path, socket_path, argv):
        self._tmux = [path, "-S", str(socket_path), "-f", "/dev/null"]
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        command = " ".join("'" + argument.replace("'", r"'\''") + "'" for argument in argv)
        self._env = environment
        self.run("new-session", "-d", "-x", "160", "-y", "50", command, ";", "set", "remain-on-exit", "on")
        self.title = self.display("#{pane_title}")

    def run(self, *arguments):
        done = subprocess.run(
            [*self._tmux, *arguments], env=self._env, stdout=subprocess.PIPE, timeout=harness.DEADLINE, check=True
        )
        return done.stdout.decode("utf-8")

    def display(self, what):
        return self.run("display-message", "-p", what).rstrip("\n")

    def screen(self):
        return self.run("capture-pane", "-p", "-e")  # colours and attributes as escape sequences

    def wait_for(self, text):
        wait_until(lambda: text in self.screen(), f"{text!r} is on the screen:\n{self.screen()}")
        return self.screen()

    def finish(self):
        subprocess.run([*self._tmux, "kill-server"], check=True, timeout=harness.DEADLINE)


@pytest.fixture
def tmux(tool, place, started):
    path = tool("tmux")

    def make(argv):
        made = Tmux(path, place / "tmux.sock", argv)
        started.callback(made.finish)
        return made

    return make


ATTACK = (
    b"begin \x1b]0;owned\x07\x1b]2;owned\x07\x1bkowned\x1b\\ \x1b[31mred \x9b31mred \xc2\x9b31mred "
    b"\x1b[5;5Hmoved \x1b[?1049h \x0f\x0e " + "\u202eltr".encode() + b" \x00 \xff end\n"
)


def test_connect_in_a_terminal_emulator(sonde, listen, tmux):
    sock = listen()
    pane = tmux([*sonde.argv("connect"), url_of(sock)])
    connection, _ = harness.accept(sock)
    with connection:
        connection.sendall(ATTACK)
        screen = pane.wait_for(" end")
        assert "\x1b" not in screen, "something on the screen has an attribute"
        for shown in (r"\x1b]0;owned", r"\x1b[31mred", r"\x9b31mred", r"\x1b[5;5Hmoved", r"\x1b[?1049h", r"\xff"):
            assert shown in screen, screen
        assert pane.display("#{pane_title}") == pane.title
        assert pane.display("#{alternate_on}") == "0"
        connection.sendall(b"Z" * (1 << 20) + b"\nafter a mebibyte\n")
        pane.wait_for("after a mebibyte")
        connection.sendall(b"still here\n")
        pane.wait_for("still here")


def test_serve_in_a_terminal_emulator(sonde, tmux):
    pane = tmux(sonde.serve_argv("echo", "--print", "text"))
    wait_until(lambda: re.search(r"listening (\S+)", pane.screen()), "it listens")
    url = re.search(r"listening (\S+)", pane.screen()).group(1)
    with harness.dial(url) as sock:
        harness.round_trip(sock, ATTACK)
        screen = pane.wait_for(r" end\n")
        assert "\x1b" not in screen, "something on the screen has an attribute"
        for shown in (r"\x1b]0;owned", r"\x9b31mred", r"\x1b[5;5Hmoved", r"\xff"):
            assert shown in screen.replace("\n", ""), screen
        assert pane.display("#{pane_title}") == pane.title
