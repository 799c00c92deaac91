# SPDX-License-Identifier: MIT
"""Run a command in a world of its own: a network whose only names are those of a name server that is told what to
answer, with some addresses that answer, some that refuse, and some that swallow everything.

    unshare --user --net --mount --map-root-user python3 name_server.py WORLD.json COMMAND [ARGUMENT...]

Of the world, all of it optional:
    names    {name: {"A": [...], "AAAA": [...], "CNAME": name, "delay": {"AAAA": seconds}, "silent": ["AAAA"],
             "rcode": 2 or {"AAAA": 2}, "truncate": bool, "garbage": "id" or "random",
             "ordered": true (A and AAAA are both asked for before either is answered; AAAA is answered first)}};
             other names do not exist
    listen   addresses on whose port 7007 an echo server stands
    refuse   addresses that are there, with nobody listening
    swallow  prefixes from which nothing ever comes back
    server   false: nobody listens where the name server ought to be
    resolv   what else stands in resolv.conf
    hosts    /etc/hosts
    log      a file for the questions, one a line: "udp A name"

Addresses that are in none of these have no route. The command is this process; the servers end with it.
"""

import ctypes
import ipaddress
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

PORT = 7007
SERVER = "127.0.0.1"
TYPES = {1: "A", 28: "AAAA", 5: "CNAME"}
NUMBERS = {text: number for number, text in TYPES.items()}
SERVFAIL, NXDOMAIN = 2, 3
PR_SET_PDEATHSIG = 1


def encode(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def decode(question):
    """The name at the start of the question, and what stands behind it."""
    parts = []
    while question[0]:
        parts.append(question[1 : 1 + question[0]].decode("ascii", "replace"))
        question = question[1 + question[0] :]
    return ".".join(parts).lower(), question[1:]


def record(name, kind, value):
    data = encode(value) if kind == "CNAME" else ipaddress.ip_address(value).packed
    return encode(name) + struct.pack("!HHIH", NUMBERS[kind], 1, 60, len(data)) + data


class NameServer:
    def __init__(self, world):
        self._names = {name.lower(): entry for name, entry in world.get("names", {}).items()}
        self._log = open(world["log"], "a", buffering=1, encoding="ascii") if world.get("log") else None
        self._changed = threading.Condition()
        self._asked, self._answered = set(), set()  # {(name, kind)} of the ordered ones

    def _wait_for_turn(self, name, kind):
        with self._changed:
            self._asked.add((name, kind))
            self._changed.notify_all()
            self._changed.wait_for(lambda: {(name, "A"), (name, "AAAA")} <= self._asked)
            if kind == "A":
                self._changed.wait_for(lambda: (name, "AAAA") in self._answered)

    def told(self, message):
        """The answer to this question was sent."""
        name, rest = decode(message[12:])
        with self._changed:
            self._answered.add((name, TYPES.get(struct.unpack_from("!H", rest)[0])))
            self._changed.notify_all()

    def answer(self, message, way):
        """The answer to a question; None when there is to be none."""
        (number,) = struct.unpack_from("!H", message)
        name, rest = decode(message[12:])
        kind = TYPES.get(struct.unpack_from("!H", rest)[0], "?")
        if self._log:
            self._log.write(f"{way} {kind} {name}\n")
        question = encode(name) + rest[:4]
        entry = self._names.get(name)
        rcode, records = 0, []
        if entry is None:
            rcode = NXDOMAIN
        else:
            if kind in entry.get("silent", ()):
                return None
            time.sleep(entry.get("delay", {}).get(kind, 0))
            if entry.get("ordered"):
                self._wait_for_turn(name, kind)
            if entry.get("garbage"):
                tail = random.Random(number).randbytes(60)
                return message[:2] + b"\x81\x80\0\1\0\7\0\0\0\0" + tail if entry["garbage"] == "id" else tail
            if way == "udp" and entry.get("truncate"):
                return struct.pack("!HHHHHH", number, 0x8380, 1, 0, 0, 0) + question
            rcode = entry.get("rcode", 0)
            rcode = rcode.get(kind, 0) if isinstance(rcode, dict) else rcode
            records = self._records(name, kind) if not rcode else []
        return struct.pack("!HHHHHH", number, 0x8180 | rcode, 1, len(records), 0, 0) + question + b"".join(records)

    def _records(self, name, kind):
        records = []
        while "CNAME" in self._names.get(name, {}):
            alias = self._names[name]["CNAME"]
            records.append(record(name, "CNAME", alias))
            name = alias
        return records + [record(name, kind, value) for value in self._names.get(name, {}).get(kind, ())]

    def serve_udp(self, sock):
        while True:
            message, peer = sock.recvfrom(4096)
            threading.Thread(target=self._answer_udp, args=(sock, message, peer), daemon=True).start()

    def _answer_udp(self, sock, message, peer):
        answer = self.answer(message, "udp")
        if answer:
            sock.sendto(answer, peer)
            self.told(message)

    def serve_tcp(self, sock):
        while True:
            connection, _ = sock.accept()
            threading.Thread(target=self._answer_tcp, args=(connection,), daemon=True).start()

    def _answer_tcp(self, connection):
        with connection, connection.makefile("rb") as file:
            while len(size := file.read(2)) == 2:
                answer = self.answer(file.read(struct.unpack("!H", size)[0]), "tcp")
                if answer:
                    connection.sendall(struct.pack("!H", len(answer)) + answer)


def echo(connection):
    with connection:
        while chunk := connection.recv(1 << 16):
            connection.sendall(chunk)
        connection.shutdown(socket.SHUT_WR)


def serve_echo(sock):
    while True:
        connection, _ = sock.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def listener(address, port):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen()
    return sock


def run(*command, text=None):
    subprocess.run(command, check=True, input=text, text=True)


def make_network(world):
    run("ip", "link", "set", "lo", "up")
    drops = []
    for prefix in world.get("swallow", ()):
        network = ipaddress.ip_network(prefix)
        run("ip", "route", "add", "local", str(network), "dev", "lo")
        drops.append(f"add rule inet world input {'ip6' if network.version == 6 else 'ip'} daddr {network} drop\n")
    for address in [*world.get("listen", ()), *world.get("refuse", ())]:
        width = ["/128", "nodad"] if ":" in address else ["/32"]
        if not ipaddress.ip_address(address).is_loopback:
            run("ip", "address", "add", address + width[0], "dev", "lo", *width[1:])
    if drops:
        hook = "{ type filter hook input priority 0; }"
        run("nft", "-f", "-", text=f"add table inet world\nadd chain inet world input {hook}\n{''.join(drops)}")


def replace_file(path, text):
    descriptor, name = tempfile.mkstemp()
    os.write(descriptor, text.encode())
    os.fchmod(descriptor, 0o644)
    os.close(descriptor)
    run("mount", "--bind", name, path)
    os.unlink(name)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        world = json.load(file)
    make_network(world)
    replace_file("/etc/resolv.conf", f"nameserver {SERVER}\n{world.get('resolv', '')}")
    replace_file("/etc/hosts", world.get("hosts", "127.0.0.1 localhost\n"))
    server = NameServer(world)
    jobs = [(serve_echo, listener(address, PORT)) for address in world.get("listen", ())]
    if world.get("server", True):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((SERVER, 53))
        jobs += [(server.serve_udp, udp), (server.serve_tcp, listener(SERVER, 53))]
    command = os.getpid()
    if os.fork():
        os.execvp(sys.argv[2], sys.argv[2:])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != command:
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    for job, sock in jobs:
        threading.Thread(target=job, args=(sock,), daemon=True).start()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
