# SPDX-License-Identifier: MIT
"""sonde watch: what the kernel's sockets look like, and whether it says why they wait."""

import contextlib
import ctypes
import itertools
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess

import pytest

import harness
from harness import reset, strict_json_lines, text_address, wait_until

PR_SET_NAME = 15
MEMBERS = {
    "event", "time", "mono_ns", "family", "type", "protocol", "local", "local_port", "peer", "peer_port", "state", "recv_queue", "send_queue",
    "timer", "timer_ms", "retransmits", "shutdown", "uid", "inode", "cookie", "interface", "congestion", "memory",
    "tcp_info", "verdict",
}  # fmt: skip


# --- sockets to be watched ---------------------------------------------------------------------------------------


def unheard_of_listener(host):
    """On a port that no other socket knows of: connections of a listener that was there before may be in TIME_WAIT."""
    with contextlib.ExitStack() as others:
        while True:
            sock = harness.listener(host=host)
            port = sock.getsockname()[1]
            if len(harness.tcp_table(port)) + len(harness.tcp_table(peer_port=port)) == 1:
                return sock
            others.callback(sock.close)


class Scene:
    """A listener with connections in every state that can be made here."""

    def __init__(self, stack, host="127.0.0.1"):
        self.stack = stack
        self.listener = self.keep(unheard_of_listener(host))
        self.port = self.listener.getsockname()[1]

    def keep(self, sock):
        self.stack.callback(sock.close)
        return sock

    def pair(self, rcvbuf=None):
        client = self.keep(socket.socket())
        client.settimeout(harness.DEADLINE)
        if rcvbuf:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        client.connect(self.listener.getsockname())
        server, _ = harness.accept(self.listener)
        return client, self.keep(server)


@pytest.fixture
def scene(started):
    return Scene(started)


def table(command, *arguments, prefix=(), binary=None):
    """`sonde watch --once` as ({local: listener row}, {(local, peer): row}, [sentences])."""
    if binary:
        process = command.start([*prefix, binary, "watch", "--once", *map(str, arguments)], stdin=subprocess.DEVNULL)
        result = harness.Result(process.wait(), process.out.data, process.err.text, process)
    else:
        result = command.run("watch", "--once", *arguments, prefix=prefix)
    assert result.status == 0, str(result.process)
    assert result.err == ""
    listeners, others, sentences = {}, {}, []
    rows = result.out.decode().split("\n")
    head = rows.index("")
    for row in rows[1:head]:
        cells = re.split(r"  +", row)
        listeners[cells[0]] = cells
    assert rows[head + 1].split()[:6] == ["STATE", "RECV-Q", "SEND-Q", "LOCAL", "PEER", "TIMER"]
    rest = iter(rows[head + 2 :])
    for row in rest:
        if not row:
            break
        assert row == row.rstrip(), f"spaces at the end: {row!r}"
        cells = re.split(r"  +", row)
        others[cells[3], cells[4]] = cells
    sentences = [row for row in rest if row]
    return listeners, others, sentences


def ends(sock):
    return text_address(sock.getsockname()), text_address(sock.getpeername())


def row_of(command, key, *arguments):
    return table(command, *arguments)[1].get(key)


def wait_row(command, key, accept, *arguments):
    """Until that socket's row is as wanted; returns (row, sentences)."""

    def find():
        _, others, sentences = table(command, *arguments)
        row = others.get(key)
        return (row, sentences) if row and accept(row) else None

    return wait_until(find, f"the row of {key} is as it should be")


# --- --once ------------------------------------------------------------------------------------------------------


def test_the_table_agrees_with_ss(command, scene, tool):
    ss = tool("ss")
    client, server = scene.pair()
    server.sendall(b"x" * 1234)
    harness.wait_acknowledged(server)
    closing, _ = scene.pair()
    half = ends(closing)
    closing.shutdown(socket.SHUT_WR)
    harness.wait_state(closing, "FIN_WAIT2")
    _, others, _ = table(command, scene.port)
    text = subprocess.run([ss, "-tanH"], stdout=subprocess.PIPE, text=True, check=True, timeout=harness.DEADLINE).stdout
    theirs = {}
    for line in text.splitlines():
        state, recv, send, local, peer = line.split()[:5]
        theirs[local, peer] = [state, recv, send]
    words = {"ESTAB": "ESTABLISHED", "CLOSE-WAIT": "CLOSE_WAIT", "FIN-WAIT-2": "FIN_WAIT_2"}
    ours = [ends(client), ends(server), half, half[::-1]]
    for key in ours:
        state, recv, send = theirs[key]
        assert others[key][0] == words[state]
        # ss counts the FIN that waits to be read as a byte
        assert int(others[key][1]) == int(recv) - (state == "CLOSE-WAIT")
        assert int(others[key][2]) == int(send)
    assert others[ends(client)][1] == "1234"
    assert set(others) == set(ours)


def test_a_full_accept_queue(command, scene, started):
    sock = scene.keep(harness.listener(backlog=1))
    local = text_address(sock.getsockname())
    for number in range(3):
        client = scene.keep(socket.socket())
        client.setblocking(False)
        client.connect_ex(sock.getsockname())
        n_waiting = min(number + 1, 2)  # the last SYN finds the queue full
        wait_until(lambda n=n_waiting: harness.accept_queue(sock.getsockname()[1]) == n, f"{n_waiting} wait in the queue")
    wait_until(lambda: table(command)[0][local][1] == "2 of 1 full", "the queue is full")
    dropped = wait_until(lambda: int(table(command)[0][local][3]), "the third one's SYN was dropped")
    assert dropped >= 1
    listeners, others, sentences = table(command, "--owners")
    said = [sentence for sentence in sentences if sentence.startswith(f"! {local}: ")]
    assert len(said) == 1 and "accept queue is full" in said[0], sentences
    assert listeners[local][4] == f"python3[{os.getpid()}]" or str(os.getpid()) in listeners[local][4]
    waiting = [row for key, row in others.items() if key[0] == local]
    assert len(waiting) == 2 and all("not accepted" in row for row in waiting), waiting
    asking = [row for key, row in others.items() if key[1] == local and row[0] == "SYN_SENT"]
    assert len(asking) == 1 and asking[0][5].startswith("syn")


def test_serve_hold(command, sonde):
    server = sonde.serve("hold", url="tcp://127.0.0.1:0?backlog=1")
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(server.connect())
        local = f"127.0.0.1:{server.port}"
        wait_until(lambda: table(command, "listening")[0][local][1] == "2 of 1 full", "the queue is full")


def test_the_states_of_closing(command, scene):
    client, server = scene.pair()
    key, other = ends(client), ends(server)
    client.sendall(b"z" * 12)
    client.shutdown(socket.SHUT_WR)
    row, _ = wait_row(command, key, lambda row: row[0] == "FIN_WAIT_2")
    assert row[5] == "none (open)"
    row, _ = wait_row(command, other, lambda row: row[0] == "CLOSE_WAIT")
    assert row[1] == "12"
    harness.receive_all(server)  # what is unread at close() becomes a reset
    server.close()
    row, _ = wait_row(command, key, lambda row: row[0] == "TIME_WAIT")
    assert re.fullmatch(r"ends \d+s", row[5])
    wait_until(lambda: row_of(command, other) is None, "the acknowledgement of its end has come as well")
    assert row_of(command, key, "state", "time-wait")
    assert not row_of(command, key, "state", "established")


def test_a_peer_that_does_not_read(command, scene):
    client, server = scene.pair(rcvbuf=4096)
    harness.fill_until_blocked(server)
    row, sentences = wait_row(command, ends(server), lambda row: row[5].startswith("probe"))
    assert int(row[2]) > 0
    local, peer = ends(server)
    said = [s for s in sentences if s.startswith(f"! {local} <- {peer}: ")]
    assert len(said) == 1 and "window 0" in said[0], sentences
    assert row[-1] != "-" and len(row) == 7, row  # its short form stands in the row
    _, _, sentences = table(command, "--owners")
    said = [s for s in sentences if s.startswith(f"! {peer} -> {local}: ")]
    assert len(said) == 1 and f"[{os.getpid()}]" in said[0], "our own program does not read, and is named"


FILTERS = [
    ("sport = :{port}", "server listener"),
    ("dport = :{port}", "client"),
    ("sport :{client}", "client"),
    ("{port}", "client server listener"),
    ("src 127.0.0.1 sport eq :{port} and state connected", "server"),
    ("state established dport :{port}", "client"),
    ("( dport = :{port} or sport = :{port} ) and not listening", "client server"),
    ("listening sport :{port}", "listener"),
    ("exclude listen exclude close sport :{port}", "server"),
    ("unread>0 {port}", "client"),
    ("unsent>0 {port}", ""),
    ("retransmits>0 {port}", ""),
    ("dst 127.0.0.0/8 dport gt :{below} dport le :{port}", "client"),
    ("dst 10.1.2.3", ""),
    ("pid:{pid} {port}", "client server listener"),
    ("pid:1 {port}", ""),
    ("127.0.0.1:{client}", "client server"),
]


@pytest.mark.parametrize("text, expected", FILTERS, ids=[row[0] for row in FILTERS])
def test_filters(command, scene, text, expected):
    client, server = scene.pair()
    server.sendall(b"hello")
    harness.wait_acknowledged(server)
    text = text.format(port=scene.port, below=scene.port - 1, client=client.getsockname()[1], pid=os.getpid())
    listeners, others, _ = table(command, *text.split())
    local, peer = ends(client)
    shown = {"client": (local, peer) in others, "server": (peer, local) in others, "listener": peer in listeners}
    wanted = {name: name in expected.split() for name in shown}
    if text.startswith("127.0.0.1:"):
        del shown["listener"], wanted["listener"]
    assert shown == wanted
    # The client's port may also be that of a connection of somebody else's, to another port.
    mine = f":{scene.port}"
    again, others = ({key for key in rows if mine in key[0] or mine in key[1]} for rows in (table(command, text)[1], others))
    assert again == others, "one word or many"


@pytest.mark.parametrize("words", [["sport", "<"], ["("], ["state", "nonsense"], ["dev"], ["src", "1.2.3.4/99"]])
def test_a_bad_filter(command, words):
    result = command.run("watch", "--once", *words)
    assert result.status == 2
    assert result.out == b""
    harness.one_sentence(result.err)


@pytest.mark.parametrize(
    "options", [["--once", "--follow"], ["--count", "3"], ["--once", "--interval", "1"], ["--sort", "nothing"]]
)
def test_misuse(command, options):
    result = command.run("watch", *options)
    assert result.status == 2
    assert result.out == b""
    harness.one_sentence(result.err)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 140, 300])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_widths(command, scene, width, ascii_only):
    client, server = scene.pair()
    server.sendall(b"hello")
    harness.wait_acknowledged(server)
    options = ["--ascii"] if ascii_only else []
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    text = subprocess.run(
        [command.binary, "watch", "--once", "--width", str(width), *options, str(scene.port)],
        stdout=subprocess.PIPE, env=environment, check=True, timeout=harness.DEADLINE,
    ).stdout  # fmt: skip
    lines = text.decode().splitlines()
    assert all(len(line) <= width for line in lines), text
    if ascii_only:
        assert text.isascii()
    else:
        harness.assert_printable(text)
    if width >= 60:
        assert any(text_address(client.getsockname()) in line for line in lines)
    if width >= 40:
        assert any(f":{client.getsockname()[1]}" in line for line in lines)


def test_colour_only_when_wanted(command, scene):
    scene.pair()
    assert b"\x1b" not in command.run("watch", "--once").out
    assert b"\x1b[36mESTABLISHED" in command.run("watch", "--once", "--color", "always", "--width", "80").out
    assert b"\x1b" not in command.run("watch", "--once", "--color", "never", "--width", "80").out


def test_udp_and_unix(command, scene, place):
    udp = scene.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.bind(("127.0.0.1", 0))
    listener = scene.keep(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    listener.bind(str(place / "x.sock"))
    listener.listen(7)
    client = scene.keep(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    client.connect(str(place / "x.sock"))
    listeners, others, _ = table(command, "--udp")
    assert others[text_address(udp.getsockname()), "*"][0] == "UDP"
    assert not any(name.startswith("unix:") for name in listeners)
    listeners, others, _ = table(command, "--unix")
    assert listeners[f"unix:{place}/x.sock"][1] == "1 of 7"
    assert (text_address(udp.getsockname()), "*") in others, "UNIX sockets come beside the others"
    rows = strict_json_lines(command.run("watch", "--json", "--unix").out)
    row = next(row for row in rows if row["family"] == "unix" and row["local"] == f"{place}/x.sock")
    assert (row["state"], row["type"], row["recv_queue"], row["send_queue"]) == ("LISTEN", "stream", 1, 7)


def test_all(command, scene):
    idle = scene.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    inode = os.fstat(idle.fileno()).st_ino
    for options, expected in [([], False), (["--all"], True)]:
        rows = strict_json_lines(command.run("watch", "--json", "--unix", *options).out)
        assert (inode in [row["inode"] for row in rows]) == expected


def test_sorted(command, scene):
    sizes = [5, 900, 40]
    for size in sizes:
        client, server = scene.pair()
        server.sendall(b"x" * size)
        harness.wait_acknowledged(server)
    text = command.run("watch", "--once", "--sort", "recv", f"dport = :{scene.port}").out.decode()
    queues = [int(line.split()[1]) for line in text.splitlines() if line.startswith("ESTABLISHED")]
    assert queues == sorted(sizes, reverse=True)


# --- --json ------------------------------------------------------------------------------------------------------


def test_json(command, scene):
    client, server = scene.pair()
    server.sendall(b"hello")
    harness.wait_acknowledged(server)
    result = command.run("watch", "--json", "--owners")
    assert result.status == 0
    harness.assert_printable(result.out)
    rows = strict_json_lines(result.out)
    for row in rows:
        missing = MEMBERS | {"owner"} - set(row)
        assert MEMBERS | {"owner"} <= set(row), missing
    local, peer = client.getsockname(), client.getpeername()
    row = next(row for row in rows if (row["local_port"], row["peer_port"]) == (local[1], peer[1]))
    assert (row["family"], row["type"], row["protocol"], row["state"]) == ("inet", "stream", "tcp", "ESTABLISHED")
    assert (row["local"], row["peer"]) == (local[0], peer[0])
    assert (row["recv_queue"], row["send_queue"]) == (5, 0)
    assert row["inode"] == os.fstat(client.fileno()).st_ino
    assert row["cookie"] == str(struct.unpack("Q", client.getsockopt(socket.SOL_SOCKET, 57, 8))[0])  # SO_COOKIE
    assert row["uid"] == os.getuid()
    assert row["owner"] == [{"pid": os.getpid(), "program": row["owner"][0]["program"], "fd": client.fileno()}]
    info = row["tcp_info"]
    assert (info["bytes_received"], info["data_segs_in"]) == (5, 1)
    assert info["rtt_us"] > 0 and info["snd_mss"] > 500 and info["snd_wnd"] > 0
    assert row["memory"]["receive_limit"] == client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert row["congestion"] == client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
    listening = next(row for row in rows if row["state"] == "LISTEN" and row["local_port"] == scene.port)
    assert (listening["recv_queue"], listening["send_queue"], listening["half_open"]) == (0, 128, 0)


def test_json_verdicts(command, scene):
    client, server = scene.pair(rcvbuf=4096)
    harness.fill_until_blocked(server)
    port = server.getpeername()[1]

    def find():
        rows = strict_json_lines(command.run("watch", "--json", f"dport = :{port}").out)
        return rows and rows[0]["timer"] == "probe" and rows[0]

    row = wait_until(find, "the window is probed")
    assert row["verdict"]["weight"] == "trouble" and row["verdict"]["short"] and "window 0" in row["verdict"]["text"]
    assert row["timer_ms"] >= 0


# --- as an ordinary user -----------------------------------------------------------------------------------------


def test_unprivileged(command, scene, nobody):
    client, server = scene.pair()
    _, others, sentences = table(command, "--owners", scene.port, prefix=nobody.prefix, binary=nobody.binary)
    row = others[ends(client)]
    assert row[0] == "ESTABLISHED"
    if nobody.prefix:
        assert row[6] == "?"
        assert len([s for s in sentences if s.startswith("i ") and "looked into" in s]) == 1, "said, and once"


# --- --follow ----------------------------------------------------------------------------------------------------


def follow(command, *arguments):
    process = command.start([*command.argv("watch", "--follow"), *map(str, arguments)], stdin=subprocess.DEVNULL)
    process.err.wait_match(r"followed")
    return process


def pair_between_looks(scene, process):
    """A look that falls into the handshake would tell of its steps."""
    process.stop()
    pair = scene.pair()
    process.go_on()
    return pair


def test_follow(command, scene):
    process = follow(command, scene.port)
    client, server = pair_between_looks(scene, process)
    local, peer = map(re.escape, ends(client))
    clock = r"^\d\d:\d\d:\d\d\.\d{3} "
    process.out.wait_match(f"{clock}{local}->{peer} new ESTABLISHED$")
    process.out.wait_match(f"{clock}{peer}<-{local} new ESTABLISHED$")
    client.sendall(b"x" * 12)
    client.shutdown(socket.SHUT_WR)
    process.out.wait_match(rf"{clock}{peer}<-{local} ESTABLISHED -> CLOSE_WAIT after [\d.]+ m?s, unread 12$")
    process.out.wait_match(rf"{clock}{local}->{peer} \S+ -> FIN_WAIT_2 after ")
    harness.receive_all(server)
    server.close()
    process.out.wait_match(rf"{clock}{local}->{peer} FIN_WAIT_2 -> TIME_WAIT after ")
    process.out.wait_match(rf"{clock}{peer}<-{local} \S+ -> CLOSED after .*, in 12, out 0$")
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    assert re.search(r"\d+ changes seen in \d+ looks", process.err.text)


def test_short_lives_are_not_missed_silently(command, scene):
    process = follow(command, scene.port)
    keys = []
    for size in range(1, 21):
        client, server = scene.pair()
        keys.append((ends(client), size))
        client.sendall(b"x" * size)
        harness.receive_exactly(server, size)
        client.close()
        server.close()
    for (local, peer), size in keys:
        # dead with its bytes, or missed with them; or, when a look fell into its life, step by step
        one, other = re.escape(local), re.escape(peer)
        process.out.wait_match(rf"{one}(->|--){other} .*(missed|TIME_WAIT|CLOSED)")
        process.out.wait_match(rf"{other}(<-|--){one} .*(CLOSED|missed).*, in {size}, out 0$")


def test_a_reset_is_seen(command, scene):
    process = follow(command, scene.port)
    client, server = pair_between_looks(scene, process)
    local, peer = ends(client)
    process.out.wait_match(re.escape(f"{local}->{peer} new ESTABLISHED"))
    process.out.wait_match(re.escape(f"{peer}<-{local} new ESTABLISHED"))
    reset(client)
    process.out.wait_match(rf"{re.escape(local)}->{re.escape(peer)} ESTABLISHED -> CLOSED after .*, in 0, out 0$")
    process.out.wait_match(rf"{re.escape(peer)}<-{re.escape(local)} ESTABLISHED -> CLOSED after ")
    server.close()
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    assert "missed: opened" not in process.out.text, "the reset one's late death is no socket of its own"


def test_a_crowd_with_short_lives(command, scene):
    """Whatever way they end: each end has one beginning and one end."""
    process = follow(command, scene.port)
    clients = []
    for number in range(harness.scaled(60)):
        client, server = scene.pair()
        clients.append(client.getsockname()[1])
        first, second = (client, server) if number % 2 else (server, client)
        first.close()
        harness.receive_all(second)
        second.close()

    def is_over(lines):
        return any(re.search(r"missed|-> (CLOSED|TIME_WAIT)", line) for line in lines)

    def lines_of(pattern):
        return [line for line in process.out.lines if re.search(pattern, line)]

    for port in clients:
        for pattern in (rf"127\.0\.0\.1:{port}(->|--)", rf"(<-|--)127\.0\.0\.1:{port} "):
            lines = wait_until(lambda p=pattern: is_over(lines_of(p)) and lines_of(p), f"the end of {pattern}")
            begun = [line for line in lines if re.search(r" new (?!TIME_WAIT)| missed", line)]
            assert len(begun) == 1, lines


def test_nc_and_its_owner(command, scene, tool):
    process = follow(command, "--owners", scene.port)
    nc = command.start([tool("nc.openbsd"), "127.0.0.1", str(scene.port)])
    connection, _ = harness.accept(scene.listener)
    scene.keep(connection)
    process.out.wait_match(rf"->127\.0\.0\.1:{scene.port} new \S+, nc\S*\[{nc.pid}\]$")


def test_follow_json(command, scene):
    process = follow(command, "--json", "--count", 4, f"dport = :{scene.port} or sport = :{scene.port}")
    client, server = pair_between_looks(scene, process)
    process.out.wait_for(lambda data: data.count(b"\n") >= 2, "both ends")
    client.close()
    assert process.wait() == 0
    rows = strict_json_lines(process.out.data)
    assert len(rows) == 4
    assert {row["change"] for row in rows[:2]} == {"new"}
    assert all(row["event"] == "change" and row["from"] is not None for row in rows[2:])
    assert {row["direction"] for row in rows} == {"in", "out"}
    server.close()


def test_follow_with_a_state_tells_arrival_and_departure(command, scene):
    process = follow(command, "state", "established", "sport", f":{scene.port}")
    client, server = pair_between_looks(scene, process)
    process.out.wait_match("new ESTABLISHED$")
    client.shutdown(socket.SHUT_WR)
    process.out.wait_match("ESTABLISHED -> CLOSE_WAIT after")
    server.close()
    client.close()
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    assert len(process.out.lines) == 2, process.out.text


def test_follow_ends_with_its_duration(command):
    process = follow(command, "--duration", "50ms", "src", "10.1.2.3")
    assert process.wait() == 0
    assert process.out.data == b""


def test_follow_ends_quietly_when_nobody_reads(command, scene):
    read, write = os.pipe()
    process = command.start([*command.argv("watch", "--follow")], stdin=subprocess.DEVNULL, stdout=write)
    os.close(write)
    process.err.wait_match("followed")
    os.close(read)
    assert process.wait() == 0
    assert len(process.err.lines) == 1


def test_follow_costs_little(command, scene):
    process = follow(command)
    with harness.Observation(1) as watched:
        begin = harness.cpu_seconds(process.pid)
    # A bound that a busy loop cannot keep; nothing is said about how fast it is.
    assert harness.cpu_seconds(process.pid) - begin < 0.8 * watched.elapsed


# --- the full screen ---------------------------------------------------------------------------------------------


class Screen:
    """sonde watch in a tmux of its own."""

    def __init__(self, path, socket_path, argv, columns, lines, environment):
        self._tmux = [path, "-S", str(socket_path), "-f", "/dev/null"]
        self._environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        words = [f"{name}={value}" for name, value in environment.items()]
        quoted = " ".join("'" + argument.replace("'", r"'\''") + "'" for argument in ["env", *words, *argv])
        # tmux sets TERM itself; the shell says how it ended
        quoted = f"stty -a > {socket_path}.before; {quoted}; echo status $?; stty -a > {socket_path}.after; exec sleep 600"
        self.path = socket_path
        self.run("new-session", "-d", "-x", str(columns), "-y", str(lines), quoted, ";", "set", "-g", "status", "off")
        self.run("resize-window", "-x", str(columns), "-y", str(lines))

    def run(self, *arguments):
        done = subprocess.run(
            [*self._tmux, *arguments], env=self._environment, stdout=subprocess.PIPE, timeout=harness.DEADLINE, check=True
        )
        return done.stdout.decode("utf-8")

    def text(self, colours=False):
        return self.run("capture-pane", "-p", *(["-e"] if colours else []))

    def type(self, *keys):
        self.run("send-keys", *keys)

    def wait(self, pattern, what=None):
        compiled = re.compile(pattern, re.M)
        end = {}

        def find():
            end["text"] = self.text()
            return compiled.search(end["text"])

        try:
            return wait_until(find, what or f"/{pattern}/ is on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{end['text']}") from None

    def wait_not(self, pattern):
        compiled = re.compile(pattern, re.M)
        wait_until(lambda: not compiled.search(self.text()), f"/{pattern}/ is gone from the screen:\n{self.text()}")

    def resize(self, columns, lines):
        self.run("resize-window", "-x", str(columns), "-y", str(lines))

    def pid(self):
        shell = int(self.run("display-message", "-p", "#{pane_pid}"))
        return wait_until(lambda: child_of(shell), "the command runs")

    def finish(self):
        subprocess.run([*self._tmux, "kill-server"], check=False, timeout=harness.DEADLINE)


def child_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return next(map(int, file.read().split()), None)


@pytest.fixture
def screen(command, tool, place, started):
    path = tool("tmux")
    numbers = itertools.count()  # a server that is ending still has its socket

    def make(*arguments, size=(100, 30), environment=None, expect="sockets|need attention"):
        made = Screen(path, place / f"tmux{next(numbers)}.sock", command.argv("watch", *arguments), *size, environment or {})
        started.callback(made.finish)
        made.wait(expect)
        return made

    return make


SIZES = [(80, 24), (100, 30), (40, 12), (200, 50), (60, 10), (120, 20)]


@pytest.mark.parametrize("size", SIZES, ids=[f"{x}x{y}" for x, y in SIZES])
def test_the_screen(screen, scene, size):
    client, server = scene.pair(rcvbuf=4096)
    harness.fill_until_blocked(server)
    view = screen(str(scene.port), size=size)
    view.wait(rf"ESTABLISHED.*:{client.getsockname()[1]}\b", "the connection's row")
    view.wait(r"^! ?.?ESTABLISHED", "it is marked")
    if size[1] > 10:
        view.wait("takes no more|advertise window", "why is said beneath")
    view.wait(r"^ / filter.*q quit", "the keys")
    assert all(len(line) <= size[0] for line in view.text().splitlines())
    view.type("q")
    view.wait("^status 0$")


def test_the_cause_is_on_the_first_screen(screen, scene):
    """A hung connection on a machine with others: without a key."""
    for _ in range(5):
        scene.pair()
    client, server = scene.pair(rcvbuf=4096)
    harness.fill_until_blocked(server)
    view = screen(f"sport = :{scene.port} or dport = :{scene.port}")
    view.wait(r"^!▸ESTABLISHED", "the cursor is on a connection in trouble")
    view.wait(r"^! .*(takes no more|advertise window)", "and the reason is told")


def test_filtering_as_one_types(screen, scene):
    one, _ = scene.pair()
    view = screen()
    local = text_address(one.getsockname())
    view.type("/")
    view.wait("^ /$")
    view.type("-l", f"dport = :{scene.port}")  # among all the machine's sockets it need not be on the screen
    view.wait(rf"ESTABLISHED.*{re.escape(local)}")
    view.type("C-u")
    view.type("-l", "sport = :1")
    view.wait_not(re.escape(local))
    view.wait("no socket matches")
    view.type("C-u")
    view.type("-l", f"dport = :{scene.port}")
    view.wait(rf"ESTABLISHED.*{re.escape(local)}")
    view.type("-l", " (")
    view.wait("^ ! .*", "what is wrong with it is said")
    view.wait(rf"^ / dport = :{scene.port} \($", "and the text is kept")
    view.wait(rf"ESTABLISHED.*{re.escape(local)}", "and the last good filter too")
    view.type("Enter")
    view.wait("^ ! ")
    view.type("BSpace", "BSpace", "Enter")
    view.wait("^ / filter")
    view.wait(rf"filter dport = :{scene.port}$")
    view.type("/", "C-u", "Escape")
    view.wait("^ / filter")
    view.wait(rf"filter dport = :{scene.port}$", "Escape brings the old one back")
    view.type("q")
    view.wait("^status 0$")


def test_keys(screen, scene):
    client, server = scene.pair()
    scene.pair()
    view = screen(str(scene.port))
    port = client.getsockname()[1]
    view.wait(rf":{port}\b")
    view.type("s")
    view.wait("trouble first, then by state")
    view.type("s")
    view.wait("then by recv")
    view.type("S", "S")
    view.wait("^ trouble first, then by state")
    view.type("Enter")
    view.wait("net.core|snd_cwnd|inode \\d+")
    view.type("Escape")
    view.wait("^  STATE ")
    view.type("End")
    view.type("Enter")
    view.wait("congestion control")
    view.wait(r"snd_mss +[\d,]+ bytes +segment size")
    view.type("PageDown", "PageDown", "PageDown")
    view.wait("snd_wnd +")
    view.type("Enter")
    view.wait("^  STATE ")
    view.type("t")
    view.wait(r"^ sonde trace -i lo host 127\.0\.0\.1 and port \d+ and port \d+$")
    view.type("?")
    view.wait("keys and columns")
    view.type("q")
    view.wait("^  STATE ")
    view.type("w")
    view.wait("Nothing is wrong with it")
    view.type("w")
    view.type("p")
    view.wait("paused")
    view.type("p")
    view.wait("every ")
    view.type("o")
    view.wait_not("OWNER")
    view.type("o")
    view.wait("OWNER")
    view.type("q")
    view.wait("^status 0$")


def test_the_cursor_stays_on_its_socket(screen, scene):
    ports = [scene.pair()[0].getsockname()[1] for _ in range(6)]
    view = screen(f"dport = :{scene.port}")
    number = 1
    for port in ports:
        view.wait(rf":{port}\b")
    for _ in range(3):
        view.type("j")
        number += 1
        chosen = view.wait(rf"^  STATE .*\n(?:.*ESTABLISHED.*\n){{{number - 1}}}.▸ESTABLISHED.*:(\d+) +127\.0\.0\.1:").group(1)
    ports += [scene.pair()[0].getsockname()[1] for _ in range(6)]
    is_there = [re.compile(rf":{port}\b") for port in ports] + [re.compile(rf"▸ESTABLISHED.*:{chosen} +127\.0\.0\.1:")]

    def all_are_there():
        text = view.text()
        return all(pattern.search(text) for pattern in is_there)

    wait_until(all_are_there, "the new ones have come, and the cursor is where it was")


def test_resizing(screen, scene):
    client, _ = scene.pair()
    view = screen(str(scene.port))
    row = rf"ESTABLISHED.*:{client.getsockname()[1]}\b"
    view.wait(row)
    for columns, lines in [(40, 12), (200, 50), (15, 3), (80, 24), (60, 8)]:
        view.resize(columns, lines)
        if columns < 20:
            view.wait("too small")
        else:
            view.wait(row)
            view.wait("q quit$")
            assert all(len(line) <= columns for line in view.text().splitlines())
    view.type("q")
    view.wait("^status 0$")


@pytest.mark.parametrize("number, status", [("TERM", 0), ("INT", 0), ("HUP", 0)])
def test_the_terminal_is_restored(screen, scene, number, status):
    scene.pair()
    view = screen(str(scene.port))
    view.wait("ESTABLISHED")
    assert view.run("display-message", "-p", "#{alternate_on}").strip() == "1"
    os.kill(view.pid(), getattr(signal, f"SIG{number}"))
    view.wait(f"^status {status}$")
    assert view.run("display-message", "-p", "#{alternate_on}").strip() == "0"
    before, after = (pathlib.Path(f"{view.path}.{when}") for when in ("before", "after"))
    wait_until(lambda: after.exists() and len(after.read_text()) == len(before.read_text()), "the settings are written")
    assert after.read_text() == before.read_text()


def test_stopped_and_continued(screen, scene):
    scene.pair()
    view = screen(str(scene.port))
    view.wait("ESTABLISHED")
    pid = view.pid()
    os.kill(pid, signal.SIGTSTP)
    wait_until(lambda: harness.process_state(pid) == "T", "it is stopped")
    wait_until(lambda: view.run("display-message", "-p", "#{alternate_on}").strip() == "0", "the terminal is given back")
    os.kill(pid, signal.SIGCONT)
    view.wait("ESTABLISHED")
    view.type("q")
    view.wait("^status 0$")


def test_no_colour(screen, scene):
    scene.pair()
    with_colours = screen(str(scene.port))
    with_colours.wait("ESTABLISHED")
    assert re.search(r"\x1b\[36m(\x1b\[49m)?ESTABLISHED", with_colours.text(colours=True))
    with_colours.finish()
    without = screen(str(scene.port), environment={"NO_COLOR": "1"})
    without.wait("ESTABLISHED")
    assert not re.search(r"\x1b\[[\d;]*3[0-7][;m]", without.text(colours=True))


def test_ascii(screen, scene):
    scene.pair()
    view = screen("--ascii", str(scene.port))
    view.wait("ESTABLISHED")
    assert view.text().isascii()


def test_an_unknown_terminal(screen):
    view = screen(environment={"TERM": "nonsense"}, expect="^status 1$")
    assert "sonde: " in view.text() and "--once" in view.text()


# --- names made to be obeyed -------------------------------------------------------------------------------------

HOSTILE = "\x1b]0;owned\x07\x1b[2J"


def set_name(name):
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NAME, name, 0, 0, 0) == 0


@pytest.fixture
def hostile(scene, place, started):
    """A process with such a name that holds a connection, and UNIX sockets with such names."""
    names = [f"\0{HOSTILE}abstract{os.getpid()}", str(place / f"{HOSTILE}path")]
    for name in names:
        sock = scene.keep(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sock.bind(name)
        sock.listen(1)
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        set_name(b"\x1b[31mred\x07\xc2\x9b1m")
        sock = socket.create_connection(scene.listener.getsockname())
        os.write(tell, b"x")
        signal.pause()
        os._exit(0)

    def end():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    started.callback(end)
    assert os.read(ready, 1) == b"x"
    os.close(ready)
    os.close(tell)
    return pid


@pytest.mark.parametrize("options", [["--once"], ["--json"], ["--once", "--width", "200"]])
def test_hostile_names(command, hostile, options):
    result = command.run("watch", *options, "--owners", "--unix")
    assert result.status == 0
    harness.assert_printable(result.out)
    text = result.out.decode()
    assert str(hostile) in text
    assert r"\x1b[31mred" in text or r"\u001b[31mred" in text
    assert r"\x1b]0;owned" in text or r"\u001b]0;owned" in text


def test_hostile_names_on_the_screen(screen, hostile):
    view = screen("--unix", f"pid:{os.getpid()} or pid:{hostile}", size=(160, 50))
    view.wait(r"\\x1b\[31mred")
    view.wait(r"\\x1b\]0;owned")
    assert view.run("display-message", "-p", "#{pane_title}").strip() != "owned"
    colours = view.text(colours=True)
    assert "\x1b[31mred" not in colours
    view.type("q")
    view.wait("^status 0$")
