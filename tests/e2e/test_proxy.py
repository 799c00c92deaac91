# SPDX-License-Identifier: MIT
"""The PROXY protocol with haproxy and curl, connecting through other people's proxies, and descriptors that another
program has opened."""

import contextlib
import os
import re
import socket
import struct

import pytest

import harness
from harness import dial, free_port, nothing_to_read, receive_all, reset, round_trip, text_address, wait_until

PROXIED = "tcp://127.0.0.1:0?proxy=in"
REFUSED = re.compile(r"^refused (?P<local>\S+) <- (?P<peer>\S+) (?P<reason>.+)$", re.M)


def is_open(port, host="127.0.0.1"):
    """Does somebody listen there?"""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        return sock.connect_ex((host, port)) == 0


def started_at(command, port, argv, host="127.0.0.1"):
    """A server of somebody else's, once it listens."""
    process = command.start(argv)
    wait_until(lambda: is_open(port, host) or not process.running, f"{argv[0]} listens")
    assert process.running, process
    return process


# --- the PROXY protocol ------------------------------------------------------------------------------------------


def test_curl_sends_a_header(sonde, tool):
    server = sonde.serve("echo", url=PROXIED)
    url = f"http://127.0.0.1:{server.port}/path"
    curl = sonde.start([tool("curl"), "-sSN", "--http0.9", "--haproxy-protocol", url])
    curl.out.wait_for(lambda data: data.endswith(b"\r\n\r\n"), "the end of its request")
    assert curl.out.data.startswith(b"GET /path HTTP/1.1\r\n")
    curl.finish()
    row = server.wait_closed()
    assert row.bytes_in == len(curl.out.data)
    assert re.fullmatch(r"127\.0\.0\.1:\d+", row.peer)


def haproxy(command, tool, place, sections):
    """haproxy with these `listen` sections, {port: lines}."""
    text = "global\n  maxconn 100\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 20s\n  timeout client 60s\n"
    text += "  timeout server 60s\n"
    for number, (port, (bind, server)) in enumerate(sections.items()):
        host = bind.split()[0]
        text += f"listen l{number}\n  bind {host}:{port} {' '.join(bind.split()[1:])}\n  server s {server}\n"
    path = place / "haproxy.cfg"
    path.write_text(text)
    process = command.start([tool("haproxy"), "-db", "-f", path])
    for port, (bind, _) in sections.items():
        host = bind.split()[0]
        wait_until(lambda h=host, p=port: is_open(p, h.strip("[]")) or not process.running, "haproxy listens")
        assert process.running, process
    return process


SENDS = {
    "v1": "send-proxy",
    "v2": "send-proxy-v2",
    "v2 with TLVs": "send-proxy-v2 proxy-v2-options crc32c,authority",
}


@pytest.mark.parametrize("how", SENDS)
def test_haproxy_in_front(sonde, tool, place, how):
    server = sonde.serve("echo", url=PROXIED)
    port = free_port()
    haproxy(sonde, tool, place, {port: ("127.0.0.1", f"127.0.0.1:{server.port} {SENDS[how]}")})
    with dial(f"tcp://127.0.0.1:{port}", source=("127.0.0.2", 0)) as client:
        round_trip(client, b"hello\n" * 1000)
        peer = text_address(client.getsockname())
    row = server.wait_closed(peer)
    assert (row.bytes_in, row.bytes_out) == (6000, 6000)


def test_haproxy_in_front_with_ipv6(sonde, tool, place, ipv6):
    server = sonde.serve("echo", url=PROXIED)
    port = free_port("::1")
    haproxy(sonde, tool, place, {port: ("[::1]", f"127.0.0.1:{server.port} send-proxy-v2")})
    with dial(f"tcp://[::1]:{port}") as client:
        round_trip(client, b"hello")
        peer = text_address(client.getsockname())
    server.wait_closed(peer)


def test_haproxy_in_front_of_a_unix_socket(sonde, tool, place):
    path = place / "x.sock"
    server = sonde.serve("echo", url=f"unix:{path}?proxy=in")
    port = free_port()
    haproxy(sonde, tool, place, {port: ("127.0.0.1", f"unix@{path} send-proxy")})
    with dial(f"tcp://127.0.0.1:{port}") as client:
        round_trip(client, b"hello")
        peer = text_address(client.getsockname())
    server.wait_closed(peer)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_behind(sonde, tool, place, version):
    """What haproxy was told of a client of ours, it tells a server of ours."""
    server = sonde.serve("echo", url=PROXIED)
    port = free_port()
    haproxy(sonde, tool, place, {port: ("127.0.0.1 accept-proxy", f"127.0.0.1:{server.port} send-proxy")})
    result = sonde.connect(f"tcp://127.0.0.1:{port}?proxy={version}&bind=127.0.0.3", input=b"hello\n")
    assert (result.status, result.out) == (0, b"hello\n"), result
    row = server.wait_closed()
    assert row.peer.startswith("127.0.0.3:")


def header_v2(source, destination):
    pack = struct.pack("!HH", source[1], destination[1])
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(destination[0]) + pack
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(addresses)) + addresses


def test_a_health_check_is_itself(sonde):
    """LOCAL: the proxy speaks for itself."""
    server = sonde.serve("echo", url=PROXIED)
    with server.connect() as client:
        client.sendall(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")
        round_trip(client, b"hello")
        peer = text_address(client.getsockname())
    server.wait_closed(peer)


def test_header_and_data_in_any_pieces(sonde):
    server = sonde.serve("echo", url=PROXIED)
    whole = header_v2(("192.0.2.1", 1000), ("192.0.2.2", 80)) + b"hello"
    for cut in range(len(whole) + 1):
        with server.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(whole[:cut])
            client.sendall(whole[cut:])
            client.shutdown(socket.SHUT_WR)
            assert receive_all(client) == b"hello"
    wait_until(lambda: len(server.closed()) == len(whole) + 1, "all are closed")
    assert {row.peer for row in server.closed()} == {"192.0.2.1:1000"}


NO_HEADERS = {
    "something else": b"GET / HTTP/1.1\r\n\r\n",
    "a wrong one": b"PROXY TCP4 1.2.3.4\r\n",
    "a wrong signature": b"\r\n\r\n\0\r\nQUIT\r",
}


@pytest.mark.parametrize("what", NO_HEADERS)
def test_no_header(sonde, what):
    server = sonde.serve("echo", url=PROXIED)
    with server.connect() as client:
        peer = text_address(client.getsockname())
        client.sendall(NO_HEADERS[what])
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    server.out.wait_match(re.escape(peer))
    assert server.closed() == []
    # Nobody else is hurt.
    with server.connect() as client:
        client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n")
        round_trip(client, b"hello")


def test_untrusted(sonde):
    server = sonde.serve("echo", "--proxy-from", "127.0.0.2", url=PROXIED)
    with contextlib.closing(socket.socket()) as client:
        client.settimeout(harness.DEADLINE)
        with pytest.raises(ConnectionError):
            client.connect(("127.0.0.1", server.port))
            client.recv(1)
            client.sendall(b"x")
    with dial(server.url, source=("127.0.0.2", 0)) as client:
        client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n")
        round_trip(client, b"hello")
    server.wait_closed("192.0.2.1:1000")


def test_a_silent_one_holds_up_nobody(sonde):
    server = sonde.serve("echo", url=PROXIED)
    with server.connect() as silent, server.connect() as client:
        client.sendall(b"PROXY UNKNOWN\r\n")
        round_trip(client, b"hello")
        assert nothing_to_read(silent)
        with pytest.raises(ConnectionResetError):
            silent.recv(1)
        round_trip(client, b"still here")


# --- through proxies ---------------------------------------------------------------------------------------------


def microsocks(command, tool, *options):
    port = free_port()
    return port, started_at(command, port, [tool("microsocks"), "-i", "127.0.0.1", "-p", str(port), *options])


def tinyproxy(command, tool, place, *lines):
    port = free_port()
    path = place / "tinyproxy.conf"
    settings = [f"Port {port}", "Listen 127.0.0.1", "Timeout 60", "MaxClients 20", "LogLevel Critical", *lines]
    path.write_text("\n".join(settings) + "\n")
    return port, started_at(command, port, [tool("tinyproxy"), "-d", "-c", path])


def ncat_proxy(command, tool, *options):
    port = free_port()
    return port, started_at(command, port, [tool("ncat"), "-lk", "--proxy-type", "http", *options, "127.0.0.1", str(port)])


def through(sonde, proxy, url, data=b"hello through a proxy\n", *options):
    return sonde.connect("--proxy", proxy, *options, url, input=data)


def works(sonde, proxy, url):
    """Many proxies end both directions when one of them ends: so nothing ends before all is back."""
    for data in (b"hello\n", os.urandom(300_000)):
        client = sonde.start_connect("--proxy", proxy, url)
        client.feed(data)
        client.out.wait_for(lambda so_far, n=len(data): len(so_far) >= n, "all of it")
        client.end_input()
        assert client.wait() == 0, client
        assert client.out.data == data


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_socks(sonde, tool, scheme):
    port, _ = microsocks(sonde, tool)
    server = sonde.serve("echo")
    works(sonde, f"{scheme}://127.0.0.1:{port}", server.url)
    works(sonde, f"{scheme}://localhost:{port}", f"tcp://localhost:{server.port}")


def test_socks_with_ipv6(sonde, tool, ipv6):
    port, _ = microsocks(sonde, tool)
    server = sonde.serve("echo", url="tcp://[::1]:0")
    works(sonde, f"socks5://127.0.0.1:{port}", server.url)


def test_socks_with_a_password(sonde, tool):
    port, _ = microsocks(sonde, tool, "-u", "me", "-P", "se:cr@t")
    server = sonde.serve("echo")
    works(sonde, f"socks5://me:se%3Acr%40t@127.0.0.1:{port}", server.url)
    for proxy in (f"socks5://127.0.0.1:{port}", f"socks5://me:wr0ng@127.0.0.1:{port}"):
        result = through(sonde, proxy, server.url)
        assert result.status == 1 and result.out == b"", result
        assert f"127.0.0.1:{port}" in result.err and "password" in result.err
        assert "wr0ng" not in result.err


def test_socks_can_not_reach_it(sonde, tool):
    port, _ = microsocks(sonde, tool)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        closed_port = taken.getsockname()[1]
        result = through(sonde, f"socks5://127.0.0.1:{port}", f"tcp://127.0.0.1:{closed_port}")
    assert result.status == 1, result
    assert "connection refused (SOCKS reply 5)" in result.err and f"127.0.0.1:{closed_port}" in result.err


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "http"])
def test_proxy_not_there(sonde, scheme):
    port = free_port()
    result = through(sonde, f"{scheme}://127.0.0.1:{port}", "tcp://127.0.0.1:9")
    assert result.status == 1, result
    assert f"127.0.0.1:{port}" in result.err and "refused" in result.err and "proxy" in result.err


def test_http(sonde, tool, place):
    port, _ = tinyproxy(sonde, tool, place)
    server = sonde.serve("echo")
    works(sonde, f"http://127.0.0.1:{port}", server.url)
    works(sonde, f"http://127.0.0.1:{port}/", f"tcp://localhost:{server.port}")


def test_http_with_a_password(sonde, tool, place):
    port, _ = tinyproxy(sonde, tool, place, "BasicAuth me secret")
    server = sonde.serve("echo")
    works(sonde, f"http://me:secret@127.0.0.1:{port}", server.url)
    for proxy in (f"http://127.0.0.1:{port}", f"http://me:wr0ng@127.0.0.1:{port}"):
        result = through(sonde, proxy, server.url)
        assert result.status == 1 and result.out == b"", result
        assert "password" in result.err and "wr0ng" not in result.err


def test_http_can_not_reach_it(sonde, tool, place):
    port, _ = tinyproxy(sonde, tool, place)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        closed_port = taken.getsockname()[1]
        result = through(sonde, f"http://127.0.0.1:{port}", f"tcp://127.0.0.1:{closed_port}")
    assert result.status == 1, result
    assert re.search(r"can't reach it: it answered HTTP/1\.[01] 5\d\d", result.err)


def test_ncat_as_proxy(sonde, tool):
    port, _ = ncat_proxy(sonde, tool, "--proxy-auth", "me:secret")
    server = sonde.serve("echo")
    works(sonde, f"http://me:secret@127.0.0.1:{port}", server.url)
    result = through(sonde, f"http://127.0.0.1:{port}", server.url)
    assert result.status == 1 and "password: HTTP/1.0 407" in result.err, result


def test_neither_kind_of_proxy(sonde):
    """The proxy's port leads to an echo server."""
    server = sonde.serve("echo")
    for scheme, name in (("socks5h", "SOCKS5"), ("http", "HTTP")):
        result = through(sonde, f"{scheme}://127.0.0.1:{server.port}", "tcp://127.0.0.1:9")
        assert result.status == 1, result
        assert "proxy" in result.err


def test_what_the_far_end_says_first(sonde, tool):
    """A greeting that comes in the same segment as the proxy's answer, perhaps."""
    port, _ = microsocks(sonde, tool)
    server = sonde.serve(("greet", "220 hello\\r\\n"))
    for _ in range(20):
        client = sonde.start_connect("--proxy", f"socks5h://127.0.0.1:{port}", server.url)
        client.out.wait_for(lambda data: data == b"220 hello\r\n", "the greeting")
        client.end_input()
        assert client.wait() == 0, client
        assert client.out.data == b"220 hello\r\n"


# --- descriptors -------------------------------------------------------------------------------------------------


def serve_fd(sonde, sock, service="echo", options=""):
    fd = sock.fileno()
    return sonde.serve(service, url=f"fd://{fd}{options}", pass_fds=(fd,))


@pytest.mark.parametrize("family", ["inet", "inet6", "unix", "abstract"])
def test_a_listener_is_passed(sonde, request, place, family):
    if family == "inet6":
        request.getfixturevalue("ipv6")
    if family in ("inet", "inet6"):
        sock = harness.listener(socket.AF_INET6 if family == "inet6" else socket.AF_INET)
        url = harness.url_of(sock)
    else:
        name = str(place / "x.sock")
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(name if family == "unix" else "\0" + name)
        sock.listen(5)
        url = "unix:" + ("" if family == "unix" else "@") + name
    with sock:
        server = serve_fd(sonde, sock)
        assert server.url == url
        result = sonde.connect(url, input=b"hello")
        assert (result.status, result.out) == (0, b"hello"), result
        server.wait_closed()
        assert server.terminate() == 0
        assert family != "unix" or os.path.exists(name)
        # It is still whoever passed it's, and so are clients that come now.
        with dial(url):
            again = serve_fd(sonde, sock)
            result = sonde.connect(url, input=b"again")
            assert result.out == b"again"
        assert again.terminate() == 0


def test_a_passed_listener_with_options(sonde):
    with harness.listener() as sock:
        server = serve_fd(sonde, sock, options="?proxy=in&backlog=3")
        with server.connect() as client:
            client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n")
            round_trip(client, b"hello")
        server.wait_closed("192.0.2.1:1000")


def test_a_connection_is_passed(sonde):
    """In both directions, for TCP and UNIX sockets."""
    for kind in ("unix", "tcp"):
        if kind == "unix":
            ours, theirs = socket.socketpair()
        else:
            with harness.listener() as listener:
                theirs = dial(harness.url_of(listener))
                ours, _ = harness.accept(listener)
        with ours, theirs:
            ours.settimeout(harness.DEADLINE)
            client = sonde.start_connect(f"fd://{theirs.fileno()}", pass_fds=(theirs.fileno(),))
            theirs.close()
            client.feed(b"to them\n")
            assert harness.receive_exactly(ours, 8) == b"to them\n"
            ours.sendall(b"from them\n")
            ours.shutdown(socket.SHUT_WR)
            client.end_input()
            assert receive_all(ours) == b""
            assert client.wait() == 0, client
            assert client.out.data == b"from them\n"


def test_descriptors_that_are_none(sonde, tmp_path):
    rows = []
    with contextlib.ExitStack() as stack:
        ours, theirs = socket.socketpair()
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        idle = socket.socket()
        file = open(tmp_path / "file", "w", encoding="ascii")
        listener = harness.listener()
        for each in (ours, theirs, datagram, idle, file, listener):
            stack.enter_context(each)
        rows = [
            ("serve", 250, "no such descriptor"),
            ("serve", file.fileno(), "not a socket"),
            ("serve", ours.fileno(), "a connection, not a listener"),
            ("serve", datagram.fileno(), "a datagram socket"),
            ("serve", idle.fileno(), "does not listen"),
            ("connect", 250, "no such descriptor"),
            ("connect", file.fileno(), "not a socket"),
            ("connect", listener.fileno(), "a listener, not a connection"),
            ("connect", idle.fileno(), "not connected"),
        ]
        for verb, fd, words in rows:
            arguments = [verb, "echo", f"fd://{fd}"] if verb == "serve" else [verb, f"fd://{fd}"]
            result = sonde.run(*arguments, pass_fds=() if fd == 250 else (fd,))
            assert result.status in (1, 2), result
            assert words in result.err and f"fd://{fd}" in result.err, result.err
            harness.one_sentence(result.err)


def test_reset_behind_a_header(sonde):
    """Whatever is told, the server goes on."""
    server = sonde.serve("echo", url=PROXIED)
    for _ in range(50):
        client = server.connect()
        client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\nhello")
        reset(client)
    with server.connect() as client:
        client.sendall(b"PROXY UNKNOWN\r\n")
        round_trip(client, b"hello")
