# SPDX-License-Identifier: MIT
"""What the end-to-end tests stand on.

Processes whose output is collected while they run and which are killed by their pid, sockets with deadlines, scripted
peers, and a few looks into the kernel (/proc). Nothing here sleeps for a fixed time: whoever waits, waits until
something is so, and fails with all that is known once the deadline is past.

The environment:
    SONDE           the command under test                        build/sonde
    SONDE_ENGINES   the engines to run with, commas between       uring,epoll
    SONDE_SCALE     how much of the heavy tests' load to use      1.0 (a sanitizer build: 0.1)
    SONDE_DEADLINE  seconds until a wait is given up              20
"""

import collections
import json
import os
import pathlib
import pty
import random
import re
import selectors
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import tty

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DEADLINE = float(os.environ.get("SONDE_DEADLINE", "20"))
SCALE = float(os.environ.get("SONDE_SCALE", "1"))
LOOPBACK = "tcp://127.0.0.1:0"


def scaled(number, least=1):
    """That much of a heavy test's load, as SONDE_SCALE says."""
    return max(least, int(number * SCALE))


# --- waiting -----------------------------------------------------------------------------------------------------


def wait_until(predicate, what, deadline=None):
    """Ask until the answer is true, and return it. The pause between two questions is no part of any test's logic."""
    end = time.monotonic() + (DEADLINE if deadline is None else deadline)
    pause = 0.001
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain until {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


class Observation:
    """A while in which something is watched. Its length is what is measured against, never an expectation."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        self.begin = time.monotonic()
        return self

    def __exit__(self, *_):
        left = self.begin + self.seconds - time.monotonic()
        if left > 0:
            threading.Event().wait(left)
        self.elapsed = time.monotonic() - self.begin


# --- processes ---------------------------------------------------------------------------------------------------


class Capture:
    """Collects what arrives on a descriptor, on a thread of its own, until its end."""

    def __init__(self, fd, name):
        self.name = name
        self._fd = fd
        self._data = bytearray()
        self._changed = threading.Condition()
        self.ended = False
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        while True:
            try:
                chunk = os.read(self._fd, 1 << 16)
            except OSError:  # a terminal's end is EIO
                chunk = b""
            with self._changed:
                self._data += chunk
                self.ended = not chunk
                self._changed.notify_all()
            if not chunk:
                break
        os.close(self._fd)

    @property
    def data(self):
        with self._changed:
            return bytes(self._data)

    @property
    def text(self):
        return self.data.decode("utf-8", "backslashreplace")

    @property
    def lines(self):
        return self.text.splitlines()

    def wait_for(self, predicate, what):
        """Until predicate(bytes so far) is true; fails at the deadline, and at once when the output ends before."""
        end = time.monotonic() + DEADLINE
        with self._changed:
            while True:
                answer = predicate(bytes(self._data))
                if answer:
                    return answer
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    why = "ended" if self.ended else "came to no more in time"
                    raise AssertionError(f"{self.name} {why} without {what}; it holds:\n{bytes(self._data)[-4000:]!r}")
                self._changed.wait(left)

    def wait_match(self, pattern):
        """Until the text so far matches (lines are lines: ^ and $ work)."""
        compiled = re.compile(pattern, re.M)
        return self.wait_for(lambda data: compiled.search(data.decode("utf-8", "backslashreplace")), f"/{pattern}/")

    def wait_ended(self):
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), f"{self.name} is still open after {DEADLINE} s:\n{self.text[-4000:]}"


SANITIZERS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:")


class Process:
    """A command that runs, with its output collected. Used as a context or registered for the test's end."""

    def __init__(self, argv, *, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close=(), gentle=False, pass_fds=()):
        self.argv = [os.fspath(argument) for argument in argv]
        self.gentle = gentle
        if close:  # descriptors to be closed before the command starts
            closing = " ".join(f"{fd}>&-" for fd in close)
            self.argv = ["/bin/sh", "-c", f'exec "$0" "$@" {closing}', *self.argv]
        self._popen = subprocess.Popen(
            self.argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, pass_fds=pass_fds
        )
        self.pid = self._popen.pid
        self.out = Capture(os.dup(self._popen.stdout.fileno()), "stdout") if self._popen.stdout else None
        self.err = Capture(os.dup(self._popen.stderr.fileno()), "stderr")
        for stream in (self._popen.stdout, self._popen.stderr):
            if stream:
                stream.close()

    def feed(self, data):
        self._popen.stdin.write(data)
        self._popen.stdin.flush()

    def end_input(self):
        try:
            self._popen.stdin.close()
        except BrokenPipeError:
            pass

    def signal(self, number):
        self._popen.send_signal(number)

    @property
    def running(self):
        return self._popen.poll() is None

    def stop(self):
        """SIGSTOP, and wait until it stands."""
        self.signal(signal.SIGSTOP)
        wait_until(lambda: process_state(self.pid) == "T", f"{self.pid} is stopped")

    def go_on(self):
        self.signal(signal.SIGCONT)

    def wait(self, deadline=None):
        """Its exit status as a shell shows it, once it has ended and all its output is here."""
        deadline = DEADLINE if deadline is None else deadline
        try:
            status = self._popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {deadline} s: {self}") from None
        for capture in (self.out, self.err):
            if capture:
                capture.wait_ended()
        return status if status >= 0 else 128 - status

    def finish(self):
        """For the test's end: kill it when it still runs, and look for a sanitizer's report."""
        if self.running:
            self.go_on()
            if self.gentle:  # so that a leak checker has its say
                self.signal(signal.SIGTERM)
                self.signal(signal.SIGTERM)
                try:
                    self._popen.wait(5)
                except subprocess.TimeoutExpired:
                    pass
            if self.running:
                self._popen.kill()
        self._popen.wait()
        if self._popen.stdin and not self._popen.stdin.closed:
            self.end_input()
        self.err.wait_ended()
        for marker in SANITIZERS:
            assert marker not in self.err.text, f"a sanitizer reports: {self}"

    def __str__(self):
        out = self.out.text[-4000:] if self.out else "(elsewhere)"
        return f"{self.argv}\nexit status {self._popen.poll()}\nstdout:\n{out}\nstderr:\n{self.err.text[-4000:]}"


Result = collections.namedtuple("Result", "status out err process")

CLOSED = re.compile(
    r"^closed (?P<connection>\d+) (?P<local>\S+) <- (?P<peer>pid \d+ \(uid \d+\)|\S+) (?P<reason>\S.*?),"
    r" (?P<bytes_in>\d+) bytes? in, (?P<bytes_out>\d+) out(?:, (?P<unsent>\d+) unsent)?"
    r"(?:, \d+ messages in, \d+ out(?:, \d+ [a-z][a-z ]+)*)?, (?P<seconds>\d+\.\d+) s$",
    re.M,
)
OPENED = re.compile(
    r"^opened (?P<connection>\d+) (?P<local>\S+) <- (?P<peer>pid \d+ \(uid \d+\)|[^\s,]+)(?P<spoken>, .*)?$", re.M
)

Closed = collections.namedtuple("Closed", "connection local peer reason bytes_in bytes_out unsent seconds")


class Server(Process):
    """`sonde serve`, ready: its first lines have been read."""

    def __init__(self, argv, *, sockets=1, **keywords):
        super().__init__(argv, stdin=subprocess.DEVNULL, **keywords)
        self.json = "--json" in self.argv
        self._rows, self._parsed = [], 0  # the events so far, and how many bytes they were
        self._parsing = threading.Lock()
        self.urls = self.out.wait_for(lambda data: self._listening(data, sockets), f"{sockets} listening line(s)")
        self.url = self.urls[0]
        found = re.search(r"://[^/]*:(\d+)(/|$)", self.url)
        self.port = int(found.group(1)) if found else None

    def _listening(self, data, sockets):
        lines = data.decode("utf-8", "backslashreplace").split("\n")[:-1]
        if self.json:
            events = [json.loads(line) for line in lines]
            urls = [event["url"] for event in events if event["event"] == "listening"]
        else:
            urls = [line.split(" ", 1)[1] for line in lines if line.startswith("listening ")]
        return urls if len(urls) >= sockets else None

    def connect(self, **keywords):
        """A client of Python's own."""
        return dial(self.url, **keywords)

    def closed(self):
        """Every `closed` line so far."""
        result = []
        for found in CLOSED.finditer(self.out.text):
            row = found.groupdict()
            for name in ("connection", "bytes_in", "bytes_out"):
                row[name] = int(row[name])
            row["unsent"] = int(row["unsent"] or 0)
            row["seconds"] = float(row["seconds"])
            result.append(Closed(**row))
        return result

    def wait_closed(self, peer=None):
        """The `closed` line of that peer (of anyone when none is named)."""

        def find(_):
            rows = [row for row in self.closed() if peer is None or row.peer == peer]
            return rows[0] if rows else None

        return self.out.wait_for(find, f"a closed line of {peer or 'anyone'}")

    def events(self, kind=None):
        """The JSON events so far, each line parsed strictly, and once."""
        data = self.out.data
        with self._parsing:
            end = data.rfind(b"\n") + 1
            if end > self._parsed:
                rows = strict_json_lines(data[self._parsed : end])
                assert not self._rows or self._rows[-1]["mono_ns"] <= rows[0]["mono_ns"], "mono_ns goes back"
                self._rows += rows
                self._parsed = end
            return [row for row in self._rows if kind is None or row["event"] == kind]

    def wait_event(self, kind, accept=lambda event: True):
        def find(_):
            rows = [row for row in self.events(kind) if accept(row)]
            return rows[0] if rows else None

        return self.out.wait_for(find, f"an event {kind}")

    def terminate(self):
        self.signal(signal.SIGTERM)
        return self.wait()


class Terminal:
    """A command on a terminal of its own (stdin, stdout and stderr), its master read to the last byte."""

    def __init__(self, argv):
        self.argv = [os.fspath(argument) for argument in argv]
        master, self.slave = pty.openpty()  # kept open, so that its settings can be read after the command's end
        termios.tcsetwinsize(self.slave, (50, 200))
        self.before = termios.tcgetattr(self.slave)
        self._popen = subprocess.Popen(
            ["setsid", "--ctty", *self.argv], stdin=self.slave, stdout=self.slave, stderr=self.slave
        )
        self.pid = self._popen.pid
        self._master = os.dup(master)
        self.out = Capture(master, "the terminal")

    def type(self, data):
        os.write(self._master, data)

    def signal(self, number):
        self._popen.send_signal(number)

    @property
    def settings(self):
        return termios.tcgetattr(self.slave)

    def wait(self):
        """Its exit status, and all that it has written."""
        try:
            status = self._popen.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {self}") from None
        self.after = self.settings
        mark = b"<the end of it>"  # what was written before the mark has been read once the mark was
        tty.setraw(self.slave)
        os.write(self.slave, mark)
        self.out.wait_for(lambda data: data.endswith(mark), "the mark after the command's end")
        return (status if status >= 0 else 128 - status), self.out.data[: -len(mark)]

    def finish(self):
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        for fd in (self.slave, self._master):
            os.close(fd)
        for marker in SANITIZERS:
            assert marker not in self.out.text, f"a sanitizer reports: {self}"

    def __str__(self):
        return f"{self.argv}\nexit status {self._popen.poll()}\non the terminal:\n{self.out.data[-4000:]!r}"


# --- sockets -----------------------------------------------------------------------------------------------------

NO_LINGER = struct.pack("ii", 1, 0)
SIOCOUTQ = 0x5411
FIONREAD = 0x541B


def text_address(sock_name):
    """An address as the product writes it: 127.0.0.1:80, [::1]:80."""
    host, port = sock_name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def dial(url, *, source=None, rcvbuf=None, sndbuf=None):
    """Connect to a URL as the product prints it."""
    if url.startswith("unix:"):
        path = url[len("unix:") :]
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(DEADLINE)
        sock.connect("\0" + path[1:] if path.startswith("@") else path)
        return sock
    host, port = split_tcp(url)
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )[0]
    sock = socket.socket(family, kind, protocol)
    sock.settimeout(DEADLINE)
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    if sndbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
    if source:
        sock.bind(source)
    sock.connect(address)
    return sock


def split_tcp(url):
    found = re.fullmatch(r"tcp://(\[[^\]]*\]|[^:]*):(\d+)", url)
    assert found, f"not a TCP URL: {url}"
    return found.group(1).strip("[]"), int(found.group(2))


def listener(family=socket.AF_INET, host=None, backlog=128, port=0):
    """A listening socket of Python's own."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((host or ("::1" if family == socket.AF_INET6 else "127.0.0.1"), port))
    sock.listen(backlog)
    sock.settimeout(DEADLINE)
    return sock


def url_of(sock):
    """The URL of a listening socket."""
    return "tcp://" + text_address(sock.getsockname())


def accept(sock):
    connection, peer = sock.accept()
    connection.settimeout(DEADLINE)
    return connection, peer


def free_port(host="127.0.0.1"):
    """A port that nobody uses now and that the kernel does not hand out by itself: it stays free until it is used."""
    first_ephemeral = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = random.randrange(10000, first_ephemeral)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as sock:
            try:
                sock.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def receive_exactly(sock, n_bytes):
    data = bytearray()
    while len(data) < n_bytes:
        chunk = sock.recv(min(1 << 20, n_bytes - len(data)))
        assert chunk, f"the end came after {len(data)} of {n_bytes} bytes: {bytes(data)[-200:]!r}"
        data += chunk
    return bytes(data)


def receive_all(sock):
    """Everything until the end of data."""
    data = bytearray()
    while chunk := sock.recv(1 << 20):
        data += chunk
    return bytes(data)


def round_trip(sock, message):
    sock.sendall(message)
    answer = receive_exactly(sock, len(message))
    assert answer == message, f"{message!r} came back as {answer!r}"


def nothing_to_read(sock):
    """Neither bytes nor an end are there to be read."""
    sock.setblocking(False)
    try:
        chunk = sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        sock.settimeout(DEADLINE)
    raise AssertionError("the end of data is there" if not chunk else f"{chunk!r} is there")


def reset(sock):
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    sock.close()


def fill(sock, chunk=bytes(1 << 14), limit=None):
    """Send without waiting until nothing more is taken (or limit is reached); returns how much was taken."""
    sock.setblocking(False)
    sent = 0
    try:
        while limit is None or sent < limit:
            sent += sock.send(chunk if limit is None else chunk[: limit - sent])
    except BlockingIOError:
        pass
    finally:
        sock.settimeout(DEADLINE)
    return sent


def fill_until_blocked(sock):
    """Send until the other side takes nothing more and all on the way has settled; returns (taken, acknowledged)."""
    sent = 0
    quiet = 0
    while quiet < 5:  # five looks in a row without progress
        before = (sent, unacknowledged(sock))
        sent += fill(sock)
        with Observation(0.05):
            pass
        quiet = quiet + 1 if (sent, unacknowledged(sock)) == before else 0
    return sent, sent - unacknowledged(sock)


def _ioctl(sock, request):
    import array
    import fcntl

    value = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), request, value)
    return value[0]


def unacknowledged(sock):
    """Bytes in our send queue that the peer's kernel has not acknowledged."""
    return _ioctl(sock, SIOCOUTQ)


def unread(sock):
    """Bytes in our receive queue."""
    return _ioctl(sock, FIONREAD)


def wait_acknowledged(sock):
    wait_until(lambda: unacknowledged(sock) == 0, "the peer's kernel has acknowledged everything")


def wait_taken(sock):
    """Until the process at the other end has read all that was sent (TCP, both ends on this machine)."""
    wait_acknowledged(sock)
    mine, peer = sock.getsockname(), sock.getpeername()

    def empty():
        row = connection_row(peer, mine)
        return row is None or row.rx_queue == 0

    wait_until(empty, "the peer has read everything")


def exchange(sock, data, *, expect=None, seed=None, most=1 << 16, half_close=True):
    """Send data in writes of random sizes while receiving. What comes back must be `expect` (data itself when not
    said), byte for byte and not one more. Full duplex: neither direction waits for the other."""
    expect = data if expect is None else expect
    sizes = random.Random(seed)
    sending, expected = memoryview(data), memoryview(expect)
    sent = received = 0
    sock.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        last = time.monotonic()
        while received < len(expect) or (half_close and selector.get_map()):
            ready = selector.select(1)
            assert time.monotonic() - last < DEADLINE, f"stuck: {sent} of {len(data)} sent, {received} received"
            for _, events in ready:
                last = time.monotonic()
                if events & selectors.EVENT_READ:
                    chunk = sock.recv(1 << 18)
                    if not chunk:
                        assert received == len(expect), f"the end came after {received} of {len(expect)} bytes"
                        assert sent == len(data), f"the end came when {sent} of {len(data)} bytes were sent"
                        selector.unregister(sock)
                        break
                    end = received + len(chunk)
                    assert chunk == expected[received:end], difference(chunk, expected[received:end], received)
                    received = end
                if events & selectors.EVENT_WRITE:
                    if sent == len(data):
                        if half_close:
                            sock.shutdown(socket.SHUT_WR)
                        selector.modify(sock, selectors.EVENT_READ)
                        continue
                    size = sizes.randint(1, most)
                    sent += sock.send(sending[sent : sent + size])
    sock.settimeout(DEADLINE)


def difference(got, expected, offset=0):
    """Where two byte strings part."""
    got, expected = bytes(got), bytes(expected)
    for index, (one, other) in enumerate(zip(got, expected)):
        if one != other:
            return (
                f"byte {offset + index}: got {got[index:index + 16]!r}, expected {expected[index:index + 16]!r}"
            )
    return f"same until byte {offset + min(len(got), len(expected))}, but {len(got)} bytes against {len(expected)}"


class Peer:
    """A scripted server: each connection is handed to `script(connection, number)` on a thread of its own. What a
    script raises is raised again by join()."""

    def __init__(self, script, *, family=socket.AF_INET, host=None, port=0, sock=None):
        self._listener = sock or listener(family, host, port=port)
        self._listener.settimeout(0.05)
        self._script = script
        self._threads = []
        self._failures = []
        self._over = False
        self.url = url_of(self._listener)
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def n_connections(self):
        return len(self._threads)

    def _accept(self):
        while not self._over:
            try:
                connection, _ = self._listener.accept()
            except socket.timeout:
                continue
            except OSError:
                break
            connection.settimeout(DEADLINE)
            thread = threading.Thread(target=self._run, args=(connection, len(self._threads)), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection, number):
        try:
            with connection:
                self._script(connection, number)
        except BaseException as failure:  # pylint: disable=broad-except
            self._failures.append(failure)

    def join(self):
        for thread in list(self._threads):
            thread.join(DEADLINE)
            assert not thread.is_alive(), "the scripted server still waits for its client"
        if self._failures:
            raise self._failures[0]

    def finish(self):
        self._over = True
        self._acceptor.join()
        self._listener.close()


def echo_script(connection, _):
    while chunk := connection.recv(1 << 16):
        connection.sendall(chunk)
    connection.shutdown(socket.SHUT_WR)


# --- the kernel's view -------------------------------------------------------------------------------------------

TCP_STATES = (
    "? ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING"
).split()
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP = 4, 20, 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3

TcpRow = collections.namedtuple("TcpRow", "local peer state rx_queue tx_queue inode")


def tcp_table(local_port=0, peer_port=0):
    """The TCP sockets of this network namespace with that local or peer port (sock_diag(7)). Of a listener rx_queue is
    how many connections wait for accept, and tx_queue how many may."""
    rows = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            wanted = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF)
            wanted += struct.pack("!HH", local_port, peer_port) + bytes(44)  # any address, any interface, any cookie
            length = 16 + len(wanted)
            netlink.send(struct.pack("=IHHII", length, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0) + wanted)
            while part := _messages(netlink.recv(1 << 16), family):
                rows += [row for row in part if row]
    return rows


def _messages(data, family):
    """The sockets in one part of an answer; [None] for none, nothing at the answer's end."""
    rows = [None]
    width = 4 if family == socket.AF_INET else 16
    while data:
        length, kind = struct.unpack_from("=IH", data)
        if kind == NLMSG_DONE:
            return []
        assert kind != NLMSG_ERROR, "the kernel refuses to tell of its sockets"
        state = TCP_STATES[data[17]]
        local_port, peer_port = struct.unpack_from("!HH", data, 20)
        local, peer = (socket.inet_ntop(family, data[at : at + width]) for at in (24, 40))
        rx_queue, tx_queue, _, inode = struct.unpack_from("=IIII", data, 72)
        rows.append(TcpRow((local, local_port), (peer, peer_port), state, rx_queue, tx_queue, inode))
        data = data[(length + 3) & ~3 :]
    return rows


def connection_row(local, peer):
    """The socket between those two addresses, as the local end sees it; None when there is none. A port alone says
    little: other programs' connections may have the same."""
    rows = [row for row in tcp_table(local[1], peer[1]) if (row.local, row.peer) == (local[:2], peer[:2])]
    return rows[0] if rows else None


def connecting(port):
    """Whether somebody's SYN to that port waits for its answer."""
    return any(row.state == "SYN_SENT" for row in tcp_table(peer_port=port))


def accept_queue(port):
    """How many connections wait for accept on that port; None when nobody listens there."""
    rows = [row for row in tcp_table(port) if row.state == "LISTEN"]
    return sum(row.rx_queue for row in rows) if rows else None


def tcp_state(sock):
    """The state of our own end, from TCP_INFO."""
    return TCP_STATES[sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]]


def wait_state(sock, *states):
    wait_until(lambda: tcp_state(sock) in states, f"our end is {' or '.join(states)} (it is {tcp_state(sock)})")


def process_state(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def cpu_seconds(pid):
    """User and system time so far."""
    field = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(field[11]) + int(field[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- what is said ------------------------------------------------------------------------------------------------

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)")


def strict_json_lines(data):
    """Parse JSON Lines as strictly as can be: UTF-8, no control byte, no NaN, no name twice, time stamps on each."""

    def pairs(items):
        names = [name for name, _ in items]
        assert len(set(names)) == len(names), f"a name twice: {names}"
        return dict(items)

    def constant(name):
        raise AssertionError(f"{name} is not JSON")

    rows = []
    for line in data.split(b"\n"):
        if not line:
            continue
        row = json.loads(line.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
        assert isinstance(row, dict) and isinstance(row.get("event"), str), f"not an event: {line!r}"
        assert TIME.fullmatch(row["time"]), f"not ISO 8601 in UTC with microseconds: {row['time']}"
        assert isinstance(row["mono_ns"], int)
        rows.append(row)
    stamps = [row["mono_ns"] for row in rows]
    assert stamps == sorted(stamps), "mono_ns goes back"
    return rows


def hex_dump(text, sign=""):
    """The bytes of a hex dump's lines (those with that sign before them); offsets must be right."""
    data = b""
    for offset, row in re.findall(rf"^{sign}([0-9a-f]{{8}})  ([0-9a-f ]+?)\s*\|.*\|$", text, re.M):
        assert int(offset, 16) == len(data), f"offset {offset} after {len(data)} bytes"
        data += bytes.fromhex(row.replace(" ", ""))
    return data


BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def assert_printable(data, allowed="\n"):
    """No byte that a terminal would obey, and valid UTF-8."""
    text = data.decode("utf-8")  # raises on what is not UTF-8
    for index, char in enumerate(text):
        bad = ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or char in BIDI or char in "\u2028\u2029\ufeff"
        assert not bad or char in allowed, f"U+{ord(char):04X} in the output: {text[max(0, index - 60):index + 60]!r}"


def one_sentence(err):
    """What a failure leaves on stderr: one line from us and nothing else. Returns it without the prefix."""
    lines = err.splitlines()
    assert len(lines) == 1, f"not one line:\n{err}"
    assert lines[0].startswith("sonde: "), f"not ours: {lines[0]!r}"
    sentence = lines[0][len("sonde: ") :]
    assert re.match(r"\S.* .*\S$", sentence), f"not a sentence: {sentence!r}"
    assert_printable(err.encode())
    clauses = [clause.strip() for clause in re.split(r"[:;.,] |[()]", sentence) if len(clause.strip()) > 15]
    assert len(set(clauses)) == len(clauses), f"it says something twice: {sentence!r}"
    return sentence


def hint(sentence):
    """The part that says what to try: what follows the first full stop."""
    found = re.search(r"\.\s+(\S+ .+)", sentence)
    assert found, f"it does not say what to try: {sentence!r}"
    return found.group(1)
