# SPDX-License-Identifier: MIT
"""Hostile bytes by every way that leads to a terminal or into JSON: from peers, proxies, programs, and in names.

test_hostile.py has a few of them on the ways that are used most. Here a reference says how each byte is shown, and what
was shown or written as JSON is held against what was sent, so that nothing is lost either.
"""

import base64
import contextlib
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys

import pytest

import harness
from harness import dial, one_sentence, receive_all, strict_json_lines, url_of, wait_until

ACTIVATE = [sys.executable, str(harness.HERE / "helpers" / "activate.py")]

C1 = range(0x80, 0xA0)
PIECES = {
    "CSI": b"\x1b[31mred \x1b[2J\x1b[5;5Hmoved \x1b[?1049h \x1b[6n \x1b[c",
    "OSC": b"\x1b]0;owned\x07 \x1b]2;owned\x1b\\ \x1b]52;c;cm0gLXJm\x07 \x1b]8;;file:///x\x07",
    "DCS and others": b"\x1bP$q\"p\x1b\\ \x1bP+q544e\x1b\\ \x1b_apc\x1b\\ \x1b^pm\x1b\\ \x1bXsos\x1b\\ \x1bkname\x1b\\",
    "two-byte escapes": b"\x1bc \x1b(0 \x1b#8 \x1b= \x1bZ \x1b7 \x1b8 \x1bM \x1bN",
    "C1 bytes": bytes(C1),
    "C1 as UTF-8": "".join(map(chr, C1)).encode(),
    "bidi": " ".join(harness.BIDI).encode() + b" txt.exe",
    "overlong": b"\xc0\x9b[31m \xe0\x80\x9b[31m \xf0\x80\x80\x9b[31m \xc1\xbf",
    "surrogates": b"\xed\xa0\x80 \xed\xbf\xbf \xed\xa0\xbd\xed\xb8\x80",
    "past the last character": b"\xf4\x90\x80\x80 \xf5\x80\x80\x80 \xf8\x88\x80\x80\x80 \xfe\xff",
    "cut characters": b"\xe2\x82x \xf0\x9f\x98x \xc3x \xe2\xe2\x82\x80",
    "cut before a control": b"\xe2\x82\x1b[31m \xc2\x1b[31m \xf0\x9f\x07",
    "NUL, DEL, BEL, ENQ": b"a\0b\x7fc\x07d\x05e",
    "backspaces": b"rm -rf /\x08\x08\x08\x08\x08\x08\x08\x08ls      ",
    "shifts": b"\x0eqqqq\x0f \x8fq \x8eq",
    "CR": b"over\rwritten",
    "line ends of others": "a\u2028b\u2029c\u0085d\x0be\x0cf".encode(),
    "nothing to be seen": "a\u200bb\ufeffc\u2060d".encode(),
    "harmless": "combining e\u0301, wide 中文, 🙂, tab no, backslash \\x1b[31m".encode(),
}
FLOOD = ("e" + "\u0301" * 500).encode()
ATTACK = b"\n".join(PIECES.values()) + b"\n"  # each a line
NAME = b"\x1b]0;owned\x07\x9b31m\xc2\x9b2J\xff" + "\u202egnp.\u2028".encode()  # a name with no NUL, / and space


def shown(data, backslash="\\"):
    """How a line's bytes are shown."""
    text = ""
    while data:
        for n_bytes in (1, 2, 3, 4):
            with contextlib.suppress(UnicodeDecodeError):
                char = data[:n_bytes].decode("utf-8")
                break
        else:
            text, data = text + rf"\x{data[0]:02x}", data[1:]
            continue
        data = data[n_bytes:]
        code = ord(char)
        if char == "\\":
            text += backslash
        elif char in "\t\n\r":
            text += {"\t": r"\t", "\n": r"\n", "\r": r"\r"}[char]
        elif code < 0x20 or code == 0x7F:
            text += rf"\x{code:02x}"
        elif 0x80 <= code < 0xA0 or char in harness.BIDI or char in "\u2028\u2029\u200b\ufeff\u2060":
            text += rf"\u{{{code:x}}}"
        else:
            text += char
    return text


def harmless(data, allowed=rb""):
    """What a terminal got: text, tabs and line ends, once the control sequences are left out that we write ourselves.
    Returns the text."""
    data = re.sub(allowed, b"", data) if allowed else data
    data = re.sub(rb"\r+\n", b"\n", data)
    harness.assert_printable(data, allowed="\n\t")
    return data.decode("utf-8")


def assert_shown(text, before="", pieces=PIECES, backslash="\\"):
    for name, piece in pieces.items():
        wanted = shown(piece, backslash)
        found = re.search(rf"{before}{re.escape(wanted)}(?:\n|$)", text)
        assert found, f"{name}: {wanted!r} is not shown in\n{text}"


@pytest.fixture
def on_terminal(sonde, started):
    """A command on a terminal that could edit lines, without colours: every escape sequence is somebody's."""

    def make(verb, *arguments, **environment):
        words = {"TERM": "xterm-256color", "NO_COLOR": "1", **environment}
        argv = ["env", *(f"{name}={value}" for name, value in words.items()), *sonde.argv(verb, *arguments)]
        made = harness.Terminal(argv)
        started.callback(made.finish)
        return made

    return make


def listening(terminal):
    return terminal.out.wait_match(r"listening (tcp://[\d.]+:\d+)").group(1)


def ended(terminal, number=signal.SIGTERM):
    terminal.signal(number)
    return terminal.wait()


# --- what a terminal gets --------------------------------------------------------------------------------------------


def test_the_reference_itself():
    assert shown(b"a\x1b\xc2\x9b\xff\xe2\x82x\r\n") == r"a\x1b\u{9b}\xff\xe2\x82x\r\n"
    for piece in PIECES.values():
        harness.assert_printable(shown(piece).encode())
        assert b"\n" not in piece
    with pytest.raises(AssertionError):
        harmless(b"x\x1b[31m", rb"\x1b\[K")


@pytest.mark.parametrize("cut", [None, 1, 2, 3], ids=["whole", "bytes", "pairs", "threes"])
def test_echo_prints_text(on_terminal, cut):
    terminal = on_terminal("serve", "echo", "--print", "text", harness.LOOPBACK)
    with dial(listening(terminal)) as sock:
        for at in range(0, len(ATTACK), cut or len(ATTACK)):
            sock.sendall(ATTACK[at : at + (cut or len(ATTACK))])
            if cut:
                harness.wait_acknowledged(sock)
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == ATTACK
    terminal.out.wait_match("^closed 1 ")
    status, written = ended(terminal)
    assert status == 0
    text = harmless(written)
    if not cut:
        assert shown(ATTACK, backslash="\\\\") in text


def test_echo_prints_hex(on_terminal):
    terminal = on_terminal("serve", "echo", "--print", "hex", harness.LOOPBACK)
    with dial(listening(terminal)) as sock:
        harness.round_trip(sock, ATTACK)
    terminal.out.wait_match("^closed 1 ")
    status, written = ended(terminal)
    assert status == 0
    rows = re.findall(r"([0-9a-f]{8})  ((?:[0-9a-f]{2} +)+)\|", harmless(written))
    assert bytes.fromhex("".join(row for _, row in rows).replace(" ", "")) == ATTACK


@pytest.mark.parametrize("size", [500, 2000])
def test_marks_without_number_on_one_letter(on_terminal, listen, size):
    sock = listen()
    flood = ("e" + "\u0301" * size).encode()
    terminal = on_terminal("connect", "--no-edit", url_of(sock))
    with harness.accept(sock)[0] as connection:
        connection.sendall(flood + b"\nnext\n")
    status, written = terminal.wait()
    assert status == 0
    text = harmless(written)
    assert "\nnext\n" in text
    assert text.count("\u0301") + text.count(r"\u{301}") == size


# What our line editor writes by itself: bracketed paste on and off, cursor up, clear to the end of line or screen.
EDITOR = rb"\x1b\[\?2004[hl]|\x1b\[A|\x1bM|\x1b\[K|\x1b\[J|\r(?!\n)"


@pytest.mark.parametrize("how", ["edited", "--no-edit", "TERM=dumb"])
def test_connect(on_terminal, listen, how):
    sock = listen()
    options = ["--no-edit"] if how == "--no-edit" else []
    environment = {"TERM": "dumb"} if how == "TERM=dumb" else {}
    terminal = on_terminal("connect", *options, url_of(sock), **environment)
    with harness.accept(sock)[0] as connection:
        terminal.out.wait_match("connected ")
        terminal.type(b"typing")
        terminal.out.wait_for(lambda data: b"typing" in data, "what is typed")  # not in the midst of what comes
        connection.sendall(ATTACK)
        terminal.out.wait_for(lambda data: b"backslash" in data, "what was sent last")
        connection.sendall(ATTACK[: len(ATTACK) // 2] + b"last")
        terminal.out.wait_for(lambda data: b"last" in data, "what was sent last")
    status, written = terminal.wait()
    assert status == 0
    text = harmless(written, EDITOR if how == "edited" else b"")
    if how == "edited":
        assert b"\x1b[?2004h" in written, "lines are not edited: the test is about another way"
    assert_shown(text, before=r"(?:typing|\n)" if how != "edited" else "")


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_connect_in_pieces(on_terminal, listen, cut):
    """No piece completes what another began."""
    sock = listen()
    terminal = on_terminal("connect", url_of(sock))
    with harness.accept(sock)[0] as connection:
        for at in range(0, len(ATTACK), cut):
            connection.sendall(ATTACK[at : at + cut])
            harness.wait_acknowledged(connection)
        connection.sendall(b"<last>\n")
    status, written = terminal.wait()
    assert status == 0
    assert "<last>" in harmless(written, EDITOR)


@pytest.mark.parametrize("options", [["--hex"], ["--trace"], ["--calls"], ["-v"], ["--json"]], ids=" ".join)
@pytest.mark.parametrize("who", ["connects", "listens"])
def test_connect_in_other_forms(on_terminal, listen, options, who):
    if who == "connects":
        sock = listen()
        terminal = on_terminal("connect", "--no-edit", *options, url_of(sock))
        connection = harness.accept(sock)[0]
    else:
        terminal = on_terminal("connect", "--no-edit", *options, "-l", "127.0.0.1", "0")
        connection = dial(terminal.out.wait_match(r"(tcp://127\.0\.0\.1:\d+)").group(1))
    with connection:
        connection.sendall(ATTACK)
        harness.wait_taken(connection)
    status, written = terminal.wait()
    assert status == 0
    text = harmless(written)
    if options == ["--hex"]:
        assert harness.hex_dump(text, "< ") == ATTACK


@pytest.mark.parametrize("service", [["echo"], ["talk"], ["exec", "--sh", "cat"]], ids=lambda words: words[0])
def test_traces_of_services(on_terminal, service):
    terminal = on_terminal("serve", *service, "--trace", harness.LOOPBACK)
    with dial(listening(terminal)) as sock:
        sock.sendall(ATTACK)
        if service == ["talk"]:
            harness.wait_taken(sock)
        else:
            assert harness.receive_exactly(sock, len(ATTACK)) == ATTACK
    status, written = ended(terminal)  # what the ladder still has to say is said then
    assert status == 0
    text = harmless(written, EDITOR if service == ["talk"] else b"")
    assert r"\x1b[31mred" in text and "LISTEN" in text


def test_talk(on_terminal):
    terminal = on_terminal("serve", "talk", harness.LOOPBACK)
    with dial(listening(terminal)) as sock:
        terminal.out.wait_match("opened 1 ")
        terminal.type(b"typing")
        terminal.out.wait_for(lambda data: b"typing" in data, "what is typed")
        sock.sendall(ATTACK + FLOOD + b"\n")
        terminal.out.wait_for(lambda data: b"backslash" in data, "the last line")
        terminal.type(b"\x15/who\r")
        terminal.out.wait_match(r"\[1\] \S+ since ")
        sock.sendall(PIECES["CSI"])  # unfinished
        terminal.out.wait_for(lambda data: data.count(rb"\x1b[6n") == 2, "the unfinished line")
        terminal.type(b"/kick 1\r")
        assert receive_all(sock) == b""
    terminal.out.wait_match("closed 1 ")
    status, written = ended(terminal)
    assert status == 0
    assert b"\x1b[?2004h" in written, "lines are not edited: the test is about another way"
    assert_shown(harmless(written, EDITOR), before=r"\[1\] 127\.0\.0\.1:\d+: ")


@pytest.mark.parametrize("options", [[], ["--pty"]], ids=["pipes", "pty"])
def test_exec_s_standard_error(on_terminal, options):
    """The client's bytes, by way of its program. On a terminal of its own they go to the client, and nowhere else."""
    command = "stty raw -echo; echo ready; cat >&2" if options else "echo ready; cat >&2"
    terminal = on_terminal("serve", "exec", *options, "--sh", command, harness.LOOPBACK)
    with dial(listening(terminal)) as sock:
        assert harness.receive_exactly(sock, 5) == b"ready"
        sock.sendall(ATTACK + FLOOD + b"\n")
        if options:
            wait_until(lambda: harness.unread(sock) > len(ATTACK), "it comes back")
            harness.reset(sock)
        else:
            sock.sendall(b"Q" * (1 << 20) + b"\nlast\n")
            terminal.out.wait_for(lambda data: b"[1] last" in data, "the last line")
            sock.shutdown(socket.SHUT_WR)
            receive_all(sock)
    terminal.out.wait_match("closed 1 ")
    status, written = ended(terminal)
    assert status == 0
    text = harmless(written)
    if options:
        assert "owned" not in text
    else:
        assert text.count("Q") == 1 << 20
        assert_shown(text, before=r"\[1\] ", backslash="\\\\")


# --- a terminal emulator, and all that is written to it -----------------------------------------------------------


@pytest.fixture
def pane(tool, place, started):
    """A command in tmux: (tmux(...), the file that holds every byte it writes to its terminal)."""
    tmux = [tool("tmux"), "-S", str(place / "tmux.sock"), "-f", "/dev/null"]
    environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    environment.pop("TMUX", None)

    def run(*words):
        done = subprocess.run([*tmux, *words], env=environment, stdout=subprocess.PIPE, timeout=harness.DEADLINE, check=True)
        return done.stdout.decode("utf-8")

    def make(argv):
        raw = place / "raw"
        script = f"read go; NO_COLOR=1 {shlex.join(map(str, argv))}; echo over; read go"
        run("new-session", "-d", "-x", "160", "-y", "50", script)
        started.callback(lambda: subprocess.run([*tmux, "kill-server"], check=False, stderr=subprocess.DEVNULL))
        run("pipe-pane", "-O", f"cat > {shlex.quote(str(raw))}")
        wait_until(raw.exists, "tmux writes down what the pane gets")
        run("send-keys", "Enter")
        return run, raw

    return make


@pytest.mark.parametrize("verb", ["connect", "talk"])
def test_in_a_terminal_emulator(sonde, pane, listen, verb):
    sock = listen()
    run, raw = pane(sonde.argv("connect", url_of(sock)) if verb == "connect" else sonde.serve_argv("talk"))
    if verb == "connect":
        connection = harness.accept(sock)[0]
    else:
        found = wait_until(lambda: re.search(rb"listening (\S+)\r?\n", raw.read_bytes()), "it listens")
        connection = dial(found.group(1).decode())
    with connection:
        wait_until(lambda: re.search(rb"connected |opened 1 ", raw.read_bytes()), "the connection stands")
        title = run("display-message", "-p", "#{pane_title}")
        run("send-keys", "-l", "typing")
        wait_until(lambda: raw.read_bytes().endswith(b"typing"), "what is typed is shown")
        connection.sendall(ATTACK)
        wait_until(lambda: b"backslash" in raw.read_bytes(), "the last line is shown")
        wait_until(lambda: run("capture-pane", "-p").rstrip().endswith("typing"), "the line typed is there again")
        assert run("display-message", "-p", "#{pane_title} #{alternate_on}") == title.rstrip("\n") + " 0\n"
        run("send-keys", "C-u")
        run("send-keys", "C-c")
        with contextlib.suppress(OSError):  # who has gone already
            connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: b"over" in raw.read_bytes().split(b"backslash")[-1], "it has ended")
    text = harmless(raw.read_bytes(), EDITOR)
    before = r"\[1\] 127\.0\.0\.1:\d+: " if verb == "talk" else ""
    short = {name: piece for name, piece in PIECES.items() if len(shown(piece)) < 100}  # rows are broken after 160
    assert_shown(text, before=before, pieces=short)


# --- JSON --------------------------------------------------------------------------------------------------------


def data_of(events, **match):
    """The bytes of the `data` events."""
    whole = b""
    for event in events:
        if event["event"] == "data" and all(event.get(name) == value for name, value in match.items()):
            assert ("text" in event) != ("base64" in event), event
            piece = event["text"].encode() if "text" in event else base64.b64decode(event["base64"], validate=True)
            assert len(piece) == event["bytes"], event
            whole += piece
    return whole


def json_events(data):
    harness.assert_printable(data)
    assert data.endswith(b"\n")
    return strict_json_lines(data)


EVERYTHING = ATTACK + FLOOD + bytes(range(256)) + "\ud7ff\ue000\U0010ffff".encode()


@pytest.mark.parametrize("cut", [None, 1])
def test_json_of_echo(sonde, cut):
    server = sonde.serve("echo", "--json", "--print", "text")
    with server.connect() as sock:
        for at in range(0, len(EVERYTHING), cut or len(EVERYTHING)):
            sock.sendall(EVERYTHING[at : at + (cut or len(EVERYTHING))])
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == EVERYTHING
    server.wait_event("closed")
    assert server.terminate() == 0
    assert data_of(json_events(server.out.data)) == EVERYTHING


@pytest.mark.parametrize("piece", [*PIECES.values(), FLOOD, b"plain", b"\xe4\xb8"], ids=[*PIECES, "flood", "plain", "cut"])
def test_json_of_connect(sonde, listen, piece):
    sock = listen()
    process = sonde.start_connect("--json", url_of(sock))
    with harness.accept(sock)[0] as connection:
        process.feed(piece)
        process.end_input()
        assert receive_all(connection) == piece
        connection.sendall(piece)
    assert process.wait() == 0
    events = json_events(process.out.data)
    assert data_of(events, direction="in") == data_of(events, direction="out") == piece


def test_json_of_talk(sonde):
    """What clients say, and what is said to them."""
    process = sonde.start(sonde.serve_argv("talk", "--json"))
    url = process.out.wait_match(r'"url":"([^"]+)"').group(1)
    with dial(url) as sock:
        sock.sendall(EVERYTHING)
        process.out.wait_match('"bytes"')
        process.feed(ATTACK)
        assert harness.receive_exactly(sock, len(ATTACK)) == ATTACK
        process.end_input()
        assert receive_all(sock) == b""
    assert process.wait() == 0
    events = json_events(process.out.data)
    assert data_of(events) == EVERYTHING
    said = [event for event in events if event["event"] == "said"]
    assert len(said) == len(PIECES)
    for event, piece in zip(said, PIECES.values()):
        if "text" in event:
            assert event["text"].encode().rstrip(b"\n") == piece
        elif "base64" in event:
            assert base64.b64decode(event["base64"]).rstrip(b"\n") == piece
    harness.assert_printable(process.err.data)


def test_json_of_exec(sonde):
    server = sonde.serve(("exec",), "--json", "--sh", "cat >&2; printf '\\033]0;x\\007'")
    with server.connect() as sock:
        sock.sendall(EVERYTHING)
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b"\x1b]0;x\x07"
    server.wait_event("closed")
    assert server.terminate() == 0
    events = json_events(server.out.data)
    assert sum(event["bytes"] for event in events if event["event"] == "data") == len(EVERYTHING)
    harness.assert_printable(server.err.data)


def test_json_of_hostile_unix_names(sonde, place):
    """The address is in every event, and its bytes are no UTF-8."""
    path = os.fsencode(place) + b"/" + NAME
    url = "unix:" + "".join(f"%{byte:02x}" for byte in path)
    server = sonde.serve("echo", "--json", url=url)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(harness.DEADLINE)
        sock.connect(path)
        harness.round_trip(sock, b"hello")
    server.wait_event("closed")
    assert server.terminate() == 0
    json_events(server.out.data)


# --- sentences ---------------------------------------------------------------------------------------------------


def sentence_of(result, status):
    assert result.status == status, result.process
    harness.assert_printable(result.process.err.data)
    return one_sentence(result.err)


@pytest.fixture
def says(started):
    """A server that says this to each client and ends: its URL."""

    def make(data, first=0):
        def script(connection, _):
            if first:
                connection.recv(first)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                receive_all(connection)

        peer = harness.Peer(script)
        started.callback(peer.finish)
        return peer

    return make


@pytest.mark.parametrize("pattern", [b"never", b"\x1b\\[31m\x07 never", b"\xc2\x9b\xff never", "\u202enever".encode()])
def test_an_expectation_that_fails(sonde, says, pattern):
    peer = says(ATTACK)
    result = sonde.connect("--expect", os.fsdecode(pattern), "--output", "/dev/null", peer.url, stdin=subprocess.DEVNULL)
    assert "never" in sentence_of(result, 1)


@pytest.mark.parametrize("name", PIECES)
def test_an_echo_that_differs(sonde, says, name):
    piece = PIECES[name]
    peer = says(piece, first=100)
    result = sonde.connect("--verify-echo", "--send", "~another thing", peer.url)
    assert re.search(" ".join(f"{byte:02x}" for byte in piece[:4]), sentence_of(result, 1))


PROXY_ANSWERS = {
    "status line": b"HTTP/1.1 403 " + PIECES["OSC"] + PIECES["C1 bytes"] + PIECES["bidi"] + b"\r\n\r\n",
    "status": b"HTTP/1.1 \x1b[31m \x07\r\n\r\n",
    "version": b"HTTP/\x1b]0;x\x07 200 OK\r\n\r\n",
    "a long status line": b"HTTP/1.1 500 " + b"\x1b[31m" * 20000 + b"\r\n\r\n",
    "header lines": b"HTTP/1.1 502 Bad\r\n" + ATTACK.replace(b"\n", b"\r\n") + b"\r\n",
    "no end": b"HTTP/1.1 200 OK\r\nX: " + b"\x1b]0;x" * (1 << 16),
    "no HTTP": ATTACK,
    "nothing": b"",
    "NUL": b"\0" * 100,
}


@pytest.mark.parametrize("what", PROXY_ANSWERS)
@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_a_hostile_proxy(sonde, says, scheme, what):
    peer = says(PROXY_ANSWERS[what], first=1)
    proxy = peer.url.replace("tcp", scheme)
    result = sonde.connect("--proxy", proxy, "tcp://192.0.2.1:80", stdin=subprocess.DEVNULL)
    assert "proxy" in sentence_of(result, 1)
    assert result.out == b""


SOCKS_REPLIES = {
    "method": b"\x05\x1b",
    "version": b"\x1b\x00",
    "reply code": b"\x05\x00" + b"\x05\x9b\x00\x01" + bytes(6),
    "address kind": b"\x05\x00" + b"\x05\x00\x00\x1b" + bytes(300),
    "a name": b"\x05\x00" + b"\x05\x05\x00\x03\xff" + b"\x1b]0;x\x07\x9b" * 50 + bytes(9),
    "cut": b"\x05\x00\x05\x00\x00\x03\xff\x1b]0;x",
}


@pytest.mark.parametrize("what", SOCKS_REPLIES)
def test_a_hostile_socks_server(sonde, says, what):
    peer = says(SOCKS_REPLIES[what], first=1)
    result = sonde.connect("--proxy", peer.url.replace("tcp", "socks5"), "tcp://192.0.2.1:80", stdin=subprocess.DEVNULL)
    assert "proxy" in sentence_of(result, 1)


@pytest.mark.parametrize(
    "url",
    [
        b"tcp://" + NAME + b":80",
        b"tcp://%1b%5d0;x%07:80",
        b"tcp://a\x1b[31mb.test:80",
        "tcp://\u202etset.a:80".encode(),
        b"tcp://\xc0\x9b.test:80",
        b"tcp://[::1%" + NAME + b"]:80",
        b"tcp://127.0.0.1:8\x1b[31m0",
        b"tcp://127.0.0.1:80?\x1b[31m=\x07",
        NAME + b"://x",
        b"unix:/nowhere/" + NAME,
        b"unix:@" + NAME,
        b"fd://" + NAME,
    ],
    ids=range(12),
)
@pytest.mark.parametrize("verb", ["connect", "serve"])
def test_hostile_addresses(sonde, verb, url):
    words = [] if verb == "connect" else ["echo"]
    if verb == "serve" and url.startswith((b"unix:@",)):
        pytest.skip("a name like any other")
    result = sonde.run(*sonde.argv(verb, *words, os.fsdecode(url))[1:], deadline=harness.DEADLINE * 2)
    assert result.status in (1, 2), result.process
    harness.assert_printable(result.process.err.data)
    assert result.err.startswith("sonde: ") and len(result.err.splitlines()) == 1, result.err


@pytest.mark.parametrize("option", ["--proxy", "--allow", "--rate", "--send", "--every", "--nonsense", "-\x1b", "--bind"])
def test_hostile_arguments(command, option):
    verb = ["serve", "echo"] if option in ("--allow", "--rate") else ["connect", "127.0.0.1", "1"]
    result = command.run(*verb, option, os.fsdecode(b"\\" + NAME))
    assert result.status == 2, result.process
    harness.assert_printable(result.process.err.data)


# --- headers, and what is passed ---------------------------------------------------------------------------------

V2 = b"\r\n\r\n\0\r\nQUIT\n"
HEADERS = {
    "v1 word": b"PROXY \x1b[31m\x1b]0;x\x07 a b c\r\n",
    "v1 address": b"PROXY TCP4 1.2.3.4\x1b[31m 1.1.1.1 1 2\r\n",
    "v1 zone": b"PROXY TCP6 fe80::1%\x1b]0;x\x07 ::1 1 2\r\n",
    "v1 port": b"PROXY TCP4 1.2.3.4 1.1.1.1 1\x9b 2\r\n",
    "v1 unknown": b"PROXY UNKNOWN " + PIECES["OSC"][:60] + b"\r\n",
    "v1 without end": b"PROXY " + b"\x1b" * 200,
    "v2 names": V2 + b"\x21\x31" + struct.pack("!H", 216) + NAME.ljust(108, b"\0") + NAME.ljust(108, b"\xff"),
    "v2 TLVs": V2 + b"\x21\x11" + struct.pack("!H", 12 + 3 + len(NAME)) + bytes(12) + struct.pack("!BH", 2, len(NAME)) + NAME,
    "v2 version": V2 + b"\x9b\x1b\0\x0c" + NAME[:12],
    "no header": ATTACK,
}


@pytest.mark.parametrize("options", [[], ["--json"], ["--print", "text"]], ids=["lines", "json", "text"])
def test_hostile_headers(sonde, options):
    server = sonde.serve("echo", *options, url="tcp://127.0.0.1:0?proxy=in")
    url = server.url.partition("?")[0]
    for header in HEADERS.values():
        with dial(url) as sock, contextlib.suppress(OSError):  # refused, whenever it is
            sock.sendall(header)
            sock.shutdown(socket.SHUT_WR)
            receive_all(sock)
    with dial(url) as sock:  # it serves all the same
        sock.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 7 8\r\nhello")
        assert harness.receive_exactly(sock, 5) == b"hello"
    server.out.wait_for(lambda data: b"192.0.2.7:7" in data, "the last one")
    assert server.terminate() == 0
    harness.assert_printable(server.out.data)
    harness.assert_printable(server.err.data)
    if options == ["--json"]:
        strict_json_lines(server.out.data)


@pytest.mark.parametrize("wanted", [b"other", NAME, b"\x1b]0;owned\x07"])
def test_hostile_names_of_passed_sockets(sonde, wanted):
    names = os.fsdecode(b"LISTEN_FDNAMES=" + NAME.replace(b":", b"") + b":\x1b[31m")
    result = sonde.start(
        [*ACTIVATE, "tcp", "tcp", names, "--", *sonde.argv("serve", "echo", "fd://" + os.fsdecode(wanted))],
        stdin=subprocess.DEVNULL,
    )
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not result.running or b"listening" in result.out.data, "it has said something")
    if result.running:
        result.signal(signal.SIGTERM)
    status = result.wait()
    assert status in (0, 1, 2), result
    harness.assert_printable(result.out.data)
    harness.assert_printable(result.err.data)
    assert status == 0 or result.err.text.startswith("sonde: ")


# --- programs with such names ------------------------------------------------------------------------------------


def test_a_program_that_is_not_there(sonde):
    result = sonde.run(*sonde.argv("serve", "exec", harness.LOOPBACK, "--", os.fsdecode(b"/nowhere/" + NAME))[1:])
    sentence_of(result, 2)
    result = sonde.run(*sonde.argv("serve", "exec", harness.LOOPBACK, "--", os.fsdecode(NAME))[1:])
    sentence_of(result, 2)


def test_a_program_with_such_a_name(sonde, place):
    path = os.fsencode(place) + b"/" + NAME
    with open(path, "wb") as file:
        file.write(b"#!/bin/sh\nexec cat\n")
    os.chmod(path, 0o755)
    server = sonde.serve(("exec",), url=["tcp://0.0.0.0:0", "--", os.fsdecode(path)], sockets=1)
    with dial(f"tcp://127.0.0.1:{server.port}") as sock:
        harness.round_trip(sock, b"hello")
    server.wait_closed()
    os.unlink(path)  # from now on it cannot be started
    with dial(f"tcp://127.0.0.1:{server.port}") as sock, contextlib.suppress(ConnectionError):
        receive_all(sock)
    wait_until(lambda: len(server.err.lines) >= 2, "it says why")
    assert server.terminate() == 0
    harness.assert_printable(server.out.data)
    harness.assert_printable(server.err.data)
    assert "can run" in server.err.text


# --- peers that vanish -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--pty"]], ids=["pipes", "pty"])
def test_a_reset_while_the_program_echoes(sonde, options):
    """The client sends much, reads nothing, and resets: its program's place is free for the next one."""
    command = "stty raw -echo 2>/dev/null; echo ready; exec cat"
    server = sonde.serve(("exec",), *options, "--max-children", "1", "--sh", command)
    for number in range(1, 4):
        with server.connect() as sock:
            assert harness.receive_exactly(sock, 5) == b"ready"
            harness.fill(sock, limit=1 << 20)
            harness.reset(sock)
        server.out.wait_match(rf"^closed {number} ")
    assert server.terminate() == 0
