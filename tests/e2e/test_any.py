# SPDX-License-Identifier: MIT
"""One port for every client: what GET shows, who is let in, services that speak first, what curl sends, and slow ones.
(What attackers do to it is in test_web_attacks.py.)"""

import json
import re
import socket
import ssl
import subprocess

import pytest

import harness
from harness import receive_all, receive_exactly, scaled, text_address

ANY = "any://127.0.0.1:0"
PATIENT = ("--any-wait", "10")  # nobody is taken for a silent one because the machine has much to do
MIB = 1 << 20


def dial(server):
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=harness.DEADLINE)
    return sock


# Made once: it takes long enough for a client to be taken for a silent one.
CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE


def over_tls(sock):
    return CONTEXT.wrap_socket(sock, server_hostname="localhost")


def own(server):
    return f"127.0.0.1:{server.port}"


def ask(server, text, tls=False):
    """What is answered to this request, head and body; chunks are undone."""
    with dial(server) as sock:
        if tls:
            sock = over_tls(sock)
        sock.sendall(text.replace("HOST", own(server)).encode("latin-1"))
        head, _, body = receive_all(sock).partition(b"\r\n\r\n")
        if b"Transfer-Encoding: chunked" in head and not text.startswith("HEAD "):
            body = unchunk(body)
        if tls:
            sock.close()
        return head.decode("latin-1"), body


def unchunk(data):
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            assert data == b"\r\n"
            return body
        body, data = body + data[:n], data[n + 2 :]


def status_of(head):
    return int(re.match(r"HTTP/1\.1 (\d{3}) ", head).group(1))


@pytest.fixture
def curl(command, tool):
    def run(*arguments, input=b""):
        argv = [tool("curl"), "--silent", "--show-error", "--insecure", "--max-time", str(int(harness.DEADLINE)), *arguments]
        return subprocess.run(argv, input=input, stdout=subprocess.PIPE, timeout=harness.DEADLINE * 2, check=False)

    return run


# --- the facts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["echo", "discard", "talk"])
@pytest.mark.parametrize("tls", [False, True])
def test_get_shows_the_facts(sonde, service, tls):
    server = sonde.serve(service, *PATIENT, url=ANY)
    head, body = ask(server, "GET /a?b HTTP/1.1\r\nHost: HOST\r\nX-Mine: \xff<b>\r\n\r\n", tls)
    assert status_of(head) == 200
    assert "Content-Type: text/plain; charset=utf-8" in head and "X-Content-Type-Options: nosniff" in head
    text = body.decode()
    assert f"the service {service} " in text
    assert "    GET /a?b HTTP/1.1\n" in text and f"    Host: {own(server)}\n" in text
    assert "    X-Mine: \\xff<b>\n" in text
    assert ("TLSv1.3" in text) == tls
    assert "congestion window" in text
    for way in (f"nc 127.0.0.1 {server.port}", f"openssl s_client -connect {own(server)}", "curl", "WebSocket"):
        assert way in text
    row = server.wait_closed()
    assert row.reason == "served" and row.bytes_in == 0 and f"you           {row.peer}\n" in text


def test_head_shows_none(sonde):
    server = sonde.serve("echo", *PATIENT, url=ANY)
    head, body = ask(server, "HEAD / HTTP/1.1\r\nHost: HOST\r\n\r\n")
    assert status_of(head) == 200 and body == b""


def test_the_facts_as_json(sonde):
    server = sonde.serve("echo", *PATIENT, url=ANY)
    head, body = ask(
        server, "GET / HTTP/1.1\r\nHost: HOST\r\nAccept: application/json\r\nX: \x80\"\\\r\n\r\n", tls=True
    )
    assert "Content-Type: application/json" in head
    facts = json.loads(body)
    assert facts["service"] == "echo" and facts["local"] == own(server)
    assert facts["tls"]["version"] == "TLSv1.3" and facts["tls"]["server_name"] == "localhost"
    assert facts["request"]["method"] == "GET" and ["X", '\ufffd"\\'] in facts["request"]["headers"]
    assert facts["tcp"]["cwnd"] > 0


def test_a_program_is_not_run_for_a_get(sonde, place):
    mark = place / "ran"
    server = sonde.serve("exec", *PATIENT, url=[ANY, "--", "sh", "-c", f"echo x >> {mark}; cat"], sockets=1)
    assert b"service exec" in ask(server, "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n")[1]
    server.wait_closed()
    assert not mark.exists()
    assert ask(server, "POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n\r\nhello")[1] == b"hello"
    assert mark.read_text() == "x\n"


# --- services that speak first -----------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["daytime", ("greet", "hello")])
def test_who_says_nothing_is_spoken_to(sonde, service):
    said = rb"hello" if service != "daytime" else rb"\d{4}-\d\d-\d\dT[\d:]+[+-]\d\d:\d\d\r\n"
    server = sonde.serve(service, url=ANY)
    with dial(server) as sock:
        assert re.fullmatch(said, receive_all(sock))
    # What the next two say first is there when the server looks: they are not silent, whatever else the machine does.
    server.stop()
    with dial(server) as sock, CONTEXT.wrap_socket(sock, server_hostname="localhost", do_handshake_on_connect=False) as tls:
        tls.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        server.go_on()
        tls.settimeout(harness.DEADLINE)
        tls.do_handshake()
        assert re.fullmatch(said, receive_all(tls))
    server.stop()
    with dial(server) as sock:
        sock.sendall(GET.replace(b"HOST", own(server).encode()))
        server.go_on()
        head, _, body = receive_all(sock).decode().partition("\r\n\r\n")
    if "Transfer-Encoding: chunked" in head:
        body = unchunk(body.encode()).decode()
    assert "Content-Type: text/plain" in head and re.fullmatch(said, body.encode())


def test_chargen_by_http(sonde):
    server = sonde.serve("chargen", *PATIENT, url=ANY)
    with dial(server) as sock:
        sock.sendall(f"GET / HTTP/1.0\r\nHost: {own(server)}\r\n\r\n".encode())
        data = receive_exactly(sock, 100000)
    lines = data.partition(b"\r\n\r\n")[2].split(b"\r\n")
    assert all(len(line) == 72 for line in lines[:-1])


# --- curl --------------------------------------------------------------------------------------------------------


@pytest.mark.heavy
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("how", ["length", "chunked", "expect", "1.0"])
def test_curl_posts(sonde, curl, scheme, how):
    server = sonde.serve("echo", *PATIENT, url=ANY)
    options = {
        "length": ["--header", "Expect:"],
        "chunked": ["--header", "Transfer-Encoding: chunked", "--header", "Expect:"],
        "expect": ["--header", "Expect: 100-continue", "--expect100-timeout", str(int(harness.DEADLINE))],
        "1.0": ["--http1.0"],
    }[how]
    for n_bytes in (1, 4095, 4096, 70000, scaled(8 * MIB)):
        data = (b"0123456789abcdef" * (n_bytes // 16 + 1))[:n_bytes]
        done = curl("--data-binary", "@-", *options, f"{scheme}://{own(server)}/", input=data)
        assert done.returncode == 0 and done.stdout == data, (n_bytes, done.returncode, len(done.stdout))


def test_curl_is_told_that_http2_is_not_spoken(sonde, curl):
    """It asks again with HTTP/1.1, or gives up; it does not get something that is no HTTP/2."""
    server = sonde.serve("echo", *PATIENT, url=ANY)
    done = curl("--http2-prior-knowledge", f"http://{own(server)}/")
    assert done.returncode != 0 or b"service echo" in done.stdout
    server.out.wait_match(r"^refused .*HTTP_1_1_REQUIRED$")


# --- who is let in -----------------------------------------------------------------------------------------------

GET = b"GET / HTTP/1.1\r\nHost: HOST\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: HOST\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def begins(server, data):
    with dial(server) as sock:
        sock.sendall(data.replace(b"HOST", own(server).encode()))
        if data != UPGRADE:
            sock.shutdown(socket.SHUT_WR)
            return receive_all(sock)
        return sock.recv(13)


@pytest.mark.parametrize("kinds", ["raw", "tls", "http", "ws", "http,ws", "raw,tls"])
def test_kinds(sonde, kinds):
    server = sonde.serve("echo", "--any-order", kinds, *PATIENT, url=ANY)
    let_in = kinds.split(",")
    assert begins(server, b"hello\n") == (b"hello\n" if "raw" in let_in else b"")
    got = begins(server, GET)
    if "http" in let_in:
        assert got.startswith(b"HTTP/1.1 200 ")
    else:
        assert got.startswith(b"HTTP/1.1 426 " if "ws" in let_in else b"HTTP/1.1 403 ")
    assert begins(server, UPGRADE).startswith(b"HTTP/1.1 101 " if "ws" in let_in else b"HTTP/1.1 403 ")
    if "tls" in let_in:
        with over_tls(dial(server)) as sock:
            assert harness.round_trip(sock, b"hello\n") is None
    else:
        with pytest.raises(ssl.SSLError, match="(?i)access.denied"):
            over_tls(dial(server))


def test_pages_names_and_subprotocols(sonde):
    server = sonde.serve(
        "echo", "--allow-origin", "https://app.example", "--allow-host", "box.example", "--subprotocol", "a,b", *PATIENT,
        url=ANY,
    )  # fmt: skip

    def status(host, origin, more=b""):
        lines = b"Host: " + host + b"\r\nOrigin: " + origin + b"\r\n" + more
        return begins(server, UPGRADE.replace(b"Host: HOST\r\n", lines))[9:12]

    assert status(b"HOST", b"https://app.example") == b"101"
    assert status(b"HOST", b"http://app.example") == b"403"
    assert status(b"box.example", b"http://box.example") == b"101"
    assert status(b"other.example", b"http://other.example") == b"421"
    with dial(server) as sock:
        data = UPGRADE.replace(b"HOST", own(server).encode())
        sock.sendall(data[:-2] + b"Sec-WebSocket-Protocol: c, b\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += receive_exactly(sock, 1)
        assert b"\r\nSec-WebSocket-Protocol: b\r\n" in head


@pytest.mark.parametrize(
    "options,url",
    [
        (["--any-order", "raw,udp"], ANY),
        (["--any-order", ""], ANY),
        (["--any-order", "raw"], "ws://127.0.0.1:0"),
        (["--any-wait", "1"], "tcp://127.0.0.1:0"),
        (["--allow-origin", "app.example"], ANY),
        (["--allow-origin", "https://app.example/"], ANY),
        (["--allow-origin", "https://app.example"], "tcp://127.0.0.1:0"),
        (["--allow-host", "http://box.example"], ANY),
        (["--subprotocol", "a b"], "ws://127.0.0.1:0"),
        (["--subprotocol", "a,,b"], "ws://127.0.0.1:0"),
        (["--ping", "1"], "tls://127.0.0.1:0"),
    ],
)
def test_options_that_make_no_sense(command, options, url):
    result = command.run("serve", "echo", *options, url)
    assert result.status == 2 and options[0] in result.err
    harness.one_sentence(result.err)


# --- a path ------------------------------------------------------------------------------------------------------


def test_only_the_path_of_the_url_is_served(sonde):
    server = sonde.serve("echo", url="ws://127.0.0.1:0/chat")
    for target, status in (("/chat", b"101"), ("/chat?x=1", b"101"), ("/", b"404"), ("/chat/", b"404"), ("/Chat", b"404")):
        assert begins(server, UPGRADE.replace(b"GET / ", f"GET {target} ".encode()))[9:12] == status, target


# --- slow ones ---------------------------------------------------------------------------------------------------


def test_who_does_not_finish_a_head_holds_up_nobody(sonde):
    server = sonde.serve("echo", *PATIENT, url=ANY)
    slow = []
    for n in range(scaled(200, 20)):
        sock = dial(server)
        sock.sendall(b"GET / HTTP/1.1\r\n" + b"X-%d: y\r\n" % n)
        slow.append(sock)
    assert begins(server, b"hello\n") == b"hello\n"
    assert begins(server, GET).startswith(b"HTTP/1.1 200 ")
    for sock in slow:
        sock.close()


def test_a_raw_client_is_one_by_its_first_bytes(sonde):
    """What can't be anything else is answered at once, however long the wait is."""
    server = sonde.serve("echo", *PATIENT, url=ANY)
    with dial(server) as sock:
        for line in (b"hello, world\n", b"GET / HTTP/1.1\r\n\r\n"):
            sock.sendall(line)
            assert receive_exactly(sock, len(line)) == line
    row = server.wait_closed()
    assert row.bytes_in == row.bytes_out == 31
