# SPDX-License-Identifier: MIT
"""serve --threads N: the same server on several threads."""

import json
import os
import re
import signal
import threading

import pytest

import harness
from harness import exchange, one_sentence, round_trip, scaled, text_address, wait_until


def n_threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def test_all_are_served(sonde):
    server = sonde.serve("echo", "--threads", 4)
    wait_until(lambda: n_threads(server.pid) >= 4, "four threads run")
    socks = [server.connect() for _ in range(scaled(64, 16))]
    for number, sock in enumerate(socks):
        round_trip(sock, b"hello %d" % number)
    peers = [text_address(sock.getsockname()) for sock in socks]
    for sock in socks:
        sock.close()
    rows = [server.wait_closed(peer) for peer in peers]
    assert {row.reason for row in rows} == {"end of data"}
    assert len({row.connection for row in rows}) == len(socks), "a number is used twice"
    assert len(harness.OPENED.findall(server.out.text)) == len(socks)
    assert server.terminate() == 0
    assert server.err.text == ""


def test_the_work_is_shared(sonde):
    """With 64 connections at work, more than one thread has done some of it."""
    server = sonde.serve("echo", "--quiet", "--threads", 4)
    socks = [server.connect() for _ in range(64)]

    def work(mine):
        for _ in range(100):
            for sock in mine:
                round_trip(sock, b"x" * 1000)

    workers = [threading.Thread(target=work, args=(socks[start::4],), daemon=True) for start in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(harness.DEADLINE * 2)
        assert not worker.is_alive()
    switches = []
    for task in os.listdir(f"/proc/{server.pid}/task"):
        with open(f"/proc/{server.pid}/task/{task}/status", encoding="ascii") as status:
            switches.append(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(), re.M)[1]))
    assert sum(number > 100 for number in switches) >= 2, f"one thread did it all: {switches}"
    for sock in socks:
        sock.close()


def test_lines_are_never_mixed(sonde):
    """Many threads print: each JSON line is whole, each connection's counts are right."""
    server = sonde.serve("echo", "--json", "--threads", 4)
    socks = [server.connect() for _ in range(40)]
    sent = {text_address(sock.getsockname()): 0 for sock in socks}

    def work(mine, seed):
        for sock in mine:
            size = 20000 + seed * 1000
            exchange(sock, os.urandom(size), seed=seed, most=700)
            sent[text_address(sock.getsockname())] = size

    workers = [threading.Thread(target=work, args=(socks[start::8], start), daemon=True) for start in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(harness.DEADLINE * 2)
    server.out.wait_for(
        lambda data: data.endswith(b"\n") and data.count(b'"closed"') == len(socks), "every connection's end"
    )
    lines = server.out.data.rpartition(b"\n")[0]
    events = [json.loads(line) for line in lines.split(b"\n")]
    closed = {event["peer"]: event for event in events if event["event"] == "closed"}
    assert {peer: event["bytes_in"] for peer, event in closed.items()} == sent
    assert {peer: event["bytes_out"] for peer, event in closed.items()} == sent
    counted = {event["connection"]: 0 for event in closed.values()}
    for event in events:
        if event["event"] == "data":
            counted[event["connection"]] += event["bytes"]
    assert counted == {event["connection"]: event["bytes_in"] for event in closed.values()}
    for sock in socks:
        sock.close()


def test_mono_ns_never_goes_back_in_one_connection(sonde):
    server = sonde.serve("echo", "--json", "--threads", 4)
    for _ in range(8):
        with server.connect() as sock:
            round_trip(sock, b"hello")
    server.out.wait_for(lambda data: data.endswith(b"\n") and data.count(b'"closed"') == 8, "every connection's end")
    events = [json.loads(line) for line in server.out.data.splitlines()]
    connections = {event["connection"] for event in events if "connection" in event}
    assert len(connections) == 8
    for connection in connections:
        mine = [event for event in events if event.get("connection") == connection]
        assert [event["event"] for event in mine] == ["opened", "data", "closed"]
        assert [event["mono_ns"] for event in mine] == sorted(event["mono_ns"] for event in mine)


def test_a_second_server_is_still_refused(sonde):
    server = sonde.serve("echo", "--threads", 4)
    for options in ([], ["--threads", "4"]):
        result = sonde.run("serve", "echo", "--engine", sonde.engine, *options, server.url)
        assert (result.status, result.out) == (1, b""), result.process
        assert server.url in one_sentence(result.err)
    with server.connect() as sock:
        round_trip(sock, b"hello")


def test_sigusr1_shows_the_connections_of_every_thread(sonde):
    server = sonde.serve("echo", "--threads", 4)
    socks = [server.connect() for _ in range(16)]
    for sock in socks:
        round_trip(sock, b"hello")
    server.signal(signal.SIGUSR1)
    table = server.out.wait_match(r"^CONNECTION\b.*\n((?:.*\n)*?)16 connections$").group(1)
    for sock in socks:
        assert text_address(sock.getsockname()) in table
    for sock in socks:
        sock.close()


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_every_thread(sonde, number, status):
    server = sonde.serve("echo", "--threads", 4)
    socks = [server.connect() for _ in range(32)]
    for sock in socks:
        round_trip(sock, b"hello")
    server.signal(number)
    for sock in socks:
        assert harness.receive_all(sock) == b""
        sock.close()
    assert server.wait() == status
    assert [row.reason for row in server.closed()] == ["stopped"] * 32


def test_connections_of_every_thread_are_cut_after_the_drain(sonde):
    server = sonde.serve("echo", "--threads", 4, "--drain", "1")
    socks = [server.connect() for _ in range(32)]
    for sock in socks:
        round_trip(sock, b"hello")
    assert server.terminate() == 0
    assert server.err.text == "sonde: stopped; 32 connections were cut after 1 s.\n"
    for sock in socks:
        sock.close()


def test_both_families_and_several_threads(sonde, ipv6):
    server = sonde.serve("echo", "--threads", 3, url="tcp://:0", sockets=2)
    for url in server.urls:
        socks = [harness.dial(url) for _ in range(12)]
        for sock in socks:
            round_trip(sock, b"hello")
            sock.close()


def test_max_clients_counts_all_threads(sonde):
    server = sonde.serve("echo", "--threads", 4, "--max-clients", 3, "--when-full", "refuse")
    socks = [server.connect() for _ in range(3)]
    for sock in socks:
        round_trip(sock, b"hello")
    for _ in range(10):
        with pytest.raises(ConnectionError), server.connect() as sock:
            sock.sendall(b"hello")
            assert sock.recv(5) == b"", "a fourth one is served"
            raise ConnectionResetError  # an orderly end will do as a refusal
    for sock in socks:
        round_trip(sock, b"still here")
        sock.close()


ONE_THREAD = [
    ("hold", [], harness.LOOPBACK),
    ("echo", ["--once"], harness.LOOPBACK),
    ("echo", ["--sequential"], harness.LOOPBACK),
    ("echo", [], "unix:@"),
]


@pytest.mark.parametrize("service, options, url", ONE_THREAD, ids=["hold", "--once", "--sequential", "unix"])
def test_what_needs_one_thread_says_so(sonde, service, options, url):
    if url == "unix:@":
        url += f"sonde-e2e-threads-{os.getpid()}-{sonde.engine}"
    server = sonde.serve(service, "--threads", 4, *options, url=url)
    wait_until(lambda: server.err.text.endswith("\n"), "it says so")
    server.err.wait_match("one thread")
    assert "one thread" in one_sentence(server.err.text)
    if service == "echo":
        with server.connect() as sock:
            round_trip(sock, b"hello")
