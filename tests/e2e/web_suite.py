# SPDX-License-Identifier: MIT
"""What the attacks on ws://, any:// and tls:// services have in common: services, requests, and their answers."""

import contextlib
import ssl

import pytest

import ws_suite
from ws_suite import TEXT, F

MIB = 1 << 20
PATIENT = ("--any-wait", "10")  # any://: nobody is taken for a silent one because the machine has much to do


def patience(scheme):
    """The options for a service of that scheme."""
    return PATIENT if scheme == "any" else ()


@pytest.fixture(scope="module")
def pool(binary, engines, sanitized):
    with ws_suite.serving(binary, engines, sanitized) as get:
        yield get


@pytest.fixture(params=["ws", "any"])
def web(request, pool):
    """A service that takes WebSocket clients. What is in a head does not depend on the engine."""
    return pool(None, f"{request.param}://127.0.0.1:0", *patience(request.param))


@pytest.fixture
def anything(pool):
    return pool(None, "any://127.0.0.1:0", *PATIENT)


@pytest.fixture
def hasty(pool):
    """The same for who says nothing at first, or nothing that can be told."""
    return pool(None, "any://127.0.0.1:0")


@pytest.fixture
def under_load(pool, engine):
    """The same for what costs memory, with each engine."""
    return pool(engine, "any://127.0.0.1:0", "--quiet", *PATIENT)


def own_host(server):
    return ws_suite.host_of(server.url)


def port_of(server):
    return ws_suite.port_of(server.url)


class Answer:
    """An answer to what was sent as a request, read to the end of the connection."""

    def __init__(self, sock, method="GET"):
        data, rest = ws_suite.read_head(sock)
        self.head = ws_suite.Head(data)
        self.status = self.head.status
        self.body = rest if self.status == 101 else rest + receive_rest(sock)

    @property
    def payload(self):
        """The body, taken out of its framing, and nothing behind it."""
        if self.head.tokens("Transfer-Encoding") == ["chunked"]:
            payload, rest = b"", self.body
            while True:
                size, _, rest = rest.partition(b"\r\n")
                n_bytes = int(size, 16)
                payload, rest = payload + rest[:n_bytes], rest[n_bytes:]
                assert rest[:2] == b"\r\n"
                rest = rest[2:]
                if not n_bytes:
                    assert not rest, f"behind the body: {rest!r}"
                    return payload
        lengths = self.head.all("Content-Length")
        if lengths:
            assert len(lengths) == 1 and len(self.body) == int(lengths[0]), f"{lengths}: {self.body!r}"
        return self.body

    def __str__(self):
        return f"{self.head.first!r} {self.head.rows} {self.body[:500]!r}"


def ask(server, data):
    """What comes of these bytes."""
    with ws_suite.dial(server.url) as sock:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(data)
        return Answer(sock)


def receive_rest(sock):
    """To the end, or to a reset."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(1 << 16):
            data += chunk
    return data


def request(host, method="GET", target="/", lines=(), body=b"", version="HTTP/1.1"):
    rows = [f"{method} {target} {version}", *([f"Host: {host}"] if host is not None else []), *lines]
    if body and not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in lines):
        rows.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*rows, "", ""]).encode("latin-1") + body


def upgrade(host, lines=(), **keywords):
    return ws_suite.upgrade_head(host, lines=lines, **keywords)


FORBIDDEN = (403, 421)  # RFC 9110, 15.5.20: Misdirected Request, for a name that is not its own


def assert_refused(answer, *statuses):
    assert answer.status in (statuses or (400, *FORBIDDEN)), str(answer)
    assert not answer.head.all("Access-Control-Allow-Origin"), str(answer)
    assert not answer.head.all("Sec-WebSocket-Accept"), str(answer)


def assert_serves(server):
    """It goes on for others."""
    with contextlib.closing(ws_suite.dial(server.url)) as sock:
        wire = ws_suite.dial_ws(server.url, sock=sock)
        wire.send(F(TEXT, b"still here"))
        wire.expect("text", b"still here")
        wire.close()


def tls_to(server, url=None):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(
        ws_suite.dial(url or server.url), server_hostname="localhost", suppress_ragged_eofs=False
    )
