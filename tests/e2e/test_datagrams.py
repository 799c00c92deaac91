# SPDX-License-Identifier: MIT
"""udp://, unixgram: and seqpacket: against other people's programs and plain sockets; groups, in a namespace of their
own."""

import os
import pathlib
import re
import shlex
import shutil
import socket
import struct
import subprocess

import pytest

import harness
from harness import DEADLINE, wait_until

UDP = "udp://127.0.0.1:0"
SO_ACCEPTCON = 0x10000  # the kernel's flag of a listener


def address(server):
    """Where a server listens, (host, port)."""
    found = re.search(r"^udp://(\[[^]]+\]|[^:]+):(\d+)$", server.url)
    return found[1].strip("[]"), int(found[2])


def listens_at(path):
    """Does somebody listen at this path? It is there from bind on, and listen comes after that."""
    rows = [line.split() for line in pathlib.Path("/proc/net/unix").read_bytes().split(b"\n")]
    return any(row[7:] == [os.fsencode(path)] and int(row[3], 16) & SO_ACCEPTCON for row in rows)


def udp_socket(host="127.0.0.1"):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(DEADLINE)
    sock.bind((host, 0))
    return sock


# --- echo --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_each_datagram_comes_back_whole(sonde, request, host):
    if ":" in host:
        request.getfixturevalue("ipv6")
    server = sonde.serve("echo", url=f"udp://{harness.text_address((host, 0))}")
    with udp_socket(host) as sock:
        for length in (0, 1, 1400, 0, 65507, 7):
            message = os.urandom(length)
            sock.sendto(message, address(server))
            assert sock.recv(70000) == message


UDP_CLIENTS = {
    "nc": lambda host, port: ["nc.openbsd", "-u", host, port],
    "ncat": lambda host, port: ["ncat", "-u", host, port],
    "socat": lambda host, port: ["socat", "-", f"UDP:{host}:{port}"],
}


@pytest.mark.parametrize("client", UDP_CLIENTS)
def test_several_clients_at_once(sonde, tool, client):
    server = sonde.serve("echo", url=UDP)
    argv = UDP_CLIENTS[client](*map(str, address(server)))
    argv[0] = tool(argv[0])
    processes = [sonde.start(argv) for _ in range(3)]
    for text in ("first", "second"):
        for number, process in enumerate(processes):
            process.feed(f"{text} of {number}\n".encode())
    for number, process in enumerate(processes):
        process.out.wait_match(f"^second of {number}$")
        assert process.out.text == f"first of {number}\nsecond of {number}\n"


def test_many_peers_each_get_their_own(sonde):
    server = sonde.serve("echo", "--quiet", url=UDP)
    socks = [udp_socket() for _ in range(200)]
    for turn in range(3):
        for number, sock in enumerate(socks):
            sock.sendto(b"%d %d" % (number, turn), address(server))
            if number % 50 == 49:  # no more at a time than a receive buffer holds
                for waiting in range(number - 49, number + 1):
                    assert socks[waiting].recv(100) == b"%d %d" % (waiting, turn)
    for sock in socks:
        sock.close()


def test_answers_come_from_the_address_that_was_asked(sonde):
    server = sonde.serve("echo", "-4", url="udp://*:0")
    port = address(server)[1]
    with udp_socket("127.0.0.1") as sock:
        for host in ("127.0.0.1", "127.0.0.2", "127.7.7.7"):
            sock.sendto(b"who?", (host, port))
            assert sock.recvfrom(100) == (b"who?", (host, port))


def test_a_client_that_has_gone_ends_alone(sonde):
    server = sonde.serve("echo", url=UDP)
    with udp_socket() as stays:
        stays.sendto(b"1", address(server))
        assert stays.recv(10) == b"1"
        with udp_socket() as goes:
            gone = goes.getsockname()[1]
            server.stop()  # what it asks is answered when it has gone
            goes.sendto(b"2", address(server))
        server.go_on()
        row = server.wait_closed(f"127.0.0.1:{gone}")
        assert row.reason == "nobody receives there"
        stays.sendto(b"3", address(server))
        assert stays.recv(10) == b"3"
        assert len(server.closed()) == 1


def test_drops_of_the_kernel_are_told(sonde):
    """A flood into a tiny receive buffer: what came and what was dropped are together what was sent."""
    sent = 2000
    server = sonde.serve("discard", "--json", url=UDP + "?rcvbuf=1")
    server.stop()
    with udp_socket() as sock:
        for number in range(sent):
            sock.sendto(b"x" * 100, ("127.0.0.1", server.port))
        server.go_on()
        lost = wait_until(lambda: re.findall(r'"(?:dropped|lost|n_dropped|datagrams)":(\d+)', server.out.text),
                          f"drops are told in {server}")
        assert 0 < int(lost[-1]) < sent


# --- the verb connect --------------------------------------------------------------------------------------------


def test_connect_talks_to_a_plain_socket(sonde):
    with udp_socket() as sock:
        host, port = sock.getsockname()
        client = sonde.start_connect(f"udp://{host}:{port}")
        client.feed(b"a line\n")
        message, peer = sock.recvfrom(100)
        assert message.rstrip(b"\n") == b"a line"
        sock.sendto(b"an answer\n", peer)
        client.out.wait_match("^an answer$")


def test_connect_is_told_that_nobody_is_there(sonde):
    client = sonde.start_connect(f"udp://127.0.0.1:{harness.free_port()}")
    client.feed(b"a line\n")
    assert client.wait() != 0
    assert "nothing has that port" in client.err.text, client


def test_port_zero_is_refused(sonde):
    result = sonde.connect("udp://127.0.0.1:0")
    assert result.status != 0 and "port 0" in result.err


# --- UNIX --------------------------------------------------------------------------------------------------------


def test_unix_datagrams(sonde, place, tool):
    path = place / "gram.sock"
    server = sonde.serve("echo", url=f"unixgram:{path}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(DEADLINE)
        sock.bind(str(place / "client.sock"))
        for length in (0, 1, 100000, 0, 5):
            message = os.urandom(length)
            sock.sendto(message, str(path))
            assert sock.recvfrom(300000) == (message, str(path))
    socat = sonde.start([tool("socat"), "-", f"UNIX-SENDTO:{path},bind={place / 'socat.sock'}"])
    socat.feed(b"by socat\n")
    socat.out.wait_match("^by socat$")
    server.terminate()
    assert not path.exists()


def test_unix_packets(sonde, place, tool):
    path = place / "packets.sock"
    server = sonde.serve("echo", url=f"seqpacket:{path}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(DEADLINE)
        sock.connect(str(path))
        for length in (0, 1, 100000, 0, 5):
            message = os.urandom(length)
            sock.send(message)
            assert sock.recv(300000) == message
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(10) == b""
    assert server.wait_closed().reason == "end of data"
    socat = sonde.start([tool("socat"), "-", f"UNIX-CONNECT:{path},type=5"])
    socat.feed(b"by socat\n")
    socat.out.wait_match("^by socat$")


def test_connect_to_packets_of_socat(sonde, place, tool):
    path = place / "packets.sock"
    sonde.start([tool("socat"), f"UNIX-LISTEN:{path},type=5,fork", "PIPE"])
    wait_until(lambda: listens_at(path), "socat listens")
    client = sonde.start_connect(f"seqpacket:{path}")
    client.feed(b"one\n")
    client.out.wait_match("^one$")
    client.end_input()
    assert client.wait() == 0, client


def test_a_left_over_path_is_taken_and_a_live_one_is_not(sonde, place):
    for scheme, kind in (("unixgram", socket.SOCK_DGRAM), ("seqpacket", socket.SOCK_SEQPACKET)):
        path = place / scheme
        with socket.socket(socket.AF_UNIX, kind) as sock:
            sock.bind(str(path))
            if kind == socket.SOCK_SEQPACKET:
                sock.listen()
            result = sonde.run(*sonde.serve_argv("echo", url=f"{scheme}:{path}")[1:])
            assert result.status != 0 and "in use" in result.err
        server = sonde.serve("echo", url=f"{scheme}:{path}")
        server.terminate()
        assert not path.exists()


# --- what is not there -------------------------------------------------------------------------------------------


def test_options_of_tcp_are_refused(sonde):
    result = sonde.run("serve", "echo", "udp://127.0.0.1:0?nodelay=1")
    assert result.status != 0 and "for TCP" in result.err


def test_sctp_says_why_not(sonde):
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
        pytest.skip("this kernel has SCTP")
    except OSError:
        pass
    result = sonde.run("serve", "echo", "sctp://127.0.0.1:0")
    assert result.status != 0 and "this kernel does not have that protocol" in result.err, result


# --- groups ------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_network(tool):
    """What to put before a shell's lines to run them where lo is up, and groups are reached by it."""
    unshare = tool("unshare")
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    if subprocess.run([unshare, "-n", "true"], check=False).returncode != 0:
        pytest.skip("no network namespace can be made here")
    tool("ip")
    return [unshare, "-n", "sh", "-c"]


def in_network(own_network, argv):
    return [*own_network, "ip link set lo up && ip route add 224.0.0.0/4 dev lo && exec " + shlex.join(argv)]


@pytest.mark.parametrize("form", ["udp://239.1.2.3:7777?join=1", "udp://:7777?join=239.1.2.3%lo"])
def test_every_receiver_of_a_group_answers(sonde, own_network, form):
    """Two servers on one group and port, and a client that hears both."""
    script = " ".join(
        [
            shlex.join(sonde.argv("serve", "echo", form)) + " & a=$!;",
            shlex.join(sonde.argv("serve", "echo", form)) + " & b=$!;",
            "trap 'kill $a $b' EXIT;",
            shlex.join([shutil.which("python3"), "-c", GROUP_CLIENT, str(DEADLINE)]),
        ]
    )
    process = sonde.start(in_network(own_network, ["sh", "-c", script]))
    process.out.wait_match("^answers: 2 of the same$")
    process.wait()


GROUP_CLIENT = r"""
import collections, socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(0.2)
answers = collections.Counter()  # to each question, however late they come
end = time.monotonic() + float(sys.argv[1])
n_asked = 0
while time.monotonic() < end and 2 not in answers.values():
    n_asked += 1
    sock.sendto(b"hear %d" % n_asked, ("239.1.2.3", 7777))
    try:
        while True:
            message, address = sock.recvfrom(100)
            assert message.startswith(b"hear ") and address[1] == 7777, (message, address)
            answers[message] += 1
    except TimeoutError:
        pass
print("answers:", max(answers.values()), "of the same", flush=True)
"""


def test_a_client_of_a_group_hears_every_answer(sonde, own_network, place):
    script = " ".join(
        [
            shlex.join([shutil.which("python3"), "-c", GROUP_SERVERS, str(place / "ready")]) + " & a=$!;",
            "trap 'kill $a' EXIT;",
            f"until [ -e {place / 'ready'} ]; do sleep 0.02; done;",
            shlex.join(sonde.argv("connect", "udp://239.1.2.3:7778")),
        ]
    )
    process = sonde.start(in_network(own_network, ["sh", "-c", script]))
    process.feed(b"who\n")
    process.out.wait_match("^one heard who$")
    process.out.wait_match("^two heard who$")
    process.end_input()
    process.wait()


GROUP_SERVERS = r"""
import select, socket, struct, sys
def member():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("239.1.2.3", 7778))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4s", socket.inet_aton("239.1.2.3"),
                                                                           socket.inet_aton("127.0.0.1")))
    return sock
socks = {member(): b"one", member(): b"two"}
answer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
open(sys.argv[1], "w").close()
while True:
    for sock in select.select(list(socks), [], [])[0]:
        message, address = sock.recvfrom(1000)
        answer.sendto(socks[sock] + b" heard " + message.rstrip(b"\n") + b"\n", address)
"""


def test_a_group_that_is_none_is_refused(sonde):
    for text in ("udp://127.0.0.1:0?join=1", "udp://127.0.0.1:0?join=239.1.2.3", "udp://:0?join=239.1.2.3%nowhere"):
        result = sonde.run("serve", "echo", text)
        assert result.status != 0, (text, result)
        assert "group" in result.err or "interface" in result.err, (text, result)
