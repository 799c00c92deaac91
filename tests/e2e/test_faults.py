# SPDX-License-Identifier: MIT
"""Load and trouble: descriptors that run out, clients that never read, much data, many connections, the end of a server
under load, and an io_uring that is refused."""

import contextlib
import hashlib
import os
import pathlib
import random
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading

import pytest

import harness
from harness import exchange, one_sentence, receive_all, receive_exactly, round_trip, scaled, text_address, wait_until

MEBIBYTE = 1 << 20


# --- descriptors run out -----------------------------------------------------------------------------------------


def limit_files(tool, number):
    return [tool("prlimit"), f"--nofile={number}:{number}"]


def serve_in_turns(socks, message):
    """Each client gets its message back and leaves, which makes room for another one."""
    with selectors.DefaultSelector() as selector:
        for number, sock in enumerate(socks):
            selector.register(sock, selectors.EVENT_READ, number)
        while selector.get_map():
            ready = selector.select(harness.DEADLINE)
            assert ready, f"{len(selector.get_map())} clients were never served"
            for key, _ in ready:
                expected = message(key.data)
                assert receive_exactly(key.fileobj, len(expected)) == expected
                selector.unregister(key.fileobj)
                key.fileobj.close()


def test_few_descriptors_and_many_clients(sonde, tool):
    """32 descriptors, 200 clients: what is there is used, the rest wait, nothing spins, all are served in the end."""
    server = sonde.serve("echo", "--backlog", 512, prefix=limit_files(tool, 32))
    socks = [server.connect() for _ in range(200)]
    for number, sock in enumerate(socks):
        sock.sendall(b"client %d\n" % number)
    server.err.wait_match("^sonde: accepting has stopped: too many open files")
    before = harness.cpu_seconds(server.pid)
    with harness.Observation(1.5) as watch:
        pass
    assert harness.cpu_seconds(server.pid) - before < watch.elapsed / 10, "it spins"
    assert server.err.text.count("accepting has stopped") == 1, f"said more than once:\n{server.err.text}"
    assert harness.accept_queue(server.port) > 100, "the scenario did not come about"
    serve_in_turns(socks, lambda number: b"client %d\n" % number)
    server.out.wait_for(lambda _: len(server.closed()) == 200, "200 closed lines")
    assert {row.reason for row in server.closed()} == {"end of data"}
    with server.connect() as sock:
        round_trip(sock, b"there is room again")
    told = re.compile(rb"^sonde: accepting (has stopped|goes on).*\n", re.M)
    server.err.wait_for(lambda data: told.findall(data)[-1:] == [b"goes on"], "the last word, that accepting goes on")
    said = re.findall(r"^sonde: accepting (has stopped|goes on)", server.err.text, re.M)
    assert said == ["has stopped", "goes on"] * (len(said) // 2), "not in turns"
    assert len(said) == len(server.err.lines)
    assert server.terminate() == 0


def test_few_descriptors_with_json(sonde, tool):
    server = sonde.serve("echo", "--json", "--backlog", 128, prefix=limit_files(tool, 24))
    socks = [server.connect() for _ in range(40)]
    for sock in socks:
        sock.sendall(b"hello")
    assert server.wait_event("trouble")["error"] == "EMFILE"
    serve_in_turns(socks, lambda _: b"hello")
    server.out.wait_for(lambda _: len(server.events("closed")) == 40, "40 closed events")
    server.wait_event("trouble", lambda event: event["error"] is None)


def test_no_descriptor_to_begin_with(sonde, tool):
    """Not even enough to start: a sentence, no crash."""
    for number in (3, 4, 5, 6):
        process = sonde.start([*limit_files(tool, number), *sonde.serve_argv("echo")], stdin=subprocess.DEVNULL)
        wait_until(lambda p=process: not p.running or p.out.data, "it ended or listens")
        if process.running:
            process.signal(signal.SIGTERM)
            assert process.wait() == 0, process
        else:
            assert process.wait() in (1, 127), process  # 127: the dynamic loader had no descriptor
            assert process.out.data == b""
            assert process.err.text


def test_connect_without_descriptors(sonde, tool, echo_peer):
    for number in range(3, 9):
        result = sonde.connect(echo_peer.url, prefix=limit_files(tool, number), stdin=subprocess.DEVNULL)
        assert result.status in (0, 1, 127), result.process
        assert bool(result.err) == (result.status != 0), result.process


# --- clients that do not read ------------------------------------------------------------------------------------


@pytest.mark.heavy
def test_who_never_reads_hurts_only_himself(sonde, sanitized):
    """1,000 clients send as much as they can and never read; one that works beside them goes on, and memory is bounded:
    64 KiB for each of them and 16 MiB in all."""
    n_clients = scaled(1000, 20)
    server = sonde.serve("echo", "--quiet", "--backlog", 2048, url="tcp://127.0.0.1:0?sndbuf=8192&rcvbuf=8192")
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(server.connect())
        round_trip(worker, b"before")
        before = harness.rss_bytes(server.pid)
        stuck = [stack.enter_context(harness.dial(server.url, rcvbuf=4096, sndbuf=4096)) for _ in range(n_clients)]
        chunk = bytes(4096)
        still = 0
        while still < 2:  # until nobody gets rid of anything more, twice
            taken = sum(harness.fill(sock, chunk) for sock in stuck)
            round_trip(worker, b"between")
            still = 0 if taken else still + 1
        for number in range(500):
            round_trip(worker, b"message %d of the one that works" % number)
        grown = harness.rss_bytes(server.pid) - before
        if not sanitized:
            assert grown < n_clients * 64 * 1024 + 16 * MEBIBYTE, f"{grown} bytes for {n_clients} clients"
        used = harness.cpu_seconds(server.pid)
        with harness.Observation(1) as watch:
            pass
        assert harness.cpu_seconds(server.pid) - used < watch.elapsed / 4, "it spins on those that are stuck"
        round_trip(worker, b"after")
    assert server.running


def test_a_close_that_lingers_holds_up_nobody(sonde):
    """SO_LINGER with a time makes close(2) wait until what is queued has gone, on any kind of socket."""
    server = sonde.serve("echo", "--idle-timeout", "1", url="tcp://127.0.0.1:0?linger=600&sndbuf=16384")
    with harness.dial(server.url, rcvbuf=4096) as stuck, server.connect() as worker:
        peer = text_address(stuck.getsockname())

        def closed():
            with contextlib.suppress(ConnectionError):
                harness.fill(stuck)
            round_trip(worker, b"message")
            return any(row.peer == peer for row in server.closed())

        wait_until(closed, "the one that is stuck was closed")
        for number in range(100):
            round_trip(worker, b"message %d" % number)


def test_a_firehose_starves_nobody(sonde):
    """One client never stops sending and reading; the others' messages go on."""
    server = sonde.serve("echo", "--quiet")
    over = threading.Event()

    def firehose():
        with server.connect() as sock:
            sock.setblocking(False)
            data = bytes(1 << 18)
            while not over.is_set():
                with contextlib.suppress(BlockingIOError):
                    sock.send(data)
                with contextlib.suppress(BlockingIOError):
                    sock.recv(1 << 20)

    hoses = [threading.Thread(target=firehose, daemon=True) for _ in range(2)]
    for hose in hoses:
        hose.start()
    try:
        with server.connect() as sock:
            for number in range(200):
                round_trip(sock, b"message %d" % number)
    finally:
        over.set()
        for hose in hoses:
            hose.join(harness.DEADLINE)


# --- much data ---------------------------------------------------------------------------------------------------


def test_one_byte_at_a_time(sonde):
    server = sonde.serve("echo")
    data = os.urandom(3000)
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        exchange(sock, data, most=1)
    row = server.wait_closed()
    assert (row.bytes_in, row.bytes_out, row.unsent) == (3000, 3000, 0)


@pytest.mark.heavy
def test_much_data_byte_for_byte_through_echo(sonde):
    data = os.urandom(scaled(64 * MEBIBYTE))
    server = sonde.serve("echo")
    with server.connect() as sock:
        exchange(sock, data, seed=64, most=1 << 18)
    row = server.wait_closed()
    assert (row.reason, row.bytes_in, row.bytes_out, row.unsent) == ("end of data", len(data), len(data), 0)


@pytest.mark.heavy
def test_much_data_over_a_unix_socket(sonde, place):
    data = os.urandom(scaled(16 * MEBIBYTE))
    server = sonde.serve("echo", url=f"unix:{place}/x.sock")
    with server.connect() as sock:
        exchange(sock, data, seed=16, most=1 << 17)
    row = server.wait_closed()
    assert (row.bytes_in, row.bytes_out) == (len(data), len(data))


def digest(path):
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(MEBIBYTE):
            sha.update(chunk)
    return sha.hexdigest()


def file_through_connect(sonde, url, source, target):
    """`sonde connect URL < source > target`"""
    with open(source, "rb") as stdin, open(target, "wb") as stdout:
        process = sonde.start_connect(url, stdin=stdin, stdout=stdout)
        assert process.wait(harness.DEADLINE * 3) == 0, process
    assert process.err.text == ""
    assert os.path.getsize(target) == os.path.getsize(source)
    assert digest(target) == digest(source)


@pytest.mark.heavy
def test_a_large_file_through_connect_and_serve(sonde, tmp_path):
    (tmp_path / "source").write_bytes(os.urandom(scaled(64 * MEBIBYTE)))
    server = sonde.serve("echo")
    file_through_connect(sonde, server.url, tmp_path / "source", tmp_path / "target")
    row = server.wait_closed()
    size = os.path.getsize(tmp_path / "source")
    assert (row.reason, row.bytes_in, row.bytes_out, row.unsent) == ("end of data", size, size, 0)


@pytest.mark.heavy
def test_a_large_file_through_connect_and_another_server(sonde, echo_peer, tmp_path):
    (tmp_path / "source").write_bytes(os.urandom(scaled(32 * MEBIBYTE)))
    file_through_connect(sonde, echo_peer.url, tmp_path / "source", tmp_path / "target")


@pytest.mark.heavy
@pytest.mark.parametrize("client", ["nc", "ncat", "socat"])
def test_a_large_file_through_other_clients(sonde, tool, client, tmp_path):
    server = sonde.serve("echo")
    argv = {
        "nc": ["nc.openbsd", "-N", "127.0.0.1", str(server.port)],
        "ncat": ["ncat", "127.0.0.1", str(server.port)],
        "socat": ["socat", "-t", "60", "-", f"TCP:127.0.0.1:{server.port}"],
    }[client]
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(scaled(8 * MEBIBYTE)))
    with open(source, "rb") as stdin, open(target, "wb") as stdout:
        process = sonde.start([tool(argv[0]), *argv[1:]], stdin=stdin, stdout=stdout)
        assert process.wait(harness.DEADLINE * 3) == 0, process
    assert digest(target) == digest(source)
    assert server.wait_closed().bytes_out == os.path.getsize(source)


@pytest.mark.heavy
def test_through_a_pipe_that_stutters(sonde, echo_peer):
    """stdin and stdout are pipes with small, irregular reads and writes."""
    data = os.urandom(scaled(4 * MEBIBYTE))
    process = sonde.start_connect(echo_peer.url)

    def feed():
        view = memoryview(data)
        size = 1
        while view:
            process.feed(view[:size])
            view = view[size:]
            size = size * 7 % 65537 + 1
        process.end_input()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    feeder.join(harness.DEADLINE * 2)
    assert process.wait() == 0, process.err.text
    assert process.out.data == data, harness.difference(process.out.data, data)


def test_the_client_half_closes_and_reads_slowly(sonde):
    data = os.urandom(MEBIBYTE)
    server = sonde.serve("echo")
    with harness.dial(server.url, rcvbuf=8192) as sock:
        sender = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)), daemon=True)
        sender.start()
        got = bytearray()
        while chunk := sock.recv(1000):
            got += chunk
        sender.join(harness.DEADLINE)
    assert got == data, harness.difference(got, data)
    row = server.wait_closed()
    assert (row.reason, row.bytes_in, row.bytes_out, row.unsent) == ("end of data", len(data), len(data), 0)


def test_the_server_half_closes_and_the_client_goes_on(sonde):
    """greet has said all and shut down; what the client sends then is taken until its own end."""
    server = sonde.serve(("greet", "that is all"))
    with server.connect() as sock:
        assert receive_all(sock) == b"that is all"
        for _ in range(16):
            sock.sendall(bytes(1 << 16))
        harness.wait_acknowledged(sock)
        sock.shutdown(socket.SHUT_WR)
        row = server.wait_closed(text_address(sock.getsockname()))
    assert (row.reason, row.bytes_out) == ("served", 11)


# --- the end of a server under load ------------------------------------------------------------------------------


@pytest.mark.heavy
@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_with_many_open_connections(sonde, number, status):
    n_clients = scaled(1000, 50)
    server = sonde.serve("echo", "--backlog", 2048, "--drain", "600")  # each of them is given its time
    socks = [server.connect() for _ in range(n_clients)]
    for sock in socks:
        sock.sendall(b"hello")
    for sock in socks:
        assert receive_exactly(sock, 5) == b"hello"
    server.signal(number)
    for sock in socks:
        assert receive_all(sock) == b"", "an orderly end"
        sock.close()
    assert server.wait() == status, server.err.text
    assert len(server.closed()) == n_clients
    assert {row.reason for row in server.closed()} == {"stopped"}
    assert server.err.text == ""


@pytest.mark.heavy
def test_connections_that_do_not_end_are_cut_after_the_drain(sonde):
    n_clients = scaled(1000, 50)
    server = sonde.serve("echo", "--drain", "1", "--backlog", 2048)
    socks = [server.connect() for _ in range(n_clients)]
    for sock in socks:
        round_trip(sock, b"hello")
    assert server.terminate() == 0
    assert server.err.text == f"sonde: stopped; {n_clients} connections were cut after 1 s.\n"
    assert len(server.closed()) == n_clients
    assert {row.reason for row in server.closed()} == {"stopped"}
    for sock in socks:
        sock.close()


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_second_signal_ends_it_at_once(sonde, number, status):
    server = sonde.serve("echo", "--drain", "600")
    socks = [server.connect() for _ in range(10)]
    for sock in socks:
        round_trip(sock, b"hello")
    server.signal(number)
    for sock in socks:
        assert receive_all(sock) == b""  # the first one has been seen
    assert server.running
    wait_until(lambda: harness.accept_queue(server.port) is None, "it no longer listens")
    assert server.running
    server.signal(number)
    assert server.wait() == status
    assert len(server.closed()) == 10
    for sock in socks:
        sock.close()


def test_drain_zero_does_not_wait(sonde):
    server = sonde.serve("echo", "--drain", "0")
    with server.connect() as sock:
        round_trip(sock, b"hello")
        assert server.terminate() == 0


def test_a_client_that_keeps_sending_does_not_hold_up_the_end(sonde):
    server = sonde.serve("echo", "--drain", "1")
    with server.connect() as sock:
        round_trip(sock, b"hello")
        server.signal(signal.SIGTERM)
        with contextlib.suppress(ConnectionError):
            while server.running:
                sock.sendall(bytes(1000))
                with contextlib.suppress(BlockingIOError):
                    sock.recv(1 << 16, socket.MSG_DONTWAIT)
        assert server.wait() == 0


def test_the_listener_is_closed_under_load(sonde):
    """Clients come and go without a pause while the server is told to end: no hang, no crash, no wrong byte."""
    server = sonde.serve("echo", "--quiet", "--backlog", 512)
    complete, failures = [], []

    def client(number):
        message = bytes([number]) * 5000
        while True:
            try:
                with server.connect() as sock:
                    sock.sendall(message)
                    sock.shutdown(socket.SHUT_WR)
                    answer = receive_all(sock)
            except ConnectionError:
                if not server.running or harness.accept_queue(server.port) is None:
                    return
                continue
            if not message.startswith(answer):
                failures.append(harness.difference(answer, message))
            if answer == message:
                complete.append(number)

    clients = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(8)]
    for thread in clients:
        thread.start()
    wait_until(lambda: len(complete) >= 200, "two hundred conversations")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0, server
    for thread in clients:
        thread.join(harness.DEADLINE)
        assert not thread.is_alive()
    assert not failures, failures[0]


def test_who_waits_in_the_accept_queue_is_not_left_hanging(sonde):
    """SIGTERM while clients wait: they are told, by an end or by a reset."""
    server = sonde.serve("echo", "--sequential")
    first, second = server.connect(), server.connect()
    round_trip(first, b"hello")
    server.signal(signal.SIGTERM)
    assert receive_all(first) == b""
    first.close()
    with contextlib.suppress(ConnectionError):
        assert receive_all(second) == b""
    second.close()
    assert server.wait() == 0


def test_nothing_is_left_open(sonde):
    """Hundreds of connections come and go, in all ways to go: the server ends up with the descriptors it began with."""
    server = sonde.serve("echo", "--quiet")
    folder = f"/proc/{server.pid}/fd"
    with server.connect() as sock:
        round_trip(sock, b"hello")
        n_before = len(os.listdir(folder)) - 1
    for number in range(scaled(300, 60)):
        sock = server.connect()
        if number % 3 == 0:
            exchange(sock, b"x" * number)
        elif number % 3 == 1:
            sock.sendall(b"x" * number)
        if number % 2:
            harness.reset(sock)
        else:
            sock.close()
    wait_until(lambda: len(os.listdir(folder)) <= n_before, "every descriptor is closed again")
    with server.connect() as sock:
        round_trip(sock, b"still here")


@pytest.mark.heavy
@pytest.mark.parametrize("n_threads", [1, 4])
def test_a_crowd_of_every_behaviour(sonde, n_threads):
    """Eight clients at a time, each with a behaviour drawn by lot: honest ones get their bytes back, every connection
    has its end, and nothing stays behind."""
    server = sonde.serve("echo", "--threads", n_threads, "--backlog", 512)
    n_each = scaled(60, 10)
    failures = []

    def behave(lot):
        data = lot.randbytes(lot.choice((1, 10, 1000, 100000, 400000)))
        how = lot.choice(("exchange", "exchange", "close", "reset", "end and reset", "read a little"))
        buffers = lot.choice((None, 4096))
        with harness.dial(server.url, rcvbuf=buffers, sndbuf=buffers) as sock:
            if how == "exchange":
                exchange(sock, data, seed=lot.random())
                return
            harness.fill(sock, data, limit=len(data))
            if how == "end and reset":
                sock.shutdown(socket.SHUT_WR)
            if how == "read a little":
                sock.recv(100)
            if "reset" in how:
                harness.reset(sock)

    def client(number):
        lot = random.Random(number)
        for _ in range(n_each):
            try:
                behave(lot)
            except (AssertionError, OSError) as failure:
                failures.append(failure)

    clients = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join(harness.DEADLINE * 3)
        assert not thread.is_alive(), "a client hangs"
    assert not failures, failures[0]
    wait_until(lambda: len(server.closed()) == 8 * n_each, "every connection has its end")
    assert {row.reason for row in server.closed()} == {"end of data", "reset by peer"}
    assert server.terminate() == 0
    assert server.err.text == ""


# --- nobody reads what it prints ---------------------------------------------------------------------------------


def test_a_reader_of_the_lines_that_goes_away(sonde):
    """`sonde serve echo | head -1`: it may end, quietly, but neither by SIGPIPE nor spinning."""
    pipe = os.pipe()
    server = sonde.start(sonde.serve_argv("echo"), stdout=pipe[1])
    os.close(pipe[1])
    url = os.read(pipe[0], 200).split()[1].decode()
    os.close(pipe[0])
    with contextlib.suppress(ConnectionError):
        for _ in range(10):
            with harness.dial(url) as sock:
                sock.sendall(b"hello")
                sock.recv(5)
    if server.running:
        before = harness.cpu_seconds(server.pid)
        with harness.Observation(1) as watch:
            pass
        assert harness.cpu_seconds(server.pid) - before < watch.elapsed / 10
        server.signal(signal.SIGTERM)
    assert server.wait() in (0, 1), server
    assert server.err.text == ""


def test_a_reader_of_the_lines_that_stops_does_not_keep_it_from_ending(sonde):
    """`sonde serve echo --print text | less`, with the pipe full."""
    pipe = os.pipe()
    server = sonde.start(sonde.serve_argv("echo", "--print", "text", "--drain", "0"), stdout=pipe[1])
    os.close(pipe[1])
    url = os.read(pipe[0], 200).split()[1].decode()
    with harness.dial(url) as sock:
        harness.fill_until_blocked(sock)
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGTERM)
        server.wait()
    os.close(pipe[0])


# --- io_uring is refused -----------------------------------------------------------------------------------------

HELPER = [sys.executable, str(harness.HERE / "helpers" / "no_io_uring.py")]


@pytest.fixture(params=["EPERM", "ENOSYS", "ENOMEM"])
def refused(request, command):
    """What to put before a command so that it gets no io_uring, and the reason in words."""
    prefix = [*HELPER, request.param]
    if subprocess.run([*prefix, "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no seccomp filters here")
    words = {"EPERM": "permitted", "ENOSYS": "implemented|not in this kernel", "ENOMEM": "memory"}[request.param]
    return prefix, words


def test_auto_works_without_io_uring(command, refused):
    server = command.serve("echo", "--engine", "auto", prefix=refused[0])
    result = command.run("connect", server.url, input=b"hello", prefix=refused[0])
    assert (result.status, result.out, result.err) == (0, b"hello", "")
    assert server.err.text == "", "falling back is quiet"
    assert server.terminate() == 0


def test_epoll_works_without_io_uring(command, refused):
    server = command.serve("echo", "--engine", "epoll", prefix=refused[0])
    with server.connect() as sock:
        round_trip(sock, b"hello")


@pytest.mark.parametrize("verb", ["serve", "connect"])
def test_uring_without_io_uring_says_why(command, refused, verb, echo_peer):
    arguments = ["serve", "echo", "--engine", "uring", harness.LOOPBACK]
    if verb == "connect":
        arguments = ["connect", "--engine", "uring", echo_peer.url]
    result = command.run(*arguments, prefix=refused[0])
    assert (result.status, result.out) == (1, b""), result.process
    sentence = one_sentence(result.err)
    assert "io_uring" in sentence and re.search(refused[1], sentence), sentence


def test_version_tells_why_there_is_no_io_uring(command, refused):
    result = command.run("version", prefix=refused[0])
    assert (result.status, result.err) == (0, "")
    text = result.out.decode()
    found = re.search(r"^engine uring  not available: (io_uring_setup: .+)$", text, re.M)
    assert found and re.search(refused[1], found[1]), text
    assert re.search(r"^engine epoll  available$", text, re.M)
    assert re.search(r"^default engine epoll$", text, re.M)


def test_version_tells_what_the_sysctl_says(command, engines):
    """kernel.io_uring_disabled belongs to the whole machine, so it is looked at and not changed."""
    path = pathlib.Path("/proc/sys/kernel/io_uring_disabled")
    if not path.exists() or path.read_text().strip() == "0":
        pytest.skip("kernel.io_uring_disabled is 0 or not known here")
    if path.read_text().strip() == "2" or os.geteuid() != 0:
        assert "kernel.io_uring_disabled" in engines["uring"]


def test_no_locked_memory_for_an_ordinary_user(command, nobody, tool, engine):
    """RLIMIT_MEMLOCK 0: older kernels refuse the ring, newer ones charge it elsewhere. Both must work out."""
    prefix = [tool("prlimit"), "--memlock=0:0", *nobody.prefix]
    command.binary = nobody.binary
    server = command.serve("echo", "--engine", "auto", prefix=prefix)
    with server.connect() as sock:
        exchange(sock, os.urandom(MEBIBYTE), seed=2)
    process = command.start([*prefix, *command.serve_argv("echo", "--engine", engine)], stdin=subprocess.DEVNULL)
    wait_until(lambda: process.out.data.endswith(b"\n") or not process.running, "it listens or has given up")
    if process.running:
        with harness.dial(process.out.text.split()[1]) as sock:
            round_trip(sock, b"hello")
    else:
        assert process.wait() == 1
        assert engine == "uring" and "io_uring" in one_sentence(process.err.text)
