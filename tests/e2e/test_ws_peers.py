# SPDX-License-Identifier: MIT
"""WebSocket with programs that others wrote, both ways: python3-websockets, node's ws, websocketd, curl; and one any://
port for nc, openssl, curl and a WebSocket client at once."""

import asyncio
import base64
import hashlib
import http
import json
import os
import re
import signal
import socket
import subprocess

import pytest

import harness
import ws_suite
from harness import rss_bytes, wait_until

MIB = 1 << 20
PATIENT = ("--any-wait", "10")  # any://: nobody is taken for a silent one because the machine has much to do
NODE_PATH = "/usr/share/nodejs"

# --- node --------------------------------------------------------------------------------------------------------

# An echo server. Its lines on standard output are JSON: the port, and how each connection ended.
NODE_SERVER = """
const { WebSocketServer } = require("ws");
const settings = JSON.parse(process.argv[1]);
const say = (what) => console.log(JSON.stringify(what));
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, maxPayload: 1 << 25, perMessageDeflate: settings.deflate,
    handleProtocols: settings.protocol ? (offered) => offered.has(settings.protocol) && settings.protocol : undefined });
server.on("listening", () => say({ port: server.address().port }));
server.on("connection", (ws, request) => {
    say({ headers: request.headers, extensions: ws.extensions, protocol: ws.protocol });
    ws.on("message", (data, isBinary) => settings.silent || ws.send(data, { binary: isBinary }));
    ws.on("ping", (data) => say({ ping: data.toString() }));
    ws.on("pong", (data) => say({ pong: data.toString() }));
    ws.on("close", (code, reason) => say({ code, reason: reason.toString() }));
    ws.on("error", (error) => say({ error: error.message }));
    if (settings.ping) ws.ping(settings.ping);
    if (settings.close) { ws.send("before"); ws.close(...settings.close); }
    if (settings.flood) for (let n = 0; n < settings.flood; n++) ws.send(Buffer.alloc(1 << 20, n));
});
"""

# A client that plays a scenario and prints what came of it.
NODE_CLIENT = """
const WebSocket = require("ws");
const [url, settings] = [process.argv[1], JSON.parse(process.argv[2])];
const report = { messages: [], pongs: [], pings: 0 };
const ws = new WebSocket(url, settings.protocols || [], { perMessageDeflate: settings.deflate, origin: settings.origin,
    rejectUnauthorized: false, maxPayload: 1 << 25 });
const done = () => { console.log(JSON.stringify(report)); process.exit(0); };
ws.on("open", () => {
    report.extensions = ws.extensions; report.protocol = ws.protocol;
    for (const text of settings.texts || []) ws.send(text);
    for (const [size, binary] of settings.sizes || []) ws.send(Buffer.alloc(size, "x"), { binary });
    if (settings.ping) ws.ping(settings.ping);
    for (let n = 0; n < (settings.count || 0); n++) ws.send("message " + n);
    report.expected = (settings.texts || []).length + (settings.sizes || []).length + (settings.count || 0);
    if (!report.expected) ws.close(...(settings.close || [1000]));
});
let n = 0, wrong = 0;
ws.on("message", (data, isBinary) => {
    if (settings.count) { if (data.toString() !== "message " + n) wrong++; }
    else report.messages.push([data.length, isBinary, data.length < 100 ? data.toString() : data.every((x) => x === 120)]);
    n++;
    if (n === report.expected) { report.count = n; report.wrong = wrong; ws.close(...(settings.close || [1000])); }
});
ws.on("pong", (data) => report.pongs.push(data.toString()));
ws.on("unexpected-response", (request, response) => { report.status = response.statusCode; done(); });
ws.on("error", (error) => { report.error = error.message; });
ws.on("close", (code, reason) => { report.code = code; report.reason = reason.toString(); done(); });
"""

# So many clients at once, each of which sends and gets so many.
NODE_CROWD = """
const WebSocket = require("ws");
const [url, clients, messages] = [process.argv[1], +process.argv[2], +process.argv[3]];
let open = 0, over = 0, wrong = 0;
const all = [];
for (let c = 0; c < clients; c++) {
    const ws = new WebSocket(url, { perMessageDeflate: c % 2 === 0 });
    let n = 0;
    ws.on("open", () => { if (++open === clients) for (const each of all) each.send("0"); });
    ws.on("message", (data) => {
        if (data.toString() !== String(n)) wrong++;
        if (++n === messages) ws.close(1000); else ws.send(String(n));
    });
    ws.on("close", (code) => { if (code !== 1000) wrong++;
        if (++over === clients) { console.log(JSON.stringify({ open, over, wrong })); process.exit(0); } });
    ws.on("error", (error) => { console.error(error.message); wrong++; });
    all.push(ws);
}
"""


@pytest.fixture
def node(command, tool):
    """node(script, argument...): started; with node's ws."""
    path = tool("node")
    if not os.path.isdir(f"{NODE_PATH}/ws"):
        pytest.skip("node's ws is not installed")
    env = ["/usr/bin/env", f"NODE_PATH={NODE_PATH}"]

    def start(script, *arguments):
        return command.start([*env, path, "-e", script, "--", *map(str, arguments)])

    return start


@pytest.fixture
def node_server(node):
    def start(**settings):
        process = node(NODE_SERVER, json.dumps(settings))
        process.out.wait_for(lambda data: b"\n" in data, "the port")
        process.port = json.loads(process.out.lines[0])["port"]
        process.url = f"ws://127.0.0.1:{process.port}/"
        return process

    return start


def told(process, name):
    """The first line of a node server that has this."""

    def find(data):
        rows = [json.loads(line) for line in data.decode().split("\n")[:-1]]
        return next((row for row in rows if name in row), None)

    return process.out.wait_for(find, name)


@pytest.fixture
def node_client(node):
    def run(url, **settings):
        process = node(NODE_CLIENT, url, json.dumps(settings))
        assert process.wait() == 0, str(process)
        return json.loads(process.out.text)

    return run


@pytest.mark.parametrize("deflate", [True, False], ids=["deflate", "plain"])
@pytest.mark.parametrize("scheme", ["ws", "wss", "any"])
def test_node_client(sonde, node_client, scheme, deflate):
    server = sonde.serve("echo", *(PATIENT if scheme == "any" else ()), url=f"{scheme}://127.0.0.1:0")
    url = server.url.replace("any:", "ws:")
    report = node_client(
        url, deflate=deflate, texts=["hello", "", "κόσμε 𝄞"], sizes=[[MIB, True], [MIB, False], [0, True]], ping="are you there",
        close=[4001, "done, thanks"],
    )  # fmt: skip
    assert report["messages"] == [
        [5, False, "hello"], [0, False, ""], [15, False, "κόσμε 𝄞"], [MIB, True, True], [MIB, False, True], [0, True, ""],
    ]  # fmt: skip
    assert report["pongs"] == ["are you there"]
    assert report["code"] == 4001, report
    assert ("permessage-deflate" in report["extensions"]) == deflate
    line = server.out.wait_match(r"^closed 1 .*").group(0)
    assert "4001" in line and "done, thanks" in line, line


def test_node_client_is_refused_for_its_origin(sonde, node_client):
    server = sonde.serve("echo", url="ws://127.0.0.1:0")
    assert node_client(server.url, origin="https://evil.example")["status"] == 403
    assert node_client(server.url, origin=server.url.replace("ws:", "http:").rstrip("/"))["code"] == 1000


@pytest.mark.heavy
def test_node_client_sends_many(sonde, node_client):
    server = sonde.serve("echo", "--quiet", url="ws://127.0.0.1:0")
    n_messages = harness.scaled(20000)
    report = node_client(server.url, deflate=False, count=n_messages)
    assert (report["count"], report["wrong"], report["code"]) == (n_messages, 0, 1000)


@pytest.mark.heavy
def test_200_clients_at_once(sonde, node):
    server = sonde.serve("echo", "--quiet", *PATIENT, url="any://127.0.0.1:0")
    n_clients = harness.scaled(200, 20)
    process = node(NODE_CROWD, server.url.replace("any:", "ws:"), n_clients, 20)
    assert process.wait(harness.DEADLINE * 3) == 0, str(process)  # seconds of work for node on a machine of its own
    assert json.loads(process.out.text) == {"open": n_clients, "over": n_clients, "wrong": 0}, str(process)


@pytest.mark.parametrize("deflate", [True, False], ids=["deflate", "plain"])
def test_node_server(sonde, node_server, deflate):
    server = node_server(deflate=deflate)
    lines = ["hello", "", "κόσμε 𝄞", "x" * 100000, "y" * MIB, "/no command", "end"]
    data = "".join(line + "\n" for line in lines).encode()
    done = sonde.connect(server.url, input=data)
    assert done.status == 0, str(done.process)
    assert done.out == data
    assert told(server, "code") == {"code": 1000, "reason": ""}
    assert ("permessage-deflate" in told(server, "headers")["extensions"]) == deflate


def test_node_server_without_deflate_on_our_side(sonde, node_server):
    server = node_server(deflate=True)
    done = sonde.connect("--no-deflate", server.url, input=b"plain\n")
    assert (done.status, done.out) == (0, b"plain\n"), str(done.process)
    assert told(server, "headers")["extensions"] == ""


def test_node_server_binary(sonde, node_server):
    server = node_server(deflate=True)
    data = ws_suite.binary_of(300000)
    done = sonde.connect("--binary", server.url, input=data)
    assert done.status == 0 and done.out == data, str(done.process)[-300:]


def test_node_server_sees_what_was_asked_for(sonde, node_server):
    server = node_server(protocol="chat")
    done = sonde.connect(
        "--header", "X-Token: abc", "--origin", "https://app.example", "--subprotocol", "superchat, chat", server.url + "room?a=b",
        input=b"x\n",
    )  # fmt: skip
    assert (done.status, done.out) == (0, b"x\n"), str(done.process)
    seen = told(server, "headers")
    assert seen["protocol"] == "chat"
    headers = seen["headers"]
    assert (headers["x-token"], headers["origin"]) == ("abc", "https://app.example")
    assert headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("code, status", [(1000, 0), (1001, 0), (1011, 1), (4000, 1)])
def test_node_server_closes_with_a_reason(sonde, node_server, code, status):
    """What was sent before is shown; the code and the reason are told, without a control that a terminal would obey."""
    server = node_server(close=[code, "so long \x1b[31m"])
    process = sonde.start_connect("-v", server.url)
    assert process.wait() == status, str(process)
    assert process.out.data == b"before\n"
    assert str(code) in process.err.text and "so long" in process.err.text, str(process)
    harness.assert_printable(process.err.data)
    assert told(server, "code")["code"] == code, "the Close frame is answered with its code"


def test_node_server_pings(sonde, node_server):
    server = node_server(ping="knock")
    process = sonde.start_connect("--ping", "1", server.url)  # which node has time to answer
    assert told(server, "pong") == {"pong": "knock"}
    assert "ping" in told(server, "ping")
    process.end_input()
    assert process.wait() == 0, str(process)


def test_pings_are_no_data(sonde, node_server):
    """Neither ours nor their answers keep -w from ending it. Node has time to answer: who does not is given up."""
    server = node_server(silent=True)
    process = sonde.start_connect("--eof", "ignore", "-w", "2", "--ping", "0.9", server.url)
    assert process.wait() == 1, str(process)
    assert "timed out" in process.err.text


def test_a_close_before_all_was_sent(sonde, engine):
    """Nothing can be sent after the peer's Close: what standard input still has is told of, not lost in silence."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = sonde.start_connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/", "--engine", engine)
        sock, _ = listening.accept()
        with sock:
            sock.settimeout(harness.DEADLINE)
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += sock.recv(4096)
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", request).group(1)
            accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            sock.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n\x88\x02\x03\xe8"
            )
            assert sock.recv(4096)[0] == 0x88, "the Close frame is answered"
            process.feed(b"too late\n")
            assert sock.recv(4096) == b"", "nothing follows it"
        assert process.wait() == 1, str(process)
        assert "8 bytes were not" in process.err.text, str(process)


def test_close_with_a_code_of_ours(sonde, node_server):
    server = node_server()
    done = sonde.connect("--commands", server.url, input=b"hello\n/close 4321 that is all\n")
    assert done.out == b"hello\n", str(done.process)
    assert told(server, "code") == {"code": 4321, "reason": "that is all"}


@pytest.mark.heavy
def test_a_slow_reader_of_ours_holds_no_memory(sonde, node_server, sanitized):
    """The peer sends far more than we may hold, and nobody reads our standard output."""
    n_mib = harness.scaled(64, 32)
    server = node_server(flood=n_mib)
    reading, writing = os.pipe()
    with open(reading, "rb") as output:
        process = sonde.start_connect("--binary", server.url, stdout=writing)
        os.close(writing)
        wait_until(lambda: harness._ioctl(output, harness.FIONREAD) > 0, "something has come")
        with harness.Observation(0.7):
            pass
        assert rss_bytes(process.pid) < (300 if sanitized else 48) * MIB
        total = 0
        for n in range(n_mib):
            message = output.read(MIB)
            assert message == bytes([n % 256]) * MIB
            total += len(message)
        process.end_input()
        assert output.read() == b""
    assert process.wait() == 0, str(process)


# --- python3-websockets ------------------------------------------------------------------------------------------


@pytest.fixture
def websockets():
    return pytest.importorskip("websockets")


def play(coroutine):
    async def bounded():
        return await asyncio.wait_for(coroutine, harness.DEADLINE * 2)

    return asyncio.run(bounded())


@pytest.mark.parametrize("compression", ["deflate", None], ids=["deflate", "plain"])
def test_python_client(sonde, websockets, compression):
    server = sonde.serve("echo", url="ws://127.0.0.1:0")

    async def talk():
        async with websockets.connect(server.url, compression=compression, max_size=1 << 25) as connection:
            assert bool(connection.extensions) == bool(compression)
            for message in ("hello", "", "κόσμε", b"", bytes(range(256)), "x" * MIB, os.urandom(MIB)):
                await connection.send(message)
                assert await connection.recv() == message
            await connection.send(["frag", "mented ", "text"])
            assert await connection.recv() == "fragmented text"
            await asyncio.wait_for(await connection.ping(b"x"), harness.DEADLINE)
            await connection.close(3333, "enough")
            return connection.close_code, connection.close_reason

    assert play(talk())[0] == 3333
    line = server.out.wait_match(r"^closed 1 .*").group(0)
    assert "3333" in line and "enough" in line, line


def test_python_client_leaves_when_the_server_goes(sonde, websockets):
    """SIGTERM: whoever is connected is told so, with 1001 or 1000, and not cut off."""
    server = sonde.serve("echo", url="ws://127.0.0.1:0")

    async def talk():
        async with websockets.connect(server.url) as connection:
            await connection.send("x")
            await connection.recv()
            server.signal(signal.SIGTERM)
            await connection.wait_closed()
            return connection.close_code

    assert play(talk()) in (1000, 1001)
    assert server.wait() == 0, str(server)


def test_many_python_clients(sonde, websockets):
    server = sonde.serve("echo", "--quiet", url="ws://127.0.0.1:0")

    async def one(number):
        async with websockets.connect(server.url, ping_interval=None) as connection:
            for n in range(10):
                await connection.send(f"{number} {n}")
                assert await connection.recv() == f"{number} {n}"

    async def all_of_them():
        await asyncio.gather(*[one(number) for number in range(harness.scaled(100, 10))])

    play(all_of_them())


def with_python_server(websockets, handler, use, **settings):
    """use(url) on a thread while a server of theirs runs."""

    async def run():
        async with websockets.serve(handler, "127.0.0.1", 0, **settings) as server:
            port = server.sockets[0].getsockname()[1]
            return await asyncio.get_running_loop().run_in_executor(None, use, f"ws://127.0.0.1:{port}/")

    return play(run())


async def echo_handler(connection, *_):
    async for message in connection:
        await connection.send(message)


@pytest.mark.parametrize("compression", ["deflate", None], ids=["deflate", "plain"])
def test_python_server(sonde, websockets, compression):
    data = "".join(f"line {n} κόσμε\n" for n in range(500)).encode() + b"z" * MIB + b"\n"
    done = with_python_server(
        websockets, echo_handler, lambda url: sonde.connect(url, input=data), compression=compression, max_size=1 << 25
    )
    assert done.status == 0 and done.out == data, str(done.process)[-500:]


def test_python_server_has_none_of_our_subprotocols(sonde, websockets):
    done = with_python_server(
        websockets,
        echo_handler,
        lambda url: sonde.connect("--subprotocol", "a,b", url, input=b"x\n"),
        subprotocols=["c"],
    )
    assert done.status == 1 and done.out == b"", str(done.process)
    harness.one_sentence(done.process.err.text)


def test_python_server_refuses(sonde, websockets):
    """What the server answers instead of 101 is said."""

    async def refuse(path, headers):
        return http.HTTPStatus.SERVICE_UNAVAILABLE, [("Retry-After", "5")], b"not now\n"

    done = with_python_server(
        websockets, echo_handler, lambda url: sonde.connect(url, input=b"x\n"), process_request=refuse
    )
    assert done.status == 1 and done.out == b"", str(done.process)
    assert "503" in harness.one_sentence(done.process.err.text)


# --- websocketd --------------------------------------------------------------------------------------------------


def test_websocketd(sonde, command, tool):
    port = harness.free_port()
    process = command.start(
        [tool("websocketd"), f"--port={port}", "--address=127.0.0.1", "cat"], stdin=subprocess.DEVNULL
    )
    wait_until(lambda: harness.accept_queue(port) is not None, "websocketd listens")
    client = sonde.start_connect(f"ws://127.0.0.1:{port}/")
    lines = b"".join(b"line %d\n" % n for n in range(200))
    client.feed(lines)
    client.out.wait_for(lambda data: len(data) >= len(lines), "all of it")
    client.end_input()
    assert client.wait() in (0, 1), str(client)  # it answers Close by ending the connection
    assert client.out.data == lines
    assert process.running


# --- curl --------------------------------------------------------------------------------------------------------


@pytest.fixture
def curl(tool):
    def run(*arguments, input=None):
        argv = [tool("curl"), "--silent", "--show-error", "--max-time", "20", *arguments]
        return subprocess.run(argv, input=input, capture_output=True, timeout=harness.DEADLINE * 2, check=False)

    return run


def anything(server, scheme="http"):
    return server.url.replace("any:", scheme + ":").rstrip("/") + "/"


def test_curl_upgrades_by_hand(sonde, command, tool):
    server = sonde.serve("echo", url="ws://127.0.0.1:0")
    headers = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        f"Sec-WebSocket-Key: {ws_suite.KEY}",
        "Sec-WebSocket-Version: 13",
    ]
    argv = [tool("curl"), "-sSvN", "--http1.1", *[part for line in headers for part in ("-H", line)]]
    process = command.start([*argv, server.url.replace("ws:", "http:")])
    process.err.wait_match("^< HTTP/1.1 101 ")
    process.err.wait_match(f"^< Sec-WebSocket-Accept: {re.escape(ws_suite.accept_key(ws_suite.KEY))}")
    process.signal(signal.SIGTERM)
    process.wait()


def test_curl_without_an_upgrade(sonde, curl):
    server = sonde.serve("echo", url="ws://127.0.0.1:0")
    done = curl("-i", server.url.replace("ws:", "http:"))
    assert re.match(rb"HTTP/1.1 426 ", done.stdout), done


def test_curl_gets_the_facts(sonde, curl):
    server = sonde.serve("echo", *PATIENT, url="any://127.0.0.1:0")
    done = curl("-i", anything(server), "-H", "X-Mark: seen")
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert done.returncode == 0 and ws_suite.Head(head).status == 200, done
    assert b"127.0.0.1" in body and str(ws_suite.port_of(server.url)).encode() in body
    assert curl("-I", anything(server)).stdout.startswith(b"HTTP/1.1 200 ")
    assert curl("-0", anything(server)).returncode == 0
    assert curl("--http2", anything(server)).returncode == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("how", ["-T", "--data-binary", "-0", "chunked"])
def test_curl_posts(sonde, curl, tmp_path, scheme, how):
    """3 MiB: what is posted comes back while it is posted, or curl waits for 100-continue first."""
    data = ws_suite.binary_of(3 * MIB)
    path = tmp_path / "data"
    path.write_bytes(data)
    server = sonde.serve("echo", *PATIENT, url="any://127.0.0.1:0")
    arguments = {
        "-T": ["-X", "POST", "-T", str(path)],
        "--data-binary": ["--data-binary", f"@{path}"],
        "-0": ["-0", "--data-binary", f"@{path}"],
        "chunked": ["--data-binary", f"@{path}", "-H", "Transfer-Encoding: chunked"],
    }[how]
    done = curl("--insecure", *arguments, anything(server, scheme))
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert done.stdout == data, harness.difference(done.stdout, data)


def test_curl_posts_many_times_over_one_url(sonde, curl):
    """curl would like to keep the connection; whether it may is said, and nothing is lost either way."""
    server = sonde.serve("echo", *PATIENT, url="any://127.0.0.1:0")
    done = curl("--data-binary", "again", *[anything(server)] * 5)
    assert (done.returncode, done.stdout) == (0, b"again" * 5), done


# --- one port ----------------------------------------------------------------------------------------------------


def test_nc_openssl_curl_and_websockets_at_once(sonde, command, websockets, tool, curl):
    server = sonde.serve("echo", *PATIENT, url="any://127.0.0.1:0")
    port = ws_suite.port_of(server.url)
    nc = command.start([tool("nc.openbsd"), "-N", "127.0.0.1", str(port)])
    client = [tool("openssl"), "s_client", "-quiet", "-no_ign_eof", "-connect", f"127.0.0.1:{port}"]
    openssl = command.start(client)
    ncat = command.start([tool("ncat"), "--ssl", "127.0.0.1", str(port)])

    async def talk():
        async with websockets.connect(server.url.replace("any:", "ws:")) as connection:
            for n in range(3):
                line = b"line %d\n" % n
                for process in (nc, openssl, ncat):
                    process.feed(line)
                    process.out.wait_for(lambda data, line=line: data.endswith(line), repr(line))
                await connection.send(line.decode())
                assert await connection.recv() == line.decode()
                assert b"127.0.0.1" in curl(anything(server)).stdout
                assert curl("--insecure", "-d", "posted", anything(server, "https")).stdout == b"posted"

    play(talk())
    for process in (nc, openssl, ncat):
        process.end_input()
        assert process.wait() == 0, str(process)
        assert process.out.data == b"line 0\nline 1\nline 2\n"
