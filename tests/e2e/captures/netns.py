# SPDX-License-Identifier: MIT
"""Network namespaces and wires between them.

A namespace here has no name: it is a descriptor, and it goes with the last of its sockets and interfaces. A socket
belongs to the namespace its thread was in when it was made, so one process has sockets in all of them.

Wire: two namespaces with a real kernel's TCP in each, and between them a thread that forwards frames from one veth to
the other, and in doing so can lose, hold back, repeat or delay any of them, and writes down what passes at either end.
Offloads are off there: what is seen is what is sent.
"""

import bisect
import contextlib
import ctypes
import fcntl
import heapq
import os
import select
import socket
import struct
import subprocess
import threading
import time

import harness
from captures import pcap

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
PACKET_OUTGOING = 4
SO_TIMESTAMPNS = 35
SIOCETHTOOL = 0x8946
ETHTOOL_OFF = (0x17, 0x19, 0x1F, 0x24, 0x2C)  # tx checksums, scatter-gather, TSO, GSO, GRO

libc = ctypes.CDLL(None, use_errno=True)


def permitted():
    """Why namespaces can't be made here; None: they can."""
    return None if os.geteuid() == 0 else "making network namespaces needs root"


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _own():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Namespace:
    def __init__(self):
        before = _own()
        try:
            _check(libc.unshare(CLONE_NEWNET), "unshare")
            self.fd = _own()
        finally:
            _check(libc.setns(before, CLONE_NEWNET), "setns")
            os.close(before)
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"
        self.sysctl("net/ipv6/conf/default/accept_dad", 0)
        self.sysctl("net/ipv6/conf/default/router_solicitations", 0)
        self.ip("link set lo up")

    @contextlib.contextmanager
    def entered(self):
        """This thread is in here meanwhile; so are the processes that it starts."""
        before = _own()
        _check(libc.setns(self.fd, CLONE_NEWNET), "setns")
        try:
            yield self
        finally:
            _check(libc.setns(before, CLONE_NEWNET), "setns")
            os.close(before)

    def sysctl(self, name, value):
        with self.entered(), open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
            file.write(str(value))

    def ip(self, *lines):
        """ip(8), a command a line."""
        with self.entered():
            done = subprocess.run(
                ["ip", "-batch", "-"],
                input="\n".join(lines) + "\n",
                text=True,
                timeout=harness.DEADLINE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        assert done.returncode == 0, f"ip: {lines}: {done.stdout}"

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        with self.entered():
            made = socket.socket(family, kind, protocol)
        made.settimeout(harness.DEADLINE)
        return made

    def listener(self, host, port=7007, *, backlog=16, rcvbuf=None, mss=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = self.socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if rcvbuf:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if mss:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        made.bind((host, port))
        made.listen(backlog)
        return made

    def offloads_off(self, interface):
        with self.socket(kind=socket.SOCK_DGRAM) as sock:
            for command in ETHTOOL_OFF:
                value = ctypes.create_string_buffer(struct.pack("II", command, 0))
                request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
                with contextlib.suppress(OSError):  # TSO and scatter-gather hang on each other
                    fcntl.ioctl(sock.fileno(), SIOCETHTOOL, request)

    def tcp_table(self, local_port=0):
        with self.entered():
            return harness.tcp_table(local_port)

    def close(self):
        os.close(self.fd)


# --- what a forwarder has to know of a frame ----------------------------------------------------------------------


class Frame:
    """A frame on the wire: who sent it ("a", the client, or "b"), and its segment if it is one."""

    def __init__(self, end, data):
        self.end, self.data = end, data
        self.flags = self.letters = None
        self.seq = self.ack = self.n_bytes = self.window = 0
        kind = struct.unpack_from("!H", data, 12)[0]
        if kind == 0x0800:
            at, protocol, length = 14 + (data[14] & 15) * 4, data[23], struct.unpack_from("!H", data, 16)[0]
            end_of_packet = 14 + length
        elif kind == 0x86DD:
            at, protocol, end_of_packet = 54, data[20], 54 + struct.unpack_from("!H", data, 18)[0]
        else:
            return
        if protocol != 6:
            return
        self.seq, self.ack, offset, self.flags, self.window = struct.unpack_from("!IIBBH", data, at + 4)
        self.n_bytes = end_of_packet - at - (offset >> 4) * 4
        self.letters = "".join(letter for letter in "FSRPU" if self.flags & pcap.LETTERS[letter])
        self.letters += "." if self.flags & pcap.ACK else ""

    is_tcp = property(lambda self: self.flags is not None)
    syn = property(lambda self: self.letters == "S")
    synack = property(lambda self: self.letters == "S.")
    fin = property(lambda self: self.is_tcp and bool(self.flags & pcap.FIN))
    rst = property(lambda self: self.is_tcp and bool(self.flags & pcap.RST))
    pure_ack = property(lambda self: self.letters == "." and not self.n_bytes)
    data_bytes = property(lambda self: self.n_bytes if self.is_tcp else 0)


def sent_by(end, what):
    """A match: what is a property of Frame by its name, or a function."""
    ask = (lambda frame: getattr(frame, what)) if isinstance(what, str) else what
    return lambda frame: frame.end == end and ask(frame)


class _Rule:
    """Of the frames that match, those whose numbers (from 1) are in `which`; None: all."""

    def __init__(self, match, which, action):
        self.match, self.which, self.action = match, which, action
        self.n_matched = self.n_applied = 0

    def applies(self, frame):
        if not self.match(frame):
            return False
        self.n_matched += 1
        hit = self.which is None or self.n_matched in self.which
        self.n_applied += hit
        return hit


def _pending(sock):
    """The frames that are there to be read."""
    frames = []
    with contextlib.suppress(BlockingIOError):
        while True:
            data, address = sock.recvfrom(1 << 17)
            if address[2] != PACKET_OUTGOING:
                frames.append(data)
    return frames


class Wire:
    A4, B4, A6, B6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"

    def __init__(self, *, delay=0.002, mtu=1500):
        self.delay_ns = int(delay * 1e9)
        self.a, self.b, self._middle = Namespace(), Namespace(), Namespace()
        self.records = {"a": [], "b": []}
        self.frames = []  # every frame sent, in order, lost ones too
        self._rules, self._held, self._due = [], [], []
        self._serial = 0
        self._recording = True
        self._changed = threading.Condition()
        self._link("a", mtu)
        self._link("b", mtu)
        self._sockets = {end: self._tap(end) for end in "ab"}
        for end, namespace in (("a", self.a), ("b", self.b)):
            self._wait_carries(end, namespace)
        self._over = os.eventfd(0)
        self._thread = threading.Thread(target=self._forward, daemon=True)
        self._thread.start()

    def _link(self, end, mtu):
        namespace, number = (self.a, 1) if end == "a" else (self.b, 2)
        mac = {1: "02:00:00:00:00:01", 2: "02:00:00:00:00:02"}
        self._middle.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
        self._middle.ip(
            f"link add name tap-{end} mtu {mtu} address 02:00:00:00:01:0{number} type veth peer name {end}0 "
            f"netns {namespace.path}",
            f"link set tap-{end} up promisc on",
        )
        namespace.sysctl(f"net/ipv6/conf/{end}0/addr_gen_mode", 1)  # no link-local address, no multicast noise
        other = 3 - number
        namespace.offloads_off(f"{end}0")
        namespace.ip(
            f"link set {end}0 address {mac[number]} mtu {mtu} up",
            f"address add 10.0.0.{number}/24 dev {end}0",
            f"address add fd00::{number}/64 dev {end}0 nodad",
            f"neighbour replace 10.0.0.{other} lladdr {mac[other]} dev {end}0 nud permanent",
            f"neighbour replace fd00::{other} lladdr {mac[other]} dev {end}0 nud permanent",
        )
        self._middle.offloads_off(f"tap-{end}")

    def _tap(self, end):
        with self._middle.entered():
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.bind((f"tap-{end}", ETH_P_ALL))
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # ENETDOWN of before the link was up
        sock.setblocking(False)
        return sock

    def _wait_carries(self, end, namespace):
        """A link that is up may lose what is sent before the kernel has noticed: until a frame passes both ways."""
        probe = b"\xff" * 6 + bytes(6) + b"\x88\xb5" + b"is this a wire?".ljust(46)
        tap = self._sockets[end]
        with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as mine:
            mine.bind((f"{end}0", 0x88B5))
            mine.setblocking(False)

            def passes():
                for sender, receiver in ((mine, tap), (tap, mine)):
                    sender.send(probe)
                    if not any(frame[:14] == probe[:14] for frame in _pending(receiver)):
                        return False
                return True

            harness.wait_until(passes, "the wire carries frames")

    # -- what is done to frames

    def _add(self, match, which, action):
        which = {which} if isinstance(which, int) else which
        rule = _Rule(match, which, action)
        with self._changed:
            self._rules.append(rule)
        return rule

    def drop(self, match, which=None):
        return self._add(match, which, "drop")

    def hold(self, match, which=None):
        """Back until release()."""
        return self._add(match, which, "hold")

    def twice(self, match, which=None):
        return self._add(match, which, "twice")

    def remove(self, rule):
        with self._changed:
            self._rules.remove(rule)

    def release(self, *rules):
        """What was held goes on, in order; those rules hold nothing more."""
        with self._changed:
            for rule in rules:
                self._rules.remove(rule)
            held, self._held = self._held, []
            for frame in held:
                self._schedule(frame, time.time_ns())
        os.eventfd_write(self._over, 1)

    def wait_held(self, n=1):
        self.wait(lambda: len(self._held) >= n, f"{n} frame(s) are held back")

    # -- what passes

    def seen(self, match, n=1):
        """Until that many such frames were sent."""
        self.wait(lambda: sum(1 for frame in self.frames if match(frame)) >= n, f"{n} such frame(s)")

    def arrived(self, match, n=1):
        """Until that many such frames were handed to the end they are for."""
        self.wait(
            lambda: sum(1 for frame in self.frames if frame.delivered and match(frame)) >= n, f"{n} such frame(s)"
        )

    def wait(self, predicate, what):
        end = time.monotonic() + harness.DEADLINE
        with self._changed:
            while not predicate():
                left = end - time.monotonic()
                assert (
                    left > 0
                ), f"waited in vain until {what}; seen: {[(f.end, f.letters, f.n_bytes) for f in self.frames]}"
                self._changed.wait(left)

    def repeats(self):
        """How many segments were sent again."""
        sent = [(frame.end, frame.letters, frame.seq, frame.n_bytes) for frame in self.frames if frame.is_tcp]
        again = [one for one in sent if one[3] or "S" in one[1] or "F" in one[1]]
        return len(again) - len(set(again))

    def stop_recording(self):
        """What passes from now on is in no capture."""
        with self._changed:
            self._recording = False

    def _record(self, end, data, t_ns):
        """In the order of time, which is the kernel's for what was sent: this thread may have been late to take it."""
        if self._recording:
            bisect.insort(self.records[end], pcap.Record(t_ns, data), key=lambda record: record.t_ns)

    def _schedule(self, frame, now_ns):
        self._serial += 1
        heapq.heappush(self._due, (now_ns + self.delay_ns, self._serial, frame))

    def _arrive(self, end):
        data, stamps, _, address = self._sockets[end].recvmsg(1 << 17, 64)
        if address[2] == PACKET_OUTGOING or data[0] & 1:  # a group's address: the kernels' own housekeeping
            return
        seconds, nanoseconds = struct.unpack("qq", stamps[0][2])
        frame, now_ns = Frame(end, data), time.time_ns()
        frame.delivered = False
        with self._changed:
            self._record(end, data, seconds * 10**9 + nanoseconds)
            self.frames.append(frame)
            actions = [rule.action for rule in self._rules if rule.applies(frame)]
            if "hold" in actions:
                self._held.append(frame)
            elif "drop" not in actions:
                for _ in range(2 if "twice" in actions else 1):
                    self._schedule(frame, now_ns)
            self._changed.notify_all()

    def _deliver(self):
        with self._changed:
            now_ns = time.time_ns()
            while self._due and self._due[0][0] <= now_ns:
                frame = heapq.heappop(self._due)[2]
                end = "b" if frame.end == "a" else "a"
                self._record(end, frame.data, time.time_ns())
                self._sockets[end].send(frame.data)
                frame.delivered = True
                self._changed.notify_all()
            return max(0, self._due[0][0] - time.time_ns()) / 1e6 if self._due else None

    def _forward(self):
        poll = select.poll()
        ends = {sock.fileno(): end for end, sock in self._sockets.items()}
        for fd in (*ends, self._over):
            poll.register(fd, select.POLLIN)
        while True:
            left_ms = self._deliver()
            for fd, _ in poll.poll(left_ms):
                if fd == self._over:
                    if os.eventfd_read(fd) > 1 << 32:
                        return
                    continue
                with contextlib.suppress(BlockingIOError):
                    while True:
                        self._arrive(ends[fd])

    # -- the ends

    def close(self):
        os.eventfd_write(self._over, 1 << 33)
        self._thread.join(harness.DEADLINE)
        for sock in self._sockets.values():
            sock.close()
        os.close(self._over)
        for namespace in (self.a, self.b, self._middle):
            namespace.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- recording with tcpdump --------------------------------------------------------------------------------------


class Recorder:
    """tcpdump in a namespace; it records from when it is made. stop() waits until all that was sent before is in the
    file: a datagram sent last is looked for, and taken out again."""

    MARK = b"end of this recording"

    def __init__(self, namespace, interface, path, *, options=(), mark=("127.0.0.1", 9)):
        self._namespace, self._mark, self.path = namespace, mark, path
        with namespace.entered():
            self._process = harness.Process(
                [
                    "tcpdump",
                    "-i",
                    interface,
                    "-w",
                    path,
                    "-U",
                    "--immediate-mode",
                    "-s",
                    "66000",
                    "-B",
                    "32768",
                    "-Z",
                    "root",
                    *options,
                ],
                stdin=subprocess.DEVNULL,
            )
        self._process.err.wait_match("listening on")

    def stop(self):
        def marked():
            sock.sendto(self.MARK, self._mark)
            with open(self.path, "rb") as file:
                return self.MARK in file.read()

        with self._namespace.socket(kind=socket.SOCK_DGRAM) as sock:
            harness.wait_until(marked, "the recorder has seen all")
        self._process.signal(2)
        assert self._process.wait() == 0, f"the recorder failed: {self._process}"
        self._process.finish()
        linktype, records = pcap.read(self.path)
        first = next(n for n, record in enumerate(records) if self.MARK in record.data)
        pcap.write(self.path, records[:first], linktype, nanoseconds=False)
        return self.path
