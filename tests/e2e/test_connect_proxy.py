# SPDX-License-Identifier: MIT
"""`sonde connect --proxy`: what the command makes of it. The sentence says on which leg it failed, and the password is
seen nowhere."""

import base64
import contextlib
import pathlib
import subprocess
import threading

import pytest

import harness
from harness import one_sentence, receive_exactly

USER, PASSWORD = "bob", "s3cret:and/more"
ENCODED = "s3cret%3Aand%2Fmore"
SECRETS = (PASSWORD, ENCODED, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())


def tunnel(one, other):
    """Both ways, each with its own end."""

    def carry(source, target):
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 16):
                target.sendall(chunk)
            target.shutdown(harness.socket.SHUT_WR)

    back = threading.Thread(target=carry, args=(other, one), daemon=True)
    back.start()
    carry(one, other)
    back.join(harness.DEADLINE)


class Socks:
    """A SOCKS5 proxy; with a user, or one that answers with a certain reply."""

    def __init__(self, peer, far_port, *, user=None, reply=0):
        self.far_port, self.user, self.reply = far_port, user, reply
        self.logins, self.asked = [], []
        self.peer = peer(self._script)
        self.port = self.peer.port

    def _script(self, connection, _):
        with contextlib.suppress(ConnectionError, AssertionError):
            self._talk(connection)

    def _talk(self, connection):
        methods = receive_exactly(connection, receive_exactly(connection, 2)[1])
        method = 2 if self.user else 0
        if method not in methods:
            connection.sendall(b"\x05\xff")
            return
        connection.sendall(bytes([5, method]))
        if self.user:
            name = receive_exactly(connection, receive_exactly(connection, 2)[1])
            password = receive_exactly(connection, receive_exactly(connection, 1)[0])
            self.logins.append((name.decode(), password.decode()))
            right = self.logins[-1] == self.user
            connection.sendall(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return
        kind = receive_exactly(connection, 4)[3]
        length = {1: 4, 4: 16}.get(kind) or receive_exactly(connection, 1)[0]
        self.asked.append((kind, receive_exactly(connection, length), receive_exactly(connection, 2)))
        connection.sendall(bytes([5, self.reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        if self.reply == 0:
            with harness.dial(f"tcp://127.0.0.1:{self.far_port}") as far:
                tunnel(connection, far)


def assert_no_secret(*texts):
    for text in texts:
        text = text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")
        for secret in SECRETS:
            assert secret not in text, text


def test_through(sonde, peer, echo_peer):
    proxy = Socks(peer, echo_peer.port)
    result = sonde.connect("--proxy", f"socks5://127.0.0.1:{proxy.port}", echo_peer.url, input=b"hello")
    assert (result.status, result.out, result.err) == (0, b"hello", "")
    assert proxy.asked == [(1, b"\x7f\0\0\1", echo_peer.port.to_bytes(2, "big"))]


def test_a_name_for_the_proxy_to_look_up(sonde, peer, echo_peer):
    proxy = Socks(peer, echo_peer.port)
    options = ["-v", "--proxy", f"socks5h://127.0.0.1:{proxy.port}"]
    result = sonde.connect(*options, "far.invalid", echo_peer.port, input=b"hello")
    assert (result.status, result.out) == (0, b"hello")
    assert proxy.asked[0][:2] == (3, b"far.invalid")
    assert f"-> tcp://far.invalid:{echo_peer.port}" in result.err.splitlines()[0]


@pytest.mark.parametrize("where", ["argument", "environment"])
def test_the_password_is_seen_nowhere(sonde, peer, echo_peer, tmp_path, monkeypatch, where):
    proxy = Socks(peer, echo_peer.port, user=(USER, PASSWORD))
    user = f"{USER}:{ENCODED}@" if where == "argument" else ""
    if where == "environment":
        monkeypatch.setenv("SONDE_PROXY_USER", f"{USER}:{PASSWORD}")
    path = tmp_path / "events"
    options = ["-v", "--json", "--calls", "--trace", "--trace-json", path]
    process = sonde.start_connect(*options, "--proxy", f"socks5://{user}127.0.0.1:{proxy.port}", echo_peer.url)
    process.feed(b"hello")
    process.out.wait_match('"direction":"in"')
    cmdline = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.end_input()
    assert process.wait() == 0, process
    assert proxy.logins == [(USER, PASSWORD)]
    assert b"--proxy" in cmdline
    assert_no_secret(cmdline, process.out.text, process.err.text, path.read_bytes())
    harness.strict_json_lines(process.out.data)
    assert '"hello"' in process.err.text, "what is sent after the login is shown by --calls"


def test_the_address_s_user_is_taken_before_the_environment_s(sonde, peer, echo_peer, monkeypatch):
    monkeypatch.setenv("SONDE_PROXY_USER", "alice:wonderland")
    proxy = Socks(peer, echo_peer.port, user=(USER, PASSWORD))
    result = sonde.connect("--proxy", f"socks5://{USER}:{ENCODED}@127.0.0.1:{proxy.port}", echo_peer.url, input=b"x")
    assert (result.status, result.out) == (0, b"x")


def test_a_user_that_cannot_be_one(sonde, monkeypatch):
    for text in (":password", "u" * 256 + ":p", "u:" + "p" * 256):
        monkeypatch.setenv("SONDE_PROXY_USER", text)
        result = sonde.connect("--proxy", "socks5://127.0.0.1:1", "127.0.0.1", "7")
        assert result.status == 2
        sentence = one_sentence(result.err)
        assert "SONDE_PROXY_USER" in sentence and text not in sentence


def failing(sonde, *options, status=1):
    result = sonde.connect(*options, stdin=subprocess.DEVNULL)
    assert (result.status, result.out) == (status, b""), result.process
    assert_no_secret(result.err)
    return one_sentence(result.err)


def test_the_proxy_is_not_there(sonde):
    port = harness.free_port()
    sentence = failing(sonde, "--proxy", f"socks5://{USER}:{ENCODED}@127.0.0.1:{port}", "192.0.2.1", "80")
    assert sentence.startswith(f"127.0.0.1:{port} refused the connection") and "proxy" in sentence


def test_the_proxy_s_name_does_not_resolve(sonde):
    sentence = failing(sonde, "--proxy", "http://proxy.invalid:3128", "192.0.2.1", "80")
    assert "proxy.invalid" in sentence and "proxy can't be reached" in sentence


def test_the_far_end_s_name_does_not_resolve(sonde, peer):
    proxy = Socks(peer, 0)
    sentence = failing(sonde, "--proxy", f"socks5://127.0.0.1:{proxy.port}", "far.invalid", "80")
    assert "far.invalid" in sentence and "resolve" in sentence and str(proxy.port) not in sentence


def test_the_proxy_refuses_us(sonde, peer):
    proxy = Socks(peer, 0, user=("alice", "wonderland"))
    url = f"127.0.0.1:{proxy.port}"
    sentence = failing(sonde, "--proxy", f"socks5://{url}", "192.0.2.1", "80")
    assert f"through the proxy {url}" in sentence and "user and a password" in sentence
    sentence = failing(sonde, "--proxy", f"socks5://{USER}:{ENCODED}@{url}", "192.0.2.1", "80")
    assert f"through the proxy {url}" in sentence and "refused the user and the password" in sentence


@pytest.mark.parametrize("reply, words", [(1, "general failure"), (4, "host unreachable"), (5, "connection refused")])
def test_the_proxy_cannot_reach_the_far_end(sonde, peer, reply, words):
    proxy = Socks(peer, 0, reply=reply)
    sentence = failing(sonde, "--proxy", f"socks5h://127.0.0.1:{proxy.port}", "far.invalid", "80")
    assert "tcp://far.invalid:80" in sentence and f"through the proxy 127.0.0.1:{proxy.port}" in sentence
    assert words in sentence and "can't reach it" in sentence


def test_an_http_proxy_s_status(sonde, peer):
    def script(connection, _):
        with contextlib.suppress(ConnectionError):
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

    proxy = peer(script)
    sentence = failing(sonde, "--proxy", f"http://{USER}:{ENCODED}@127.0.0.1:{proxy.port}", "far.invalid", "80")
    assert "407" in sentence and "through the proxy" in sentence
    harness.assert_printable(sentence.encode())


def test_json_of_a_failure(sonde, peer):
    proxy = Socks(peer, 0, reply=5)
    options = ["--json", "--proxy", f"socks5h://{USER}:{ENCODED}@127.0.0.1:{proxy.port}"]
    result = sonde.connect(*options, "far.invalid", "80", stdin=subprocess.DEVNULL)
    (event,) = harness.strict_json_lines(result.out)
    assert (result.status, event["event"], event["url"]) == (1, "closed", "tcp://far.invalid:80")
    assert_no_secret(result.out, result.err)


@pytest.mark.parametrize(
    "url", [f"ftp://{USER}:{ENCODED}@h", f"socks5://{USER}:{ENCODED}@h:port", f"socks5://{USER}:{ENCODED}@"]
)
def test_an_address_that_is_not_understood(sonde, url):
    sentence = failing(sonde, "--proxy", url, "192.0.2.1", "80", status=2)
    assert "--proxy" in sentence


def test_expect_and_verify_work_through_it(sonde, peer, echo_peer):
    proxy = Socks(peer, echo_peer.port)
    options = ["--proxy", f"socks5://127.0.0.1:{proxy.port}", "--send", "hello"]
    assert sonde.connect(*options, "--verify-echo", echo_peer.url).status == 0
    assert sonde.connect(*options, "--expect", "ell", echo_peer.url).status == 0
