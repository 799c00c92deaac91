# SPDX-License-Identifier: MIT
"""sonde serve talk, and lines that are edited on a terminal, by talk and by connect: in tmux, with real peers."""

import contextlib
import itertools
import os
import re
import shlex
import signal
import socket
import subprocess
import termios
import unicodedata

import pytest

import harness
from harness import accept, assert_printable, one_sentence, url_of, wait_until

# Wide, combining, and outside the first plane; without spaces, so that no row ends with one.
WIDE = "".join(f"{i}中文é🙂ё-" for i in range(10, 24))


# --- terminals ---------------------------------------------------------------------------------------------------


class Pane:
    """A command in a terminal emulator."""

    def __init__(self, path, socket_path, command, size, environment):
        self._tmux = [path, "-S", str(socket_path), "-f", "/dev/null"]
        self._environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        for name in ("NO_COLOR", "TMUX", "COLUMNS", "LINES"):
            self._environment.pop(name, None)
        self.path = socket_path
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        script = f"stty -a > {socket_path}.before; env {words} {command}; echo status $?; stty -a > {socket_path}.after; exec sleep 600"
        self.run("new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), script, ";", "set", "-g", "status", "off")
        self.resize(*size)

    def run(self, *arguments, **keywords):
        done = subprocess.run(
            [*self._tmux, *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            timeout=harness.DEADLINE,
            check=True,
            **keywords,
        )
        return done.stdout.decode("utf-8")

    def rows(self):
        return [row.rstrip() for row in self.run("capture-pane", "-p").split("\n")]

    def text(self):
        return "\n".join(self.rows()).rstrip("\n")

    def joined(self):
        """The rows without what parts them: a line that is broken into several is found in it."""
        return "".join(self.rows())

    def cursor(self):
        return tuple(map(int, self.run("display-message", "-p", "#{cursor_x} #{cursor_y}").split()))

    def key(self, *keys):
        self.run("send-keys", *keys)

    def type(self, text):
        self.run("send-keys", "-l", "--", text)

    def paste(self, text):
        self.run("load-buffer", "-", input=text.encode())
        self.run("paste-buffer", "-p", "-r")

    def resize(self, columns, rows):
        """Until the command could know of it."""
        self.run("resize-window", "-x", str(columns), "-y", str(rows))
        terminal = os.open(self.run("display-message", "-p", "#{pane_tty}").strip(), os.O_RDONLY | os.O_NOCTTY)
        self.until(lambda: termios.tcgetwinsize(terminal) == (rows, columns), "the terminal has its new size")
        os.close(terminal)

    def until(self, predicate, what):
        try:
            return wait_until(predicate, what)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.text()}\ncursor {self.cursor()}") from None

    def wait(self, pattern):
        compiled = re.compile(pattern, re.M)
        return self.until(lambda: compiled.search(self.text()), f"/{pattern}/ is on the screen")

    def wait_line(self, line, before="> "):
        """The line being typed: whole, at the end of the screen."""
        self.until(lambda: self.joined().endswith(before + line), f"{before + line!r} is typed")

    def wait_status(self):
        return int(self.wait(r"^status (\d+)$").group(1))

    def assert_terminal_is_as_before(self):
        after = self.path.with_name(self.path.name + ".after")
        before = self.path.with_name(self.path.name + ".before")
        self.until(lambda: after.exists() and after.read_text().endswith("\n"), "stty has told")

        def modes(path):  # but for the size
            return path.read_text().split("\n", 1)[1]

        assert modes(after) == modes(before)

    def finish(self):
        subprocess.run([*self._tmux, "kill-server"], check=False, timeout=harness.DEADLINE, stderr=subprocess.DEVNULL)


@pytest.fixture
def pane(tool, place, started):
    path = tool("tmux")
    numbers = itertools.count()

    def make(argv, size=(60, 24), **environment):
        command = argv if isinstance(argv, str) else shlex.join(map(str, argv))
        made = Pane(path, place / f"tmux{next(numbers)}", command, size, environment)
        started.callback(made.finish)
        return made

    return make


@pytest.fixture
def talk(command, pane):
    """sonde serve talk on a terminal: (pane, url)."""

    def make(*options, url=harness.LOOPBACK, **keywords):
        made = pane(command.serve_argv("talk", *options, url=url), **keywords)
        listening = made.wait(r"^listening (\S+)$").group(1)
        return made, listening

    return make


class Client:
    """A peer of Python's own."""

    def __init__(self, sock):
        self.sock = sock
        self._file = sock.makefile("rb")

    def say(self, text):
        self.sock.sendall(text if isinstance(text, bytes) else text.encode())

    def hear(self):
        return self._file.readline().decode()

    def rest(self):
        return self._file.read()

    def end(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self._file.close()
        self.sock.close()


@pytest.fixture
def client(started):
    def make(url_or_sock, **keywords):
        sock = harness.dial(url_or_sock, **keywords) if isinstance(url_or_sock, str) else url_or_sock
        made = Client(sock)
        started.callback(made.close)
        return made

    return make


@pytest.fixture
def connected(command, pane, listen, client):
    """sonde connect on a terminal, and its peer: (pane, Client)."""

    def make(*options, **keywords):
        sock = listen()
        made = pane([*command.argv("connect"), *options, url_of(sock)], **keywords)
        peer = client(accept(sock)[0])
        made.wait(r"^connected ")
        return made, peer

    return make


# --- two terminals -----------------------------------------------------------------------------------------------


def test_two_terminals_talk(command, pane, talk):
    server, url = talk(size=(120, 24))
    other = pane(command.argv("connect", url))
    server.wait(r"^opened 1 ")
    server.type("hello from the server")
    server.key("Enter")
    other.wait(r"^hello from the server$")
    other.type("and hello from me")
    other.key("Enter")
    server.wait(r"^\[1\] 127\.0\.0\.1:\d+: and hello from me$")
    server.type("bye")
    server.key("Enter")
    other.wait(r"^bye$")
    other.key("C-d")
    assert other.wait_status() == 0
    server.wait(r"^closed 1 .* end of data, 18 bytes in, 26 out")
    server.type("/quit")
    server.key("Enter")
    assert server.wait_status() == 0
    for terminal in (server, other):
        terminal.assert_terminal_is_as_before()


PEERS = {
    "nc": ["nc.openbsd", "{host}", "{port}"],
    "ncat": ["ncat", "{host}", "{port}"],
    "socat": ["socat", "-", "TCP:{host}:{port}"],
}


@pytest.mark.parametrize("name", PEERS)
def test_other_tools(command, tool, talk, name):
    server, url = talk()
    host, port = harness.split_tcp(url)
    argv = [word.format(host=host, port=port) for word in PEERS[name]]
    peer = command.start([tool(argv[0]), *argv[1:]])
    server.wait(r"^opened 1 ")
    server.type("hello 中文")
    server.key("Enter")
    peer.out.wait_match(r"^hello 中文$")
    peer.feed("ответ\n".encode())
    server.wait(r"^\[1\] \S+: ответ$")
    server.type("/quit")
    server.key("Enter")
    peer.end_input()
    assert server.wait_status() == 0


def test_unix_socket(place, talk, client):
    server, url = talk(url=f"unix:{place}/talk")
    peer = client(url)
    server.wait(r"^opened 1 ")
    peer.say("hello\n")
    server.wait(r"^\[1\] pid \d+ \(uid \d+\): hello$")


# --- what comes while a line is being typed ----------------------------------------------------------------------


def check_interrupted_typing(terminal, speak, hear, shown, before):
    """A line that takes several rows stays what it is while others speak, and so does the cursor."""
    terminal.type(WIDE)
    terminal.wait_line(WIDE, before)
    for _ in range(40):
        terminal.key("Left")
    terminal.type("X")
    line = WIDE[:-40] + "X" + WIDE[-40:]
    terminal.wait_line(line, before)
    rows = terminal.text().count("\n")
    cursor = terminal.cursor()
    for number in range(12):
        speak(f"line {number}\n")
        terminal.until(lambda n=number: shown(n) in terminal.rows(), f"line {number} is shown")
        terminal.wait_line(line, before)
        at = terminal.cursor()
        assert at[0] == cursor[0], "the cursor stands at the same character"
        assert terminal.text().count("\n") - at[1] == rows - cursor[1], "and in the same row of the line"
    text = terminal.text()
    assert [int(n) for n in re.findall(r"line (\d+)$", text, re.M)] == list(range(12)), text
    assert terminal.joined().count("X") == 1, text
    # What is typed now goes where the cursor is shown.
    terminal.type("Y中")
    terminal.key("Enter")
    assert hear() == WIDE[:-40] + "XY中" + WIDE[-40:] + "\n"


def test_lines_come_while_one_is_typed_to_talk(talk, client):
    server, url = talk(size=(60, 40))
    peer = client(url)
    name = harness.text_address(peer.sock.getsockname())
    server.wait(r"^opened 1 ")
    check_interrupted_typing(server, peer.say, peer.hear, lambda n: f"[1] {name}: line {n}", "> ")


def test_lines_come_while_one_is_typed_to_connect(connected):
    terminal, peer = connected(size=(60, 40))
    check_interrupted_typing(terminal, peer.say, peer.hear, lambda n: f"line {n}", "")


def test_a_flood_while_typing(talk, client):
    server, url = talk(size=(60, 20))
    peer = client(url)
    server.wait(r"^opened 1 ")
    server.type("half a ")
    server.wait_line("half a")
    peer.say("".join(f"flood {n}\n" for n in range(5000)))
    server.type("line")
    server.wait(r": flood 4999$")
    server.wait_line("half a line")
    server.key("Enter")
    assert peer.hear() == "half a line\n"


@pytest.mark.parametrize("sizes", [[(50, 24), (110, 24), (60, 30)], [(33, 20), (80, 20), (41, 20), (40, 20)]])
def test_resizing_while_typing(talk, client, sizes):
    server, url = talk(size=(60, 30))
    peer = client(url)
    server.wait(r"^opened 1 ")
    server.type(WIDE)
    for _ in range(20):
        server.key("Left")
    server.wait_line(WIDE)
    for number, size in enumerate(sizes):
        server.resize(*size)
        # one line, whole, and nothing left of how it was drawn before
        server.until(lambda: server.joined().endswith("> " + WIDE), f"the line is whole at {size}")
        peer.say(f"n{number}\n")
        server.wait(rf": n{number}$")
        server.wait_line(WIDE)
        server.until(lambda: server.joined().count("10中文") == 1, f"nothing is left over at {size}")
    server.type("X")
    server.key("Enter")
    assert peer.hear() == WIDE[:-20] + "X" + WIDE[-20:] + "\n"


def test_a_line_that_is_longer_than_the_screen(talk, client):
    server, url = talk(size=(40, 8))
    peer = client(url)
    server.wait(r"^opened 1 ")
    text = "".join(f"{n:03}中" for n in range(150))
    server.type(text)
    server.until(lambda: server.joined().endswith("149中"), "its end is shown")
    server.key("Home")
    server.until(lambda: server.rows()[0].startswith("> 000中"), "its beginning is shown")
    peer.say("hello\n")
    server.type("X")
    server.until(lambda: server.rows()[0].startswith("> X000中"), "its beginning is shown")
    server.key("Enter")
    assert peer.hear() == "X" + text + "\n"


# --- keys --------------------------------------------------------------------------------------------------------


def test_history(talk, client):
    server, url = talk()
    peer = client(url)
    server.wait(r"^opened 1 ")
    for line in ("first 中", "second", "second"):
        server.type(line)
        server.key("Enter")
        assert peer.hear() == line + "\n"
    server.key("Up", "Up")
    server.wait_line("first 中")
    server.key("Down")
    server.wait_line("second")
    server.key("Up", "C-a")
    server.type("X")
    server.key("C-e")
    server.type("Y")
    server.wait_line("Xfirst 中Y")
    server.key("Enter")
    assert peer.hear() == "Xfirst 中Y\n"
    server.key("C-r")
    server.type("seco")
    server.wait(r"^bck[:?]seco$")
    server.key("Enter")
    assert peer.hear() == "second\n"


def test_a_paste_is_no_command(talk, client):
    server, url = talk()
    peer = client(url)
    server.wait(r"^opened 1 ")
    server.paste("/quit\n\x04\x01\t/who\n")
    server.wait_line("/quit^J^D^A^I/who")
    server.key("Enter")
    assert [peer.hear(), peer.hear()] == ["/quit\n", "\x04\x01\t/who\n"]
    server.type("still here")
    server.key("Enter")
    assert peer.hear() == "still here\n"


def test_interrupt(talk, client):
    server, url = talk()
    peer = client(url)
    server.wait(r"^opened 1 ")
    server.type("half a line")
    server.wait_line("half a line")
    server.key("C-c")
    assert peer.rest() == b""
    peer.close()
    assert server.wait_status() == 130
    server.assert_terminal_is_as_before()
    assert "half a line\n" in server.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT], ids=["TERM", "HUP", "QUIT"])
def test_signals_leave_the_terminal_as_it_was(connected, number, request):
    terminal, _ = connected()
    terminal.type("half a line")
    terminal.wait_line("half a line", "")
    shell = int(terminal.run("display-message", "-p", "#{pane_pid}"))
    with open(f"/proc/{shell}/task/{shell}/children", encoding="ascii") as file:
        os.kill(int(file.read().split()[0]), number)
    assert terminal.wait_status() == 128 + number
    terminal.assert_terminal_is_as_before()


def test_connect_is_interrupted(connected):
    terminal, _ = connected()
    terminal.type("half a line")
    terminal.wait_line("half a line", "")
    terminal.key("C-c")
    assert terminal.wait_status() == 130
    terminal.assert_terminal_is_as_before()


def test_the_end_of_input(talk, client):
    server, url = talk()
    one = client(url)
    server.wait(r"^opened 1 ")
    two = client(url)
    server.wait(r"^opened 2 ")
    server.type("ab")
    server.key("C-d")  # not on a line that holds something
    server.type("c")
    server.key("Enter")
    assert one.hear() == "abc\n"
    assert two.hear() == "abc\n"
    server.key("C-d")
    assert one.rest() == b"" and two.rest() == b""
    one.say("but I\n")
    server.wait(r"^\[1\] \S+: but I$")
    one.close()
    server.wait(r"^closed 1 .* end of data")
    assert "status" not in server.text()
    two.close()
    assert server.wait_status() == 0
    server.assert_terminal_is_as_before()


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGSTOP], ids=["TSTP", "STOP"])
def test_stop_and_continue(command, pane, tool, client, number):
    shell = pane([tool("bash"), "--norc", "-i"], PS1="shell% ")
    shell.wait(r"^shell%")
    shell.type(shlex.join(command.serve_argv("talk")))
    shell.key("Enter")
    url = shell.wait(r"^listening (\S+)$").group(1)
    peer = client(url)
    shell.wait(r"^opened 1 ")
    shell.type("before 中")
    shell.wait_line("before 中")
    if number == signal.SIGTSTP:
        shell.key("C-z")
    else:
        pid = int(shell.run("display-message", "-p", "#{pane_pid}"))
        for _ in range(2):  # the shell's shell's child
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                pid = int(file.read().split()[0])
        os.kill(pid, number)
    shell.wait(r"Stopped")
    shell.wait(r"^shell% *\Z")
    shell.type("stty | grep -c icanon; echo $((6*7))")
    shell.key("Enter")
    shell.wait(r"^42$")
    peer.say("meanwhile\n")
    shell.type("fg")
    shell.key("Enter")
    shell.wait(r"^\[1\] \S+: meanwhile$")
    shell.wait_line("before 中")
    shell.type(" after")
    shell.key("Enter")
    assert peer.hear() == "before 中 after\n"
    shell.type("/quit")
    shell.key("Enter")
    assert peer.rest() == b""
    peer.close()
    shell.wait(r"^shell% *\Z")


def test_in_the_background(command, pane, tool, client):
    shell = pane([tool("bash"), "--norc", "-i"], PS1="shell% ")
    shell.wait(r"^shell%")
    shell.type(shlex.join(command.serve_argv("talk")) + " &")
    shell.key("Enter")
    url = shell.wait(r"listening (\S+)$").group(1)
    peer = client(url)
    shell.wait(r"^opened 1 ")
    shell.type("echo $((6*7))")  # goes to the shell
    shell.key("Enter")
    shell.wait(r"^42$")
    shell.type("fg")
    shell.key("Enter")
    shell.wait(r"^> *\Z")
    shell.type("hello")
    shell.key("Enter")
    assert peer.hear() == "hello\n"
    shell.key("C-c")
    assert peer.rest() == b""
    peer.close()
    shell.wait(r"^shell% *\Z")


# --- commands ----------------------------------------------------------------------------------------------------


def test_commands(talk, client):
    server, url = talk(size=(100, 40))
    server.type("anybody?")
    server.key("Enter")
    server.wait(r"^sonde: nobody is connected: not sent\.$")
    one = client(url)
    server.wait(r"^opened 1 ")
    two = client(url)
    server.wait(r"^opened 2 ")
    two.say("12345\n")
    server.wait(r"^\[2\] \S+: 12345$")
    server.type("@2 for you")
    server.key("Enter")
    assert two.hear() == "for you\n"
    server.type("//slash")
    server.key("Enter")
    server.type(" /slash")
    server.key("Enter")
    assert [one.hear(), one.hear()] == ["/slash\n"] * 2
    assert [two.hear(), two.hear()] == ["/slash\n"] * 2
    server.type("/who")
    server.key("Enter")
    name = re.escape(harness.text_address(two.sock.getsockname()))
    server.wait(rf"^\[2\] {name} since \d\d:\d\d:\d\d, 6 bytes received, 22 sent, 0 waiting$")
    server.type("/help")
    server.key("Enter")
    server.wait(r"^/kick 2 ")
    server.wait(r"256 KiB")
    server.type("/nonsense")
    server.key("Enter")
    server.wait(r"^sonde: /nonsense is not a command: ")
    server.type("/kick 7")
    server.key("Enter")
    server.wait(r"^sonde: there is no client 7: ")
    server.type("/kick 2")
    server.key("Enter")
    assert two.rest() == b""
    two.close()
    server.wait(r"^closed 2 .* kicked, 6 bytes in, 22 out")
    server.type("/quit")
    server.key("Enter")
    assert one.rest() == b""
    one.close()
    assert server.wait_status() == 0


# --- what peers send ---------------------------------------------------------------------------------------------

HOSTILE = [
    (b"\x1b[2J\x1b[31mred\x07\n", r"\\x1b\[2J\\x1b\[31mred\\x07"),
    ("\x9b2J\u202eright\u200bto\n".encode(), r"\\u\{9b\}2J\\u\{202e\}right\\u\{200b\}to"),
    (b"\xff\xfe\xc0\xaf\n", r"\\xff\\xfe\\xc0\\xaf"),
    (b"a\0b\n", r"a\\x00b"),
    (b"over\rwritten\n", r"over\\rwritten"),
    ("combining é and 中\n".encode(), "combining é and 中"),
]


@pytest.mark.parametrize("data, shown", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bytes(talk, client, connected, data, shown):
    server, url = talk(size=(100, 20))
    peer = client(url)
    server.wait(r"^opened 1 ")
    server.type("typing")
    server.wait_line("typing")
    peer.say(data)
    server.wait(rf"^\[1\] \S+: {shown}$")
    server.wait_line("typing")
    # connect shows the same, as a line and before the line that is typed
    terminal, other = connected(size=(100, 20))
    terminal.type("typing")
    other.say(data)
    terminal.wait(rf"^{shown}$")
    terminal.wait_line("typing", "")
    other.say(data.rstrip(b"\n"))
    terminal.wait(rf"^{shown}typing$")


def test_a_megabyte_without_a_line_end(command, client):
    server, url = start_piped(command)
    peer = client(url)
    peer.say("é" * (512 * 1024))
    peer.end()
    server.out.wait_match(r"^\[1\] \S+: é+…$")
    wait_until(lambda: server.out.text.count("é") == 512 * 1024, "all of it is shown")
    lines = [line for line in server.out.lines if line.startswith("[1]")]
    assert all(line.endswith("…") and len(line) < 5000 for line in lines)
    assert_printable(server.out.data)
    server.signal(signal.SIGTERM)
    peer.close()
    assert server.wait() == 0


def test_a_line_that_does_not_end_is_shown(talk, client):
    server, url = talk()
    peer = client(url)
    server.wait(r"^opened 1 ")
    peer.say("login: ")
    server.wait(r"^\[1\] \S+: login: …$")
    peer.say("\nnext\n")
    server.wait(r"^\[1\] \S+: next$")
    assert not re.search(r"^\[1\] \S+:$", server.text(), re.M)


# --- connect -----------------------------------------------------------------------------------------------------


def test_a_prompt_of_the_peer_s(connected):
    terminal, peer = connected()
    peer.say("welcome\nlogin: ")
    terminal.wait(r"^login: *\Z")
    terminal.type("bob")
    terminal.wait_line("bob", "login: ")
    terminal.key("Enter")
    assert peer.hear() == "bob\n"
    peer.say("password: ")
    terminal.wait_line("", "password:")
    terminal.type("sécret 中")
    terminal.key("Left")
    peer.say("(caps lock is on) ")  # the peer goes on where it was
    terminal.wait_line("sécret 中", "password: (caps lock is on) ")
    peer.say("\na line\nagain: ")
    terminal.wait_line("sécret 中", "again: ")
    assert "password: (caps lock is on)\na line\nagain: " in terminal.text()
    terminal.type("X")
    terminal.key("Enter")
    assert peer.hear() == "sécret X中\n"
    assert terminal.text().count("login: bob") == 1
    peer.say("done\n")
    peer.close()
    assert terminal.wait_status() == 0
    terminal.assert_terminal_is_as_before()


def test_a_last_line_without_an_end(connected):
    terminal, peer = connected("-v", size=(120, 24))
    terminal.type("typing")
    peer.say("that was ")
    terminal.wait_line("typing", "that was ")
    peer.say("all")
    peer.close()
    assert terminal.wait_status() == 0
    terminal.wait(r"^that was all\nclosed ")


def test_connect_ends_its_input(connected):
    terminal, peer = connected()
    peer.say("name: ")
    terminal.wait(r"^name:")
    terminal.key("C-d")
    assert peer.rest() == b""
    peer.say("none\nbye\n")
    peer.close()
    assert terminal.wait_status() == 0
    assert "name: none\nbye\n" in terminal.text()
    terminal.assert_terminal_is_as_before()


def test_lines_typed_before_the_connection_stands(command, pane, listen):
    sock = listen(backlog=0)
    port = sock.getsockname()[1]
    sock.close()
    terminal = pane(command.argv("connect", "--retry", "-v", f"127.0.0.1:{port}"))
    terminal.wait(r"next attempt")
    terminal.type("early 中")
    terminal.key("Enter")
    terminal.type("half")
    terminal.wait_line("half", "")
    later = harness.listener(port=port)
    with later, contextlib.closing(Client(accept(later)[0])) as peer:
        assert peer.hear() == "early 中\n"
        terminal.wait_line("half", "")
        terminal.key("Enter")
        assert peer.hear() == "half\n"


@pytest.mark.parametrize("form", ["--hex", "--json"])
def test_other_forms_go_above_the_line(connected, form):
    terminal, peer = connected(form, size=(120, 24))
    terminal.type("typing")
    terminal.wait_line("typing", "")
    peer.say("login: ")
    terminal.wait("6c 6f 67 69 6e" if form == "--hex" else '"login: "')
    terminal.wait_line("typing", "")
    terminal.key("Enter")
    assert peer.hear() == "typing\n"


@pytest.mark.parametrize("how", ["option", "TERM=dumb", "TERM=nonsense"])
def test_without_editing(connected, how):
    options = ["--no-edit"] if how == "option" else []
    environment = {} if how == "option" else {"TERM": how.split("=")[1]}
    terminal, peer = connected(*options, **environment)
    terminal.type("half")
    terminal.wait(r"^half")
    peer.say("x")  # where it happens to come
    terminal.wait(r"halfx")
    terminal.key("Enter")
    assert peer.hear() == "half\n"
    terminal.key("C-d")
    assert peer.rest() == b""
    peer.close()
    assert terminal.wait_status() == 0


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "nonsense"}, {"TERM": ""}, {"NO_COLOR": "1"}])
def test_talk_on_other_terminals(talk, client, environment):
    server, url = talk(**environment)
    peer = client(url)
    server.wait(r"^opened 1 ")
    server.type("hello 中")
    server.key("Enter")
    assert peer.hear() == "hello 中\n"
    peer.say("answer\n")
    server.wait(r"^\[1\] \S+: answer$")
    assert "\x1b[3" not in server.run("capture-pane", "-p", "-e")
    server.key("C-d")
    assert peer.rest() == b""
    peer.close()
    assert server.wait_status() == 0
    server.assert_terminal_is_as_before()


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_characters_do_not_depend_on_the_locale(talk, client, locale):
    server, url = talk(LC_ALL=locale)
    peer = client(url)
    server.wait(r"^opened 1 ")
    server.type("é中🙂")
    server.wait_line("é中🙂")
    server.key("Left", "Left", "BSpace")
    server.wait_line("中🙂")
    assert server.cursor()[0] == 2
    server.key("Enter")
    assert peer.hear() == "中🙂\n"


# --- pipes -------------------------------------------------------------------------------------------------------


def start_piped(command, *options):
    """sonde serve talk with pipes: (process, url)."""
    process = command.start(command.serve_argv("talk", *options))
    return process, process.out.wait_match(r"^listening (\S+)$|\"url\":\"([^\"]+)\"").group(1)


def test_lines_are_read_while_somebody_is_there(command, client):
    process, url = start_piped(command)
    process.feed(b"first\nsecond\n")
    process.end_input()
    one = client(url)
    assert one.rest() == b"first\nsecond\n"
    one.say("but I\n")
    process.out.wait_match(r"^\[1\] \S+: but I$")
    assert process.running
    one.close()
    assert process.wait() == 0
    assert process.out.text.count("closed 1 ") == 1


def test_lines_wait_for_the_next_client(sonde, client):
    process, url = start_piped(sonde)
    one = client(url)
    process.feed(b"one\n")
    assert one.hear() == "one\n"
    one.close()
    process.out.wait_match(r"^closed 1 .* end of data")
    process.feed(b"two\nthe last has no end")
    two = client(url)
    assert two.hear() == "two\n"
    process.end_input()
    assert two.rest() == b"the last has no end\n"
    two.close()


def test_no_input_at_all(command, client):
    process = command.start(command.serve_argv("talk"), stdin=subprocess.DEVNULL)
    url = process.out.wait_match(r"^listening (\S+)$").group(1)
    one = client(url)
    assert one.rest() == b""
    one.say("hello\n")
    process.out.wait_match(r"^\[1\] \S+: hello$")
    one.close()
    assert process.wait() == 0
    assert process.err.text == ""


def test_once(command, client):
    process, url = start_piped(command, "--once")
    one = client(url)
    process.feed(b"hello\n")
    assert one.hear() == "hello\n"
    one.say("hi\n")
    process.out.wait_match(r"^\[1\] \S+: hi$")
    process.feed(b"/kick 1\n")
    assert one.rest() == b""
    one.close()
    assert process.wait() == 0


def test_json(command, client):
    process, _ = start_piped(command, "--json")
    url = harness.strict_json_lines(process.out.data)[0]["url"]
    one = client(url)
    process.out.wait_match('"opened"')
    two = client(url)
    process.out.wait_for(lambda data: data.count(b'"opened"') == 2, "both")
    one.say("hello\nand ")
    process.out.wait_match(r'"data"')
    process.feed("to all 中\n@2 to you\n/who\n".encode())
    assert [two.hear(), two.hear()] == ["to all 中\n", "to you\n"]
    process.err.wait_match(r"^\[2\] \S+ since ")
    process.end_input()
    for peer in (one, two):
        peer.rest()
        peer.close()
    assert process.wait() == 0
    rows = harness.strict_json_lines(process.out.data)
    said = [row for row in rows if row["event"] == "said"]
    assert [(row.get("connection"), row["clients"], row["bytes"], row["text"]) for row in said] == [
        (None, 2, 11, "to all 中\n"),
        (2, 1, 7, "to you\n"),
    ]
    data = [row for row in rows if row["event"] == "data"]
    assert "".join(row["text"] for row in data) == "hello\nand " and all(row["connection"] == 1 for row in data)


def test_threads_are_not_used(command, client):
    process = command.start(command.serve_argv("talk", "--threads", "2"))
    process.out.wait_match(r"^listening ")
    process.err.wait_match(r"\n\Z")
    assert "with talk one thread serves" in one_sentence(process.err.text)
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


@pytest.mark.heavy
def test_a_client_that_does_not_read(sonde, client):
    """Nobody waits for it, it is bounded, it is dropped, and what it did not get is counted."""
    process, url = start_piped(sonde)
    slow = client(url, rcvbuf=4096)
    process.out.wait_match(r"^opened 1")
    good = client(url)
    process.out.wait_match(r"^opened 2")
    line = "x" * 9999 + "\n"
    n_heard = 0
    while "not reading" not in process.out.text:
        process.feed(line.encode() * 5)
        for _ in range(5):
            assert good.hear() == line
        n_heard += 5 * len(line)
        assert n_heard < 64 * 1024 * 1024
    closed = process.out.wait_match(r"^closed 1 .* not reading, 0 bytes in, (\d+) out, (\d+) unsent")
    lost = int(closed.group(2))
    assert lost > 128 * 1024
    process.err.wait_match(rf"\[1\] does not read, and is dropped: {lost:,} bytes did not reach it\.")
    process.feed(b"and on\n")
    assert good.hear() == "and on\n"
    with pytest.raises(ConnectionResetError):
        slow.rest()
    good.close()
    process.end_input()
    assert process.wait() == 0


@pytest.mark.heavy
def test_a_file_goes_to_a_client_whole(sonde, client, place):
    """A pipe that is faster than the only client waits for it: nothing is dropped."""
    content = b"".join(b"%07d %s\n" % (n, b"y" * 200) for n in range(harness.scaled(100000, 5000)))
    path = place / "file"
    path.write_bytes(content)
    with open(path, "rb") as file:
        process = sonde.start(sonde.serve_argv("talk"), stdin=file)
        url = process.out.wait_match(r"^listening (\S+)$").group(1)
        one = client(url, rcvbuf=16384)
        assert one.rest() == content
    one.close()
    assert process.wait() == 0


def test_the_width_of_characters_here():
    """What the tests above take for granted."""
    assert unicodedata.east_asian_width("中") == "W" and unicodedata.east_asian_width("🙂") == "W"
    assert len(WIDE) > 3 * 20


# --- a terminal that goes away -----------------------------------------------------------------------------------


def test_a_terminal_that_is_gone_is_not_waited_for(sonde):
    """Not the controlling one, so that no SIGHUP tells: its end is the end of what is typed, and nothing spins."""
    controller, terminal = os.openpty()
    server = sonde.start(sonde.serve_argv("talk"), stdin=terminal)
    os.close(terminal)
    url = server.out.wait_match(r"^listening (\S+)$").group(1)
    with harness.dial(url) as client:
        server.out.wait_match("^opened 1 ")
        os.close(controller)
        assert client.recv(1) == b"", "there is nobody any more who could say something"
        before = harness.cpu_seconds(server.pid)
        with harness.Observation(1) as watch:
            pass
        assert harness.cpu_seconds(server.pid) - before < watch.elapsed / 10, "it spins"
        client.sendall(b"still heard\n")
        server.out.wait_match("still heard")
    assert server.wait() == 0


def test_a_line_and_the_end_in_one_go(sonde, peer):
    """As a script types them, once the terminal is the editor's."""
    controller, terminal = os.openpty()
    server = peer(lambda connection, _: harness.receive_all(connection))
    process = sonde.start(["env", "TERM=xterm", *sonde.argv("connect", server.url)], stdin=terminal, stdout=terminal)
    os.close(terminal)
    shown = b""
    while b"\x1b[?2004h" not in shown:
        shown += os.read(controller, 4096)
    os.write(controller, b"a line\r\x04")
    assert process.wait() == 0
    os.close(controller)
