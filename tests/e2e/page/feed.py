# SPDX-License-Identifier: MIT
"""The page's feed as sonde-page(7) has it, spoken from Python: by a viewer that knows the token, or not."""

import base64
import json
import re
import socket
import time

import harness
import ws_suite
from ws_suite import TEXT, F

ANY_PORT = "--page=http://127.0.0.1:0"
URL = re.compile(r"(https?://(\S+?):(\d+))/#([A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])")


class Address:
    """What sonde has printed, taken apart."""

    def __init__(self, text):
        found = URL.search(text)
        assert found, f"no page's URL in {text!r}"
        self.url = found.group(0)
        self.origin = found.group(1)
        self.host = found.group(2).rpartition("//")[2]
        self.port = int(found.group(3))
        self.token = found.group(4)
        self.authority = f"{self.host}:{self.port}"
        self.feed = f"{'wss' if self.origin.startswith('https') else 'ws'}://{self.authority}"


def address_of(process):
    """The URL of its page, wherever the process has printed it."""

    def printed():
        text = (process.out.text if process.out else "") + "\n" + process.err.text
        assert process.running or URL.search(text), f"it has ended without a page: {process}"
        return URL.search(text)

    return Address(harness.wait_until(printed, f"the page's URL is printed by {process.argv}").group(0))


def strict(message):
    """One JSON object, with no name twice, no NaN, and a kind."""

    def pairs(items):
        names = [name for name, _ in items]
        assert len(set(names)) == len(names), f"a name twice: {names}"
        return dict(items)

    def constant(name):
        raise AssertionError(f"{name} is not JSON")

    row = json.loads(message.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    assert isinstance(row, dict) and isinstance(row.get("kind"), str), f"no kind: {message[:300]!r}"
    return row


class Closed(AssertionError):
    """The feed was closed while something else was expected."""

    def __init__(self, event, why):
        super().__init__(f"{ws_suite.shorten(event)} instead of {why}")
        self.event = event


def dial_feed(address, target="/feed", *, lines=(), rcvbuf=None, **keywords):
    """The WebSocket alone: nothing has been said on it."""
    family = socket.AF_INET6 if address.host.startswith("[") else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(harness.DEADLINE)
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.connect((address.host.strip("[]"), address.port))
    wire = ws_suite.dial_ws(address.feed, target, sock=sock, lines=lines, **keywords)
    wire.answers_pings = True
    return wire


class Feed:
    """A viewer. Everything that came is in `seen`, in its order."""

    def __init__(self, address, *, token=None, hello=True, **keywords):
        self.address = address
        self.wire = dial_feed(address, **keywords)
        self.seen = []
        self._re = 0
        self.welcome = None
        if hello:
            self.welcome = self.ask("hello", token=address.token if token is None else token)
            assert self.welcome["kind"] == "welcome", self.welcome

    def say(self, message):
        """Any text."""
        if not isinstance(message, (bytes, str)):
            message = json.dumps(message)
        self.wire.send(F(TEXT, message if isinstance(message, bytes) else message.encode()))

    def read(self, why="a message"):
        event = self.wire.read()
        if event[0] != "text":
            raise Closed(event, why)
        self.seen.append(strict(event[1]))
        return self.seen[-1]

    def begin(self, do, **members):
        """Ask, and do not wait."""
        self._re += 1
        self.say({"do": do, "re": self._re, **members})
        return self._re

    def answer(self, number):
        return self.wait(lambda row: row.get("re") == number, f"an answer to {number}")

    def ask(self, do, **members):
        return self.answer(self.begin(do, **members))

    def do(self, do, **members):
        """What must not be refused."""
        answer = self.ask(do, **members)
        assert answer["kind"] != "result" or answer["ok"] is True, f"{do} {members}: {answer}"
        return answer

    def refused(self, do, **members):
        """The sentence with which it is."""
        answer = self.ask(do, **members)
        assert answer["kind"] == "result" and answer["ok"] is False, f"{do} {members} was not refused: {answer}"
        sentence = answer["error"]
        assert re.match(r"\S.* .*\S$", sentence, re.S), f"not a sentence: {sentence!r}"
        harness.assert_printable(sentence.encode(), allowed="")
        return sentence

    def wait(self, accept, what, *, since=0):
        """The first message from number `since` on that is accepted, among those that came and those that come."""
        end = time.monotonic() + harness.DEADLINE
        at = since
        while True:
            while at < len(self.seen):
                if accept(self.seen[at]):
                    return self.seen[at]
                at += 1
            assert time.monotonic() < end, f"waited in vain for {what}; last came {ws_suite.shorten(self.seen[-3:])}"
            try:
                self.read(what)
            except socket.timeout:
                raise AssertionError(f"nothing comes any more; waited for {what}") from None

    def next(self, kind, accept=lambda row: True):
        """The next one from now on."""
        return self.wait(lambda row: row["kind"] == kind and accept(row), f"the next {kind}", since=len(self.seen))

    def closed(self):
        """Read to the Close frame: ("close", code, reason)."""
        end = time.monotonic() + harness.DEADLINE
        while time.monotonic() < end:
            try:
                self.read()
            except Closed as closed:
                return closed.event
        raise AssertionError("the feed goes on and on")

    def close(self):
        self.wire.sock.close()

    # what is on it

    def row(self, accept, what="such a row"):
        """A row of an overview, as soon as there is one. accept: the peer's address, or a predicate."""
        wanted = accept if callable(accept) else lambda row: row["peer"] == accept
        found = []

        def look(message):
            found[:] = [row for row in message["rows"] if wanted(row)] if message["kind"] == "overview" else []
            return found

        self.wait(look, what if callable(accept) else f"the row of {accept}", since=len(self.seen))
        return found[0]

    def open(self, row):
        """Look at it: a row, or its number."""
        opened = self.do("open", id=row if isinstance(row, int) else row["id"])
        assert opened["kind"] == "opened", opened
        return opened["row"]

    def of(self, kind):
        """All that came of "events", "messages" or "points" since the row was opened."""
        begin = max([n for n, message in enumerate(self.seen) if message["kind"] == "opened"], default=0)
        return [item for message in self.seen[begin:] if message["kind"] == kind for item in message[kind]]

    def wait_of(self, kind, accept, what):
        """Until one of them is accepted."""
        found = []

        def look(_):
            found[:] = [item for item in self.of(kind) if accept(item)]
            return found

        self.wait(look, what)
        return found[0]

    def said(self, way):
        """The bytes that the message pane has of one way."""
        return b"".join(base64.b64decode(row["data"]) for row in self.of("messages") if row["way"] == way)


def part(data):
    return {"data": base64.b64encode(data).decode()}
