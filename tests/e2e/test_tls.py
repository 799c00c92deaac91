# SPDX-License-Identifier: MIT
"""tls:// against other people's TLS: both roles, certificates right and wrong, and connections that are cut."""

import contextlib
import os
import pathlib
import re
import socket
import ssl
import subprocess
import types

import pytest

import harness
from harness import one_sentence, receive_exactly

PIECE = 1 << 16
BIG = 1 << 20


# --- certificates --------------------------------------------------------------------------------------------------


def openssl(*arguments, **keywords):
    done = subprocess.run(
        ["openssl", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **keywords
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA, and what it and others have issued: pki.server, .client, .other_ca, .stranger, ...: paths."""
    folder = tmp_path_factory.mktemp("pki")
    made = types.SimpleNamespace(folder=folder)

    def make(name, subject, names=None, issuer=None, ca=False, days=("-days", "30")):
        key, cert, conf = folder / f"{name}.key", folder / f"{name}.crt", folder / f"{name}.cnf"
        conf.write_text(
            "[e]\n"
            + f"basicConstraints=critical,CA:{'TRUE' if ca else 'FALSE'}\n"
            + (f"subjectAltName={names}\n" if names else ""),
            encoding="ascii",
        )
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
                "-keyout", key, "-out", folder / f"{name}.csr")
        sign = ["-signkey", key] if issuer is None else ["-CA", folder / f"{issuer}.crt", "-CAkey",
                                                        folder / f"{issuer}.key", "-CAcreateserial"]
        openssl("x509", "-req", "-in", folder / f"{name}.csr", "-out", cert, *sign, *days, "-extfile", conf,
                "-extensions", "e")
        key.chmod(0o600)
        setattr(made, name, types.SimpleNamespace(cert=cert, key=key))

    make("ca", "/CN=Test CA", ca=True)
    make("other_ca", "/CN=Other CA", ca=True)
    make("server", "/CN=server", "DNS:localhost,IP:127.0.0.1,IP:::1", "ca")
    make("elsewhere", "/CN=elsewhere", "DNS:elsewhere.example", "ca")
    make("client", "/CN=somebody", None, "ca")
    make("stranger", "/CN=stranger", "DNS:localhost,IP:127.0.0.1", "other_ca")
    return made


def fingerprint(cert):
    text = openssl("x509", "-in", cert, "-noout", "-fingerprint", "-sha256")
    return text.split("=")[1].strip()


def port_of(server):
    return int(server.urls[0].rsplit(":", 1)[1])


TLS = "tls://127.0.0.1:0"


def serve(sonde, pki, service="echo", *options, url=TLS, **keywords):
    return sonde.serve(service, "--cert", pki.server.cert, "--key", pki.server.key, *options, url=url, **keywords)


def context_of(pki, **keywords):
    context = ssl.create_default_context(cafile=str(pki.ca.cert))
    for name, value in keywords.items():
        setattr(context, name, value)
    return context


@contextlib.contextmanager
def talking(pki, port, context=None, name="localhost"):
    with socket.create_connection(("127.0.0.1", port), timeout=harness.DEADLINE) as raw:
        with (context or context_of(pki)).wrap_socket(raw, server_hostname=name, suppress_ragged_eofs=False) as tls:
            yield tls


def tls_peer(peer, pki, script, cert=None, **settings):
    """A server of Python's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert = cert or pki.server
    context.load_cert_chain(cert.cert, cert.key)
    for name, value in settings.items():
        getattr(context, name)(*value) if callable(getattr(context, name)) else setattr(context, name, value)

    def run(connection, number):
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            with context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as tls:
                script(tls, number)

    return peer(run)


def echo_until_end(tls, _):
    while chunk := tls.recv(1 << 16):
        tls.sendall(chunk)
    tls.unwrap()


def url_of(made):
    return f"tls://127.0.0.1:{made.port}"


# --- our server ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_python_client(sonde, pki, version):
    server = serve(sonde, pki)
    context = context_of(pki, minimum_version=ssl.TLSVersion[version], maximum_version=ssl.TLSVersion[version])
    with talking(pki, port_of(server), context) as tls:
        data = os.urandom(BIG)
        for at in range(0, len(data), PIECE):  # in turn: Python's TLS socket is not for two threads at a time
            tls.sendall(data[at : at + PIECE])
            assert receive_exactly(tls, len(data[at : at + PIECE])) == data[at : at + PIECE]
        assert tls.version() == version.replace("_", ".")
        tls.unwrap()  # which waits for the server's close_notify
    server.out.wait_match(r"^closed 1 .* end of data, 1048576 bytes in, 1048576 out")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_s_client(sonde, pki, tool, version):
    server = serve(sonde, pki, "echo", "--alpn", "h2,echo")
    client = sonde.start([tool("openssl"), "s_client", version, "-connect", f"127.0.0.1:{port_of(server)}", "-CAfile",
                          pki.ca.cert, "-servername", "localhost", "-verify_return_error", "-alpn", "echo,x",
                          "-ign_eof"])
    client.feed(b"hello openssl\n")
    client.out.wait_match(r"^hello openssl$")
    text = client.out.text
    assert "ALPN protocol: echo" in text
    assert "Verification: OK" in text or "Verify return code: 0 (ok)" in text
    assert "Secure Renegotiation IS supported" in text or version == "-tls1_3"


@pytest.mark.parametrize("old", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(sonde, pki, tool, old):
    server = serve(sonde, pki)
    client = sonde.start([tool("openssl"), "s_client", old, "-cipher", "ALL:@SECLEVEL=0", "-connect",
                          f"127.0.0.1:{port_of(server)}"])
    assert client.wait() != 0
    server.out.wait_match(r"^refused .* the TLS handshake failed: no version in common")


def test_renegotiation_is_refused(sonde, pki, tool):
    """s_client asks for it with a line R; the connection does not survive, and the server does."""
    server = serve(sonde, pki)
    argv = [tool("openssl"), "s_client", "-tls1_2", "-connect", f"127.0.0.1:{port_of(server)}"]
    client = sonde.start(argv)
    client.feed(b"one\n")
    client.out.wait_match(r"^one$")
    client.feed(b"R\n")
    assert client.wait() != 0
    with talking(pki, port_of(server)) as tls:
        harness.round_trip(tls, b"still there")


def test_key_update(sonde, pki, tool):
    """K: new keys for one direction and a wish for the other's. Data goes on before, between and behind them."""
    server = serve(sonde, pki)
    client = sonde.start([tool("openssl"), "s_client", "-tls1_3", "-connect", f"127.0.0.1:{port_of(server)}"])
    for number in range(5):
        client.feed(f"line {number}\n".encode())
        client.out.wait_match(rf"^line {number}$")
        client.feed(b"K\n")
        client.err.wait_match(rf"(?s)(KEYUPDATE.*){{{number + 1}}}")
    client.feed(b"the last\n")
    client.out.wait_match(r"^the last$")


@pytest.mark.parametrize("wanted", ["ask", "require"])
def test_client_certificates(sonde, pki, wanted):
    server = serve(sonde, pki, "echo", "--cacert", pki.ca.cert, "--verify-client", wanted)
    known = context_of(pki)
    known.load_cert_chain(pki.client.cert, pki.client.key)
    with talking(pki, port_of(server), known) as tls:
        harness.round_trip(tls, b"hello")
    server.out.wait_match(r"^opened 1 .*CN=somebody")
    stranger = context_of(pki)
    stranger.load_cert_chain(pki.stranger.cert, pki.stranger.key)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with talking(pki, port_of(server), stranger) as tls:
            harness.round_trip(tls, b"hello")
    server.out.wait_match(r"^refused .* its certificate is not trusted: its issuer, CN=Other CA, is not trusted here")
    if wanted == "ask":
        with talking(pki, port_of(server)) as tls:
            harness.round_trip(tls, b"nobody")
    else:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            with talking(pki, port_of(server)) as tls:
                harness.round_trip(tls, b"nobody")
        server.out.wait_match(r"^refused .* the client has shown no certificate")


def test_protocols(sonde, pki):
    server = serve(sonde, pki, "echo", "--alpn", "one,two")
    for offered, chosen in ((["two", "one"], "one"), (["two"], "two"), (None, None)):
        context = context_of(pki)
        if offered:
            context.set_alpn_protocols(offered)
        with talking(pki, port_of(server), context) as tls:
            assert tls.selected_alpn_protocol() == chosen
            harness.round_trip(tls, b"x")
    context = context_of(pki)
    context.set_alpn_protocols(["three"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        with talking(pki, port_of(server), context):
            pass
    server.out.wait_match(r"^refused .* no protocol in common")


def test_made_up_certificate(sonde, pki):
    server = sonde.serve("echo", "--cert-name", "box.example", "--cert-name", "192.0.2.9", url=TLS)
    told = server.err.wait_match(r"sonde connect --pin ([0-9A-F:]{95}) (tls://127\.0\.0\.1:\d+)$")
    pem = ssl.get_server_certificate(("127.0.0.1", port_of(server)))
    shown = openssl("x509", "-noout", "-text", "-fingerprint", "-sha256", input=pem.encode())
    assert told[1] in shown
    for name in ("localhost", "127.0.0.1", "0:0:0:0:0:0:0:1", "box.example", "192.0.2.9", "ecdsa-with-SHA256", "P-256"):
        assert name in shown
    done = sonde.connect("--pin", told[1], told[2], input=b"hello\n")
    assert (done.status, done.out, done.err) == (0, b"hello\n", "")
    done = sonde.connect("--pin", told[1].replace(":", "").lower(), told[2], input=b"hello\n")
    assert (done.status, done.out) == (0, b"hello\n")


def test_over_unix(sonde, place):
    server = sonde.serve("echo", url=f"tls+unix:{place}/s")
    told = server.err.wait_match(r"--pin (\S+) (\S+)$")
    assert told[2] == f"tls+unix:{place}/s"
    done = sonde.connect("--pin", told[1], told[2], input=b"hello\n")
    assert (done.status, done.out) == (0, b"hello\n")


def test_both_ends_are_ours(sonde, pki):
    """Much data, each way at its own pace, and the wire is not what was said."""
    server = serve(sonde, pki)
    data = os.urandom(4 * BIG)
    done = sonde.connect("-v", "--cacert", pki.ca.cert, server.urls[0], input=data)
    assert done.status == 0 and done.out == data
    assert re.search(r"TLSv1\.3, TLS_AES_256_GCM_SHA384, X25519, in [\d.]+ ms, with CN=server, for localhost, 127\.0\.0\.1, "
                     r"::1, issued by CN=Test CA; verified\.$", done.err, re.M)


# --- our client ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_python_server(sonde, pki, peer, version):
    made = tls_peer(peer, pki, echo_until_end, minimum_version=ssl.TLSVersion[version],
                    maximum_version=ssl.TLSVersion[version])
    data = os.urandom(BIG)
    done = sonde.connect("-v", "--cacert", pki.ca.cert, url_of(made), input=data)
    assert done.status == 0 and done.out == data, done.err
    assert version.replace("_", ".") in done.err
    made.join()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_s_server(sonde, pki, tool, version):
    port = harness.free_port()
    server = sonde.start([tool("openssl"), "s_server", version, "-accept", f"127.0.0.1:{port}", "-cert",
                          pki.server.cert, "-key", pki.server.key, "-rev", "-alpn", "reverse"])
    server.out.wait_match("ACCEPT")
    client = sonde.start_connect("-v", "--cacert", pki.ca.cert, "--alpn", "x,reverse", f"tls://127.0.0.1:{port}")
    client.feed(b"hello\n")
    client.out.wait_match(r"^olleh$")
    client.err.wait_match("ALPN reverse")
    client.end_input()


def test_key_update_by_the_server(sonde, pki, tool):
    port = harness.free_port()
    server = sonde.start([tool("openssl"), "s_server", "-tls1_3", "-accept", f"127.0.0.1:{port}", "-cert",
                          pki.server.cert, "-key", pki.server.key, "-msg"])
    server.out.wait_match("ACCEPT")
    client = sonde.start_connect("--cacert", pki.ca.cert, f"tls://127.0.0.1:{port}")
    for number in range(3):
        client.feed(f"up {number}\n".encode())
        server.out.wait_match(rf"^up {number}$")
        server.feed(b"K\n")  # update_requested: the client has to change its keys too
        server.out.wait_match(rf"(?s)(>>> [^\n]*KeyUpdate.*){{{number + 1}}}")
        server.feed(f"down {number}\n".encode())
        client.out.wait_match(rf"^down {number}$")
    client.feed(b"still\n")
    server.out.wait_match(r"^still$")
    server.out.wait_match(r"(?s)<<< [^\n]*KeyUpdate")


def test_client_shows_a_certificate(sonde, pki, peer):
    seen = []

    def script(tls, number):
        seen.append(dict(x[0] for x in tls.getpeercert()["subject"]))
        echo_until_end(tls, number)

    made = tls_peer(peer, pki, script, load_verify_locations=(str(pki.ca.cert),), verify_mode=ssl.CERT_REQUIRED)
    done = sonde.connect("--cacert", pki.ca.cert, "--cert", pki.client.cert, "--key", pki.client.key, url_of(made),
                         input=b"hello")
    assert (done.status, done.out) == (0, b"hello"), done.err
    assert seen == [{"commonName": "somebody"}]
    done = sonde.connect("--cacert", pki.ca.cert, url_of(made), input=b"hello")
    assert done.status == 1
    assert "certificate required: it wants a certificate of this side" in done.err


WRONG = {
    "unknown issuer": ("stranger", "127.0.0.1", "its issuer, CN=Other CA, is not trusted here"),
    "another name": ("elsewhere", "127.0.0.1", "it is for elsewhere.example, not for 127.0.0.1"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_certificates(sonde, pki, peer, what):
    name, host, words = WRONG[what]
    cert = getattr(pki, name)
    got = []

    def script(tls, _):
        got.append(tls.recv(100))

    made = tls_peer(peer, pki, script, cert=cert)
    url = f"tls://{host}:{made.port}"
    done = sonde.connect("--cacert", pki.ca.cert, url, input=b"secret")
    assert done.status == 1
    sentence = one_sentence(done.err)
    assert words in sentence and f"--pin {fingerprint(cert.cert)}" in sentence and "--insecure" in sentence
    assert b"secret" not in b"".join(got)
    # What the sentence says does help.
    made = tls_peer(peer, pki, echo_until_end, cert=cert)
    done = sonde.connect("--pin", fingerprint(cert.cert), url_of(made), input=b"hello")
    assert (done.status, done.out, done.err) == (0, b"hello", "")
    done = sonde.connect("--insecure", url_of(made), input=b"hello")
    assert (done.status, done.out) == (0, b"hello")
    assert "is not verified (--insecure)" in one_sentence(done.err)
    if what == "another name":
        done = sonde.connect("--cacert", pki.ca.cert, "--server-name", "elsewhere.example", url_of(made), input=b"hi")
        assert (done.status, done.out) == (0, b"hi")


def test_server_name(sonde, pki, peer):
    asked = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server.cert, pki.server.key)
    context.sni_callback = lambda _, name, __: asked.append(name)

    def script(connection, number):
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as tls:
            echo_until_end(tls, number)

    made = peer(script)
    for options, host, expected in (((), "localhost", "localhost"), ((), "127.0.0.1", None),
                                    (("--server-name", ""), "localhost", None),
                                    (("--server-name", "localhost"), "127.0.0.1", "localhost")):
        done = sonde.connect("-4", "--cacert", pki.ca.cert, *options, f"tls://{host}:{made.port}", input=b"x")
        assert (done.status, done.out) == (0, b"x"), done.err
        assert asked.pop() == expected


# --- connections that are cut ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_server_that_cuts(sonde, pki, peer, how):
    """Who is on the way may end a connection where it likes. What came before is printed, and that it may not be all
    is said."""

    def script(tls, _):
        receive_exactly(tls, 1)
        tls.sendall(b"pay 1")
        harness.receive_exactly(tls, 1)
        raw = socket.socket(fileno=tls.detach())
        if how == "RST":
            harness.reset(raw)
        else:
            raw.close()

    made = tls_peer(peer, pki, script)
    client = sonde.start_connect("--cacert", pki.ca.cert, url_of(made))
    client.feed(b"x")
    client.out.wait_match("pay 1")
    client.feed(b"y")
    assert client.wait() == 1
    assert client.out.data == b"pay 1"
    assert ("without close_notify" if how == "FIN" else "reset") in one_sentence(client.err.text)


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_client_that_cuts(sonde, pki, how):
    server = serve(sonde, pki, "discard", "--print", "text")
    raw = socket.create_connection(("127.0.0.1", port_of(server)), timeout=harness.DEADLINE)
    tls = context_of(pki).wrap_socket(raw, server_hostname="localhost")
    tls.sendall(b"delete all but")
    server.out.wait_match("delete all but")
    cut = socket.socket(fileno=tls.detach())
    if how == "RST":
        harness.reset(cut)
    else:
        cut.close()
    words = "TLS ended without close_notify" if how == "FIN" else "reset"
    server.out.wait_match(rf"^closed 1 .*{words}.*, 14 bytes in")


def test_close_notify_both_ways(sonde, pki, peer):
    """Our end is a close_notify, the peer still answers, and then ends too."""
    ends = []

    def script(tls, _):
        data = b""
        while chunk := tls.recv(100):
            data += chunk
        ends.append(data)
        tls.sendall(b"answer to " + data)
        tls.unwrap()

    made = tls_peer(peer, pki, script)
    done = sonde.connect("--cacert", pki.ca.cert, url_of(made), input=b"question")
    made.join()
    assert (done.status, done.out, ends) == (0, b"answer to question", [b"question"]), done.err


# --- who speaks something else --------------------------------------------------------------------------------------


def test_plain_text_to_tls(sonde, pki):
    server = serve(sonde, pki)
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=harness.DEADLINE) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"HTTP" not in harness.receive_all(raw)
    server.out.wait_match(r'^refused .* the peer speaks no TLS: it began with "GET / HTTP/1.1"$')


def test_tls_to_plain_text(sonde, peer):
    made = peer(lambda connection, _: (connection.sendall(b"220 mail.example ESMTP\r\n"),
                                       harness.receive_all(connection)))
    done = sonde.connect(f"tls://127.0.0.1:{made.port}", input=b"x")
    assert done.status == 1
    assert 'the peer speaks no TLS: it began with "220 mail.example ESMTP"' in one_sentence(done.err)


def test_tls_to_our_plain_echo(sonde):
    """It sends back the ClientHello."""
    server = sonde.serve("echo")
    done = sonde.connect(server.urls[0].replace("tcp", "tls"), input=b"x")
    assert done.status == 1
    assert "the TLS handshake failed" in one_sentence(done.err)


def test_terminal_is_safe_from_certificates(sonde, pki, peer, tmp_path):
    """A name in a certificate may hold anything."""
    subject = "/CN=a\x1b[31mred\x07"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8", "-subj", subject,
            "-keyout", tmp_path / "key", "-out", tmp_path / "cert", "-days", "2")
    made = tls_peer(peer, pki, echo_until_end, cert=types.SimpleNamespace(cert=tmp_path / "cert",
                                                                         key=tmp_path / "key"))
    done = sonde.connect("-v", "--insecure", url_of(made), input=b"x")
    assert done.status == 0 and "red" in done.err
    assert "\x1b" not in done.err and "\x07" not in done.err
    done = sonde.connect("-v", url_of(made), input=b"x")
    assert done.status == 1 and "\x1b" not in done.err and "\x07" not in done.err


@pytest.mark.heavy
def test_half_open_handshakes_are_bounded(sonde, pki):
    """Many who say half of a ClientHello: the oldest of too many go, and one who means it is served."""
    server = serve(sonde, pki)
    hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context_of(pki).wrap_bio(*hello, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    half = hello[1].read()[:100]
    count = harness.scaled(1300, 100)
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", port_of(server)), timeout=20))
            raw.sendall(half)
        with talking(pki, port_of(server)) as tls:
            harness.round_trip(tls, b"me too")
        if count > 1100:
            server.out.wait_match(r"^refused .*too many")


# --- other peers ----------------------------------------------------------------------------------------------------


def test_ncat_client(sonde, pki, tool):
    server = serve(sonde, pki)
    client = sonde.start([tool("ncat"), "--ssl-verify", "--ssl-trustfile", pki.ca.cert, "localhost",
                          str(port_of(server))])
    client.feed(b"hello ncat\n")
    client.out.wait_match(r"^hello ncat$")
    client.end_input()


def test_ncat_server(sonde, tool):
    port = harness.free_port()
    server = sonde.start([tool("ncat"), "--ssl", "-lk", "-e", "/bin/cat", "127.0.0.1", str(port)])
    harness.wait_until(lambda: any(row.state == "LISTEN" for row in harness.tcp_table(port)), "ncat listens")
    client = sonde.start_connect("--insecure", f"tls://127.0.0.1:{port}")
    client.feed(b"hello ncat\n")
    client.out.wait_match(r"^hello ncat$")
    assert server.pid


def test_socat_client(sonde, pki, tool):
    server = serve(sonde, pki, "echo", "--cacert", pki.ca.cert, "--verify-client", "require")
    client = sonde.start([tool("socat"), "-t20", "-", f"OPENSSL:localhost:{port_of(server)},pf=ip4,cafile={pki.ca.cert},"
                          f"cert={pki.client.cert},key={pki.client.key}"])
    client.feed(b"hello socat\n")
    client.out.wait_match(r"^hello socat$")
    client.end_input()
    assert client.wait() == 0


def test_socat_server(sonde, pki, tool):
    port = harness.free_port()
    sonde.start([tool("socat"), f"OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,cert={pki.server.cert},"
                 f"key={pki.server.key},verify=0", "EXEC:/bin/cat"])
    harness.wait_until(lambda: any(row.state == "LISTEN" for row in harness.tcp_table(port)), "socat listens")
    client = sonde.start_connect("--cacert", pki.ca.cert, f"tls://127.0.0.1:{port}")
    client.feed(b"hello socat\n")
    client.out.wait_match(r"^hello socat$")


def test_curl(sonde, pki, tool):
    """A fixed answer over TLS is an HTTPS server to curl."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    (pki.folder / "answer").write_bytes(answer)
    server = serve(sonde, pki, ("greet", "--file", str(pki.folder / "answer")))
    done = subprocess.run([tool("curl"), "-sS", "--http1.1", "--cacert", pki.ca.cert,
                           f"https://localhost:{port_of(server)}/"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=harness.DEADLINE, check=False)
    assert done.stdout == b"hello", done.stderr


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_keylog(sonde, pki, place, monkeypatch, tool):
    """tshark reads with it what was said."""
    keys, capture = place / "keys", place / "talk.pcap"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    server = serve(sonde, pki)
    port = port_of(server)
    look = sonde.start([tool("tshark"), "-q", "-i", "lo", "-f", f"tcp port {port}", "-w", capture])
    look.err.wait_match("Capturing on|capturing on")
    harness.wait_until(lambda: capture.exists() and capture.stat().st_size > 0, "tshark writes")

    def captured():
        """A packet is seen some time after it was sent; the first connections may come before it looks."""
        done = sonde.connect("--cacert", pki.ca.cert, server.urls[0], input=b"the secret word")
        assert (done.status, done.out) == (0, b"the secret word")
        shown = subprocess.run([tool("tshark"), "-r", capture, "-o", f"tls.keylog_file:{keys}", "-d",
                                f"tcp.port=={port},tls", "-Y", "tls.app_data or data.data", "-T", "fields", "-e",
                                "data.data", "-e", "tls.segment.data"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               timeout=harness.DEADLINE, check=False).stdout.decode()
        return b"the secret word".hex() in shown.replace(":", "")

    harness.wait_until(captured, "tshark shows what was said")
    assert keys.stat().st_mode & 0o777 == 0o600
    assert re.match(r"(?m)^CLIENT_HANDSHAKE_TRAFFIC_SECRET|^SERVER_HANDSHAKE_TRAFFIC_SECRET", keys.read_text())


def test_keylog_that_cannot_be_written(sonde, pki, monkeypatch):
    server = serve(sonde, pki)
    monkeypatch.setenv("SSLKEYLOGFILE", "/nonexistent/keys")
    done = sonde.connect("--cacert", pki.ca.cert, server.urls[0], input=b"x")
    assert (done.status, done.out) == (0, b"x")
    assert "/nonexistent/keys cannot be written" in one_sentence(done.err)


def test_encrypted_key(sonde, pki, place, monkeypatch):
    locked, password = place / "locked.key", "open sesame"
    openssl("pkey", "-in", pki.server.key, "-aes256", "-passout", f"pass:{password}", "-out", locked)
    locked.chmod(0o600)
    options = ["--cert", pki.server.cert, "--key", locked]
    done = sonde.run("serve", "echo", *options, TLS)
    assert done.status == 2 and "the key is encrypted, and no password was given" in one_sentence(done.err)
    (place / "password").write_text(password + "\n", encoding="ascii")
    (place / "password").chmod(0o600)
    server = sonde.serve("echo", *options, "--key-password-file", place / "password", url=TLS)
    with talking(pki, port_of(server)) as tls:
        harness.round_trip(tls, b"x")
    monkeypatch.setenv("SONDE_KEY_PASSWORD", "wrong")
    done = sonde.run("serve", "echo", *options, TLS)
    assert done.status == 2 and "the password is wrong" in one_sentence(done.err)
    monkeypatch.setenv("SONDE_KEY_PASSWORD", password)
    server = sonde.serve(("exec", *map(str, options)), url=[TLS, "--", "/usr/bin/env"], sockets=1)
    with talking(pki, port_of(server)) as tls:
        assert b"SONDE_KEY_PASSWORD" not in harness.receive_all(tls)


def test_key_that_others_may_read(sonde, pki, place):
    key = place / "open.key"
    key.write_bytes(pki.server.key.read_bytes())
    key.chmod(0o644)
    done = sonde.run("serve", "echo", "--cert", pki.server.cert, "--key", key, TLS)
    assert done.status == 2
    assert f"{key} cannot be used: others than its owner may read or write this key (mode 0644)" in one_sentence(
        done.err)


# --- misuse ----------------------------------------------------------------------------------------------------------

MISUSE = {
    "serve echo --cert x": "--cert is about TLS, and no address here speaks it",
    "serve echo --verify-client require tls://127.0.0.1:0": "--verify-client needs --cacert FILE",
    "serve echo --key x tls://127.0.0.1:0": "--key is the key of a certificate",
    "serve echo --cert x --cert-name y tls://127.0.0.1:0": "--cert-name is for a certificate that is made here",
    "serve echo --cert /nonexistent/c tls://127.0.0.1:0": "/nonexistent/c cannot be used: no such file or directory",
    "serve echo --cert-name a/b tls://127.0.0.1:0": "a/b cannot be used: a certificate is for a name",
    "serve echo --alpn a,,b tls://127.0.0.1:0": "a,,b cannot be used: protocols are separated by commas",
    "connect --insecure tcp://127.0.0.1:1": "--insecure is about TLS, which tcp://127.0.0.1:1 does not speak",
    "connect --insecure --pin AB tls://127.0.0.1:1": "--pin trusts one certificate and --insecure any",
    "connect --pin AB tls://127.0.0.1:1": "AB cannot be used: a fingerprint is 64 hexadecimal digits",
    "connect --cacert /dev/null tls://127.0.0.1:1": "/dev/null cannot be used: there is no certificate in it",
    "connect -l --pin AB tls://127.0.0.1:0": "--pin is for connecting",
}


@pytest.mark.parametrize("line", MISUSE)
def test_misuse(command, line):
    done = command.run(*line.split())
    assert done.status == 2, done.err
    assert MISUSE[line] in one_sentence(done.err)


def test_listening_connect(sonde, pki):
    """connect -l: the other end, with a certificate of its own."""
    listening = sonde.start_connect("-l", TLS)
    told = listening.err.wait_match(r"sonde connect --pin (\S+) (tls://127\.0\.0\.1:\d+)$")
    client = sonde.start_connect("--pin", told[1], told[2])
    client.feed(b"hello\n")
    listening.out.wait_match(r"^hello$")
    listening.feed(b"and back\n")
    client.out.wait_match(r"^and back$")
    client.end_input()
    listening.end_input()
    assert client.wait() == 0 and listening.wait() == 0


def test_scan(sonde, pki):
    """-z shakes hands too."""
    server = serve(sonde, pki)
    plain = sonde.serve("hold")
    assert sonde.connect("-z", "--cacert", pki.ca.cert, server.urls[0]).status == 0
    harness.wait_until(lambda: "closed 1 " in server.out.text, "the server says how it ended")
    assert "end of data" in server.out.text, "it took leave, and was not cut off"
    assert sonde.connect("-z", server.urls[0]).status == 1
    assert sonde.connect("-z", "-w", "1", "--cacert", pki.ca.cert, plain.urls[0].replace("tcp", "tls")).status == 1


def test_openssl_is_loaded_when_needed(command, pki):
    """Who speaks no TLS does not pay for it at the start."""
    plain = command.serve("echo")
    maps = pathlib.Path(f"/proc/{plain.pid}/maps").read_text(encoding="utf-8")
    assert "libssl" not in maps
    server = serve(command, pki)
    assert "libssl" in pathlib.Path(f"/proc/{server.pid}/maps").read_text(encoding="utf-8")
