# SPDX-License-Identifier: MIT
"""--page in a real browser (headless Chromium, driven by Selenium), as somebody uses it who debugs a device: what is shown is
compared with what peers really do, and what is clicked with what they really get."""

import os
import re
import signal
import socket
import threading

import pytest

import harness
import ws_suite
from captures import netns, scenarios
from harness import receive_exactly, text_address, wait_until
from page.browser import COLOURS, SIZES, browser  # noqa: F401 (fixtures)
from page.feed import ANY_PORT, Feed, address_of, part

capturing = pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root here")


@pytest.fixture
def server(command):
    """An echo server with its page."""
    made = command.serve("echo", ANY_PORT, url="any://127.0.0.1:0")
    made.page = address_of(made)
    return made


@pytest.fixture
def nc(command, server, tool):
    """nc, connected to the echo server, with its name as the server has it."""
    before = clients(server.port)
    process = command.start([tool("nc"), "127.0.0.1", str(server.port)])
    process.name = wait_until(lambda: clients(server.port) - before, "nc is connected").pop()
    return process


def clients(port):
    """The addresses of who is connected to that port of 127.0.0.1: the same one of ::1 may be another server's."""
    rows = harness.tcp_table(peer_port=port)
    return {text_address(row.local) for row in rows if row.state == "ESTABLISHED" and row.peer[0] == "127.0.0.1"}


@pytest.fixture
def client(server):
    """A client of Python's own."""
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        yield sock


def name_of(sock):
    return text_address(sock.getsockname())


# --- opening it -------------------------------------------------------------------------------------------------------


def test_the_url_that_is_printed(browser, command):
    """It is all that is needed: the page comes, says what it is looking at, hides the token, and survives a reload."""
    server = command.serve("echo", "--page", url="any://127.0.0.1:0")
    server.page = address_of(server)
    page = browser.open(server.page)
    assert str(server.port) in page.text("#header") + page.text("#listeners")
    assert "echo" in page.text("#header") and "sonde" in page.text("#header").lower()
    assert browser.driver.current_url.rstrip("#") == f"{server.page.origin}/"
    assert browser.driver.title.startswith("sonde")
    browser.driver.refresh()
    page.wait_ready()
    assert server.page.token not in browser.driver.current_url
    browser.driver.get(server.page.url)  # the same once more, as from a terminal
    page.wait_ready()


def test_it_is_whole_without_a_network(browser, server):
    """All that it loads comes from sonde."""
    browser.open(server.page)
    loaded = browser.driver.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert loaded and all(url.startswith((server.page.origin, server.page.feed)) for url in loaded), loaded


def test_rights_are_said(browser, server, command):
    """Who looks at it sees what he may do."""
    page = browser.open(server.page)
    page.wait_text("#header", r"(?i)send")
    page.wait_text("#header", r"(?i)kick")
    other = command.serve("echo", ANY_PORT, "--page-read-only", url="any://127.0.0.1:0")
    page = browser.open(address_of(other))
    page.wait_text("body", r"(?i)read.only")


# --- a connection is made, looked at, and talked to ---------------------------------------------------------------------


def test_a_row_appears(browser, server, command, tool):
    """nc connects while the page is open, and is there with its port, its state and its bytes; it goes when nc goes."""
    page = browser.open(server.page)
    assert not page.rows(), page.rows()
    process = command.start([tool("nc"), "127.0.0.1", str(server.port)])
    name = wait_until(lambda: clients(server.port), "nc is connected").pop()
    assert "ESTABLISHED" in page.row(name)
    process.feed(b"twelve bytes")
    page.wait(lambda: re.search(r"\b12\b", page.row(name)), "its bytes are counted")
    process.end_input()
    process.signal(signal.SIGTERM)
    page.wait(lambda: not [row for row in page.rows() if name in row and "ESTABLISHED" in row], "it has ended")


def own_ladder(page):
    """The segment of what this peer has said, as soon as the ladder of the row that was opened before is gone."""
    return page.wait(lambda: [one for one in page.segments() if "hello" in one], "its own ladder is drawn")[0]


@capturing
def test_the_ladder(browser, server, client):
    """A connection that is looked at: its states, and each segment with its number, flags, sequence numbers and data."""
    page = browser.open(server.page)
    harness.round_trip(client, b"first\n")
    page.open_row(name_of(client))
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:  # captured from its first segment on
        harness.round_trip(sock, b"hello\n")
        page.open_row(name_of(sock))
        own_ladder(page)
        assert re.search(r"\bS\b", page.segment(1)) and re.search(r"S\.", page.segment(2)), page.segments()
        assert "." in page.segment(3)
        assert re.search(r"P\. 1:7\(6\)", page.segment(4)) and "hello" in page.segment(4), page.segments()
        page.wait_text("#ladder", r"ESTABLISHED")
        page.wait_text("#ladder", r"accept|recv|send")
        harness.round_trip(sock, b"again\n")
        page.wait(lambda: [one for one in page.segments() if "7:13(6)" in one], "the next message is drawn")
        sock.shutdown(socket.SHUT_WR)
        page.wait(lambda: [one for one in page.segments() if re.search(r"F\.", one)], "the end is drawn")


@capturing
def test_the_layers(browser, server, client):
    """A click on a segment opens its packet: each layer, and in TCP's the sequence number that the ladder has."""
    page = browser.open(server.page)
    harness.round_trip(client, b"x")
    page.open_row(name_of(client))
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        harness.round_trip(sock, b"hello\n")
        page.open_row(name_of(sock))
        own_ladder(page)
        text = page.show_layers(4)
        for layer in ("Ethernet", "IPv4", "TCP"):
            assert layer in text, text
        feed = Feed(server.page)
        feed.open(feed.row(name_of(sock)))
        segment = feed.wait_of("events", lambda event: event["event"] == "segment" and event["number"] == 4, "segment 4")
        page.unfold("#layers")
        page.wait_text("#layers", r"(?i)seq")
        page.wait_text("#layers", str(segment["seq_raw"]))
        page.wait_text("#layers", r"(?i)68 ?65 ?6c|hello")
        feed.close()


def test_without_packets(browser, command, nobody, place):
    """Without the right to capture the page says so, and how to permit it; all the rest is there."""
    if not nobody.prefix:
        pytest.skip("this user may not capture, or may not become another")
    argv = [*nobody.prefix, nobody.binary, "serve", "echo", ANY_PORT, "any://127.0.0.1:0"]
    server = command._register(harness.Server(argv, gentle=command.sanitized))  # pylint: disable=protected-access
    page = browser.open(address_of(server))
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        harness.round_trip(sock, b"hello\n")
        page.open_row(name_of(sock))
        page.wait_said("in", "hello")
        page.wait_text("body", r"(?i)CAP_NET_RAW|captur")


def test_sending_text(browser, server, nc):
    """nc prints exactly what was typed, escapes done; the answer that nc gives stands under it."""
    page = browser.open(server.page)
    page.open_row(nc.name)
    page.as_text(ending="none")
    page.write("grüß dich\\r\\n\\x41")
    page.press(r"^Send\b", "#messages")
    nc.out.wait_for(lambda data: data == "grüß dich\r\nA".encode(), "what was sent")
    page.wait_said("out", "grüß dich")
    nc.feed(b"thanks\n")
    page.wait_said("in", "thanks")
    nc.out.wait_for(lambda data: data.endswith(b"thanks\n"), "the echo")
    page.wait_said("out", "thanks")
    assert nc.out.data == "grüß dich\r\nAthanks\n".encode()


def test_sending_hex(browser, server, nc):
    """Every byte, in hexadecimal as people write it; and both ways are shown as hexadecimal, too."""
    page = browser.open(server.page)
    page.open_row(nc.name)
    page.as_hex()
    page.write("00 01 7f 80 ff 0D0a 1b5b")
    page.press(r"^Send\b", "#messages")
    nc.out.wait_for(lambda data: data == bytes.fromhex("00017f80ff0d0a1b5b"), "these bytes")
    nc.feed(bytes.fromhex("deadbeef00"))
    page.wait_said("in", r"(?i)de ad be ef 00")
    page.wait_said("out", r"(?i)00 01 7f 80 ff 0d 0a 1b")


@pytest.mark.parametrize("wrong", ["0g", "zz", "123", "1 2 3 x"])
def test_wrong_hex(browser, server, nc, wrong):
    """Half a byte is no byte: it is said, and nothing is sent."""
    page = browser.open(server.page)
    page.open_row(nc.name)
    page.as_hex()
    page.write(wrong)
    page.wait_text("#send-preview", r"(?i)hex|digit")
    page.try_to_send()
    page.as_text(ending="none")
    page.write("after")
    page.press(r"^Send\b", "#messages")
    nc.out.wait_for(lambda data: len(data) >= 5, "what is right")
    assert nc.out.data == b"after"


def test_sending_a_file(browser, server, nc, tmp_path):
    """A file's bytes, as they are."""
    data = os.urandom(60000)
    (tmp_path / "firmware.bin").write_bytes(data)
    page = browser.open(server.page)
    page.open_row(nc.name)
    page.choose_file(tmp_path / "firmware.bin")
    page.press(r"^Send\b", "#messages")
    nc.out.wait_for(lambda got: len(got) >= len(data), "the whole file")
    assert nc.out.data == data
    page.wait_text("#messages", r"60,000")


def test_on_a_timer(browser, server, nc):
    """Every 20 ms, three times, with a counter."""
    page = browser.open(server.page)
    page.open_row(nc.name)
    page.as_text(ending=r"\n")
    page.write("PING {n}")
    page.every(20, times=3)
    page.press(r"^(Send|Start)\b", "#messages")
    nc.out.wait_for(lambda data: data.count(b"\n") >= 3, "three of them")
    first = int(re.match(rb"PING (\d+)\n", nc.out.data).group(1))
    assert nc.out.data == b"".join(b"PING %d\n" % n for n in range(first, first + 3))
    with harness.Observation(0.3):
        pass
    assert nc.out.data.count(b"\n") == 3, "it did not end"


def test_a_timer_is_stopped(browser, server, nc):
    """It goes on until somebody stops it, and can be stopped where it was started."""
    page = browser.open(server.page)
    page.open_row(nc.name)
    page.as_text(ending="none")
    page.write("x")
    page.every(50)
    page.press(r"^(Send|Start)\b", "#messages")
    nc.out.wait_for(lambda data: len(data) >= 5, "some of them")
    page.press(r"^Stop\b", "#messages")

    def quiet():
        before = len(nc.out.data)
        with harness.Observation(0.4):
            pass
        return len(nc.out.data) == before

    wait_until(quiet, "it has stopped")


def test_saved_messages(browser, server, nc):
    """A message gets a name, is there after a reload, and is sent as it was."""
    page = browser.open(server.page)
    page.open_row(nc.name)
    page.as_hex()
    page.write("01 03 00 01 00 04")
    page.save_message("Modbus read")
    browser.driver.refresh()
    page.wait_ready()
    page.open_row(nc.name)
    page.take_saved("Modbus read")
    page.press(r"^Send\b", "#messages")
    nc.out.wait_for(lambda data: data == bytes.fromhex("010300010004"), "the saved message")


def test_half_close(browser, server, nc):
    """nc sees the end of data, and what it says after that still comes."""
    page = browser.open(server.page)
    page.open_row(nc.name)
    page.press(r"half.close", "#connection")
    page.confirm()
    wait_until(lambda: server_row(server, nc).state == "FIN_WAIT2", "sent is a FIN")
    page.wait_text("#opened", r"FIN_WAIT_?2")
    nc.feed(b"still talking\n")
    page.wait_said("in", "still talking")


def server_row(server, process):
    host, _, port = process.name.rpartition(":")
    return harness.connection_row(("127.0.0.1", server.port), (host, int(port)))


def test_kick(browser, server, client):
    """The peer gets a reset, and the page says that it was the page."""
    harness.round_trip(client, b"hello\n")
    page = browser.open(server.page)
    page.open_row(name_of(client))
    page.press(r"^kick", "#connection")
    page.confirm()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert re.search("page|kick", server.wait_closed(name_of(client)).reason)
    page.wait_text("#connection", r"(?i)kick|reset|page|CLOSED")
    page.wait(lambda: not [one for one in page.named(r"^kick", "button", "#connection") if one.is_enabled()], "nothing more to kick")


def test_plots(browser, server, client):
    """Throughput, RTT, window and queues over time, with the last figure in words."""
    page = browser.open(server.page)
    harness.round_trip(client, b"x" * 100000)
    page.open_row(name_of(client))
    harness.round_trip(client, b"x" * 100000)
    page.wait_text("#plots", r"(?i)throughput|bytes/s|B/s")
    for what in ("RTT", "cwnd", "Send-Q", "Recv-Q"):
        page.wait_text("#plots", rf"(?i){what}")
    drawn = "return [...document.querySelectorAll('#plots canvas')].map((c) => { const d = c.getContext('2d').getImageData(0, 0," \
            " c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; })"  # fmt: skip
    page.wait(lambda: (counts := browser.driver.execute_script(drawn)) and all(count > 20 for count in counts), "lines are drawn")


def test_the_browser_as_a_client(browser, server):
    """The browser itself connects to the echo over WebSocket, from the page, and is a row like any other."""
    page = browser.open(server.page)
    page.connect_client()
    page.wait(lambda: [row for row in page.rows() if "ws" in row], "a row with ws")
    page.client_say("from the browser äöü")
    page.wait_text("#client", r"from the browser äöü[\s\S]*from the browser äöü")
    page.open_row(re.compile(r"\bws\b"))
    page.wait_said("in", "from the browser äöü")
    page.wait_said("out", "from the browser äöü")
    page.as_text(ending="none")
    page.write("from the page")
    page.press(r"^Send\b", "#messages")
    page.wait_text("#client", "from the page")


# --- trouble, and what is done about it ---------------------------------------------------------------------------------


def test_a_peer_that_does_not_read(browser, server, client):
    """It comes first, with the reason, and its verdict is in whole sentences."""
    with harness.dial(f"tcp://127.0.0.1:{server.port}", rcvbuf=4096) as deaf:
        name = name_of(deaf)
        harness.round_trip(client, b"x")
        harness.fill_until_blocked(deaf)
        page = browser.open(server.page)
        page.wait_text("#attention", re.escape(name))
        page.wait(lambda: [row for row in page.rows()[:1] if name in row], "it comes first")
        page.open_row(name)
        page.wait_text("#opened", r"(?i)does not read|window 0")
        page.wait_text("#connection", r"(?i)window 0|Send-Q")
        harness.reset(deaf)


def test_a_full_queue(browser, command, listen):
    """An accept queue that is full says so in words, and not in colour only."""
    listener = listen(backlog=1)
    port = listener.getsockname()[1]
    watch = command.start(command.argv("watch", ANY_PORT, f"sport = :{port}"))
    page = browser.open(address_of(watch))
    page.wait_text("#listeners", rf":{port}")
    socks = [harness.dial(f"tcp://127.0.0.1:{port}") for _ in range(2)]
    page.wait_text("#listeners", r"(?i)full")
    page.wait_text("#listeners", r"2 / 1|2 of 1")
    meters = browser.driver.execute_script(
        "return [...document.querySelectorAll('#listeners meter')].map((m) => [m.value, m.max, m.getAttribute('aria-label')])"
    )
    assert [meter for meter in meters if meter[0] == 2 and "full" in meter[2]], meters
    for sock in socks:
        sock.close()


def test_lost_and_regained(browser, command):
    """sonde dies: the page says so. It is started again, on the same port with another token: the page says what to do, and the
    new URL works in the same tab."""
    browser.forgive(r"WebSocket connection to .* failed|ERR_CONNECTION_REFUSED|Failed to load resource")
    # Nobody else may get these ports between the one server and the other.
    words = [f"--page=http://127.0.0.1:{harness.free_port()}"], f"any://127.0.0.1:{harness.free_port()}"
    server = command.serve("echo", *words[0], url=words[1])
    server.page = address_of(server)
    page = browser.open(server.page)
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        name = name_of(sock)
        page.row(name)
        server.signal(signal.SIGKILL)
        server.wait()
    page.wait_text("#notice", r"(?i)lost")
    again = command.serve("echo", *words[0], url=words[1])
    again.page = address_of(again)
    assert again.page.port == server.page.port and again.page.token != server.page.token
    page.wait_text("body", r"(?i)(open|use)\b.*\bURL\b.*\bprinted|token")
    page = browser.open(again.page)
    with harness.dial(f"tcp://127.0.0.1:{again.port}") as sock:
        page.row(name_of(sock))


def test_an_orderly_end(browser, server):
    """sonde ends: the page says so, and keeps what it shows."""
    browser.forgive(r"WebSocket connection to .* failed|ERR_CONNECTION_REFUSED")
    page = browser.open(server.page)
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        page.row(name_of(sock))
        server.signal(signal.SIGTERM)
        page.wait_text("#notice", r"(?i)ended")
    assert server.wait() == 0


def test_a_stall(browser, server, client):
    """sonde stands still (a debugger, a suspended machine) and goes on: so does the page, by itself."""
    browser.forgive(r"WebSocket connection to .* failed|ERR_CONNECTION")
    harness.round_trip(client, b"x")
    page = browser.open(server.page)
    page.open_row(name_of(client))
    server.stop()
    client.sendall(b"while it stood still\n")
    with harness.Observation(1):  # twice as long as it takes to tell of all rows
        pass
    server.go_on()
    assert receive_exactly(client, 21) == b"while it stood still\n"
    page.wait_said("in", "while it stood still")
    page.wait(lambda: not re.search(r"(?i)lost|not connected|no answer", page.text("#notice")), "it says that all is well")


# --- rights -------------------------------------------------------------------------------------------------------------


def test_read_only(browser, command):
    """Nothing to send with, nothing to kick with; and a feed that is made by hand in the page's own console gets no further."""
    server = command.serve("echo", ANY_PORT, "--page-read-only", url="any://127.0.0.1:0")
    address = address_of(server)
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        harness.round_trip(sock, b"hello\n")
        page = browser.open(address)
        page.open_row(name_of(sock))
        page.wait_said("in", "hello")
        for name in (r"^kick", r"half.close", r"^send\b"):
            for within in ("#connection", "#messages"):
                assert not [one for one in page.named(name, "button", within) if one.is_enabled()], name
        answers = browser.driver.execute_async_script(
            """const [url, token, done] = arguments;
               const socket = new WebSocket(url), answers = [];
               socket.onopen = () => socket.send(JSON.stringify({do: "hello", re: 1, token}));
               socket.onmessage = (event) => {
                 const message = JSON.parse(event.data);
                 if (message.kind === "overview" && message.rows.length && !answers.length) {
                   const id = message.rows[0].id;
                   socket.send(JSON.stringify({do: "send", re: 2, id, parts: [{data: "eA=="}], text: false, every_ms: 0, count: 0}));
                   socket.send(JSON.stringify({do: "half-close", re: 3, id}));
                   socket.send(JSON.stringify({do: "kick", re: 4, id}));
                 }
                 if (message.kind === "result") answers.push([message.re, message.ok]);
                 if (answers.length === 3) { socket.close(); done(answers); }
               };""",
            f"{address.feed}/feed",
            address.token,
        )
        assert sorted(answers) == [[2, False], [3, False], [4, False]]
        harness.round_trip(sock, b"still here\n")


# --- finding one's way ----------------------------------------------------------------------------------------------------


def test_filter(browser, server):
    """The words of sonde watch; a mistake is told beside the box, and what was shown stays."""
    socks = [harness.dial(f"tcp://127.0.0.1:{server.port}") for _ in range(3)]
    names = [name_of(sock) for sock in socks]
    page = browser.open(server.page)
    for name in names:
        page.row(name)
    page.filter(f"dst :{socks[1].getsockname()[1]}")
    page.wait(lambda: [names[1] in row for row in page.rows()] == [True], "only the one that matches")
    page.filter("state nonsense")
    page.wait_text("#conns", r"(?i)nonsense")
    assert len(page.rows()) == 1
    page.filter("")
    page.wait(lambda: len(page.rows()) == 3, "all of them")
    for sock in socks:
        sock.close()


def test_pause(browser, server, client):
    """p stops the page, and not what it looks at; what was missed comes afterwards."""
    page = browser.open(server.page)
    page.open_row(name_of(client))
    page.press(r"^pause", "#header")
    page.wait(lambda: page.named(r"pause|go on", "button[aria-pressed=true]", "#header"), "it is paused")
    before = page.rows()
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as other:
        harness.round_trip(other, b"x" * 5000)
        harness.round_trip(client, b"in the pause\n")
        with harness.Observation(1.5):
            pass
        assert len(page.rows()) == len(before) and "in the pause" not in page.text("#messages")
        page.driver.execute_script("document.activeElement.blur()")
        page.keys("p")
        page.row(name_of(other))
        page.wait_said("in", "in the pause")


def tab_to(page, accept, what, limit=400):
    """Press Tab until what has the keyboard is accepted."""
    walked = []
    for _ in range(limit):
        page.keys("TAB")
        walked.append(page.focused)
        if walked[-1] and accept(*walked[-1]):
            return walked[-1]
    raise AssertionError(f"Tab does not lead to {what}: {walked[:100]}")


@capturing
def test_the_keyboard_alone(browser, server):
    """No mouse: to the filter with /, through the table with j and the arrows, Enter opens, Tab reaches the segments, the messages, the
    send box and the buttons, Ctrl+Enter sends, Escape closes."""
    first = harness.dial(f"tcp://127.0.0.1:{server.port}")
    harness.round_trip(first, b"x")
    page = browser.open(server.page)
    page.row(name_of(first))
    page.keys("/")
    wait_until(lambda: page.focused and page.focused[2] == "conns" and page.focused[1] in ("input", "searchbox"), "the filter")
    page.keys("ESCAPE")
    page.keys("j")
    wait_until(lambda: page.focused and name_of(first) in page.focused[0], f"a row has the keyboard ({page.focused})")
    page.keys("ENTER")
    page.wait_opened(name_of(first))
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        harness.round_trip(sock, b"hello\n")
        name = name_of(sock)
        page.row(name)
        page.driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
        tab_to(page, lambda words, role, where: where == "conns" and role == "a", "the table")
        for key in ("HOME", *["ARROW_DOWN"] * 5):
            if name in page.focused[0]:
                break
            page.keys(key)
        assert name in page.focused[0], page.focused
        page.keys("ENTER")
        page.wait_opened(name)
        own_ladder(page)
        page.segment(4)
        tab_to(page, lambda words, role, where: re.match(r"segments? ", words), "a segment")
        page.keys("ARROW_DOWN", "ARROW_DOWN")
        assert re.match(r"segments? ", page.focused[0]), page.focused
        page.keys("ENTER")
        page.wait_text("#layers", "TCP")
        words, role, _ = tab_to(page, lambda words, role, where: role == "textarea", "the box for messages")
        page.keys("a", "b", "c", "CONTROL+ENTER")
        assert receive_exactly(sock, 3) == b"abc"
        page.keys("ESCAPE")
        page.driver.execute_script("document.activeElement.blur()")
        page.keys("ESCAPE")
        page.wait(lambda: not page.text("#opened").strip(), "it is closed")
    first.close()


def test_tab_goes_everywhere(browser, server, client):
    """All that can be operated is reached by Tab, in an order, and is seen to have the keyboard; there is no trap."""
    harness.round_trip(client, b"hello\n")
    page = browser.open(server.page)
    page.open_row(name_of(client))
    page.wait_said("in", "hello")
    page.keys("p")  # what comes and goes would make a walk endless
    page.driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    mark = """
        const e = document.activeElement;
        if (!e || e === document.body) return null;
        e.dataset.walked = "yes";
        const s = getComputedStyle(e), r = e.getBoundingClientRect();
        const inner = e.querySelector(".hit");
        return [e.outerHTML.slice(0, 120), (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1) ||
                (inner && getComputedStyle(inner).stroke !== "none"), r.width, r.height];"""
    walked, rounds = [], 0
    for _ in range(800):  # it may begin anywhere: until the end was passed twice
        page.keys("TAB")
        at = browser.driver.execute_script(mark)
        if at is None:
            rounds += 1
            if rounds == 2:
                break
        else:
            walked.append(at)
    else:
        raise AssertionError(f"Tab never comes round: {[one[0] for one in walked[-20:]]}")
    missed = browser.driver.execute_script(
        """return [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")].filter((e) =>
             !e.dataset.walked && !e.disabled && e.checkVisibility({checkVisibilityCSS: true}) && e.tabIndex >= 0 &&
             !(e.type === "radio" && !e.checked)).map((e) => e.outerHTML.slice(0, 160))"""
    )
    assert not missed, f"Tab does not reach {missed}"
    unseen = [one for one in walked if not one[1]]
    assert not unseen, f"the keyboard's place cannot be seen on {unseen}"


def test_help(browser, server):
    """? lists the keys."""
    page = browser.open(server.page)
    page.keys("?")
    page.wait_text("body", r"(?i)filter[\s\S]*pause|pause[\s\S]*filter")
    page.wait_text("body", r"(?i)esc")
    page.keys("ESCAPE")


# --- accessibility ------------------------------------------------------------------------------------------------------


@pytest.mark.ordinary_build  # the page is the same, however sonde was built
@pytest.mark.parametrize("width", SIZES)
def test_axe(browser, server, client, width):
    """axe-core finds nothing, neither on the list, nor with trouble opened, nor with a segment's layers. (The colours of the first
    two are looked at in test_page_look, which has the same.)"""
    with harness.dial(f"tcp://127.0.0.1:{server.port}", rcvbuf=4096) as deaf:
        harness.fill_until_blocked(deaf)
        harness.round_trip(client, b"hello\n")
        browser.emulate(width)
        page = browser.open(server.page)
        page.row(name_of(client))
        page.wait_text("#attention", r"\d")
        assert not (found := page.axe(without=COLOURS)), "the list: " + "\n".join(found)
        page.open_row(name_of(deaf))
        page.wait_said("in", ".")
        assert not (found := page.axe(without=COLOURS)), "trouble: " + "\n".join(found)
        page.open_row(name_of(client))
        page.wait_said("in", "hello")
        if os.geteuid() == 0:
            page.show_layers(int(re.search(r"\d+", own_ladder(page)).group(0)))
        assert not (found := page.axe()), "a connection: " + "\n".join(found)
        browser.emulate(width, dark=True)
        assert not (found := page.axe(*COLOURS)), "a connection, dark: " + "\n".join(found)
        harness.reset(deaf)


# --- other verbs ----------------------------------------------------------------------------------------------------------


def test_connect(browser, command, peer):
    """`connect --page`: the device's words and hex, and a box to answer with."""
    device = peer(lambda sock, _: [sock.sendall(b"\x02ready\x03"), harness.echo_script(sock, 0)])
    process = command.start_connect(ANY_PORT, device.url)
    page = browser.open(address_of(process))
    page.open_row(f":{device.port}")
    page.wait_said("in", "ready")
    page.wait_said("in", r"(?i)02 72 65 61 64 79")
    page.as_text(ending="none")
    page.write("STATUS?")
    page.press(r"^Send\b", "#messages")
    process.out.wait_for(lambda data: data.endswith(b"STATUS?"), "the device's echo on stdout")
    page.wait_said("in", r"STATUS\?")


def test_a_device_that_restarts(browser, command, peer):
    """It is refused, and then reset: each time the page says so, and connects again with a click."""
    port = harness.free_port()
    process = command.start_connect(ANY_PORT, f"tcp://127.0.0.1:{port}")
    page = browser.open(address_of(process))
    page.wait_text("#conns", "refused")
    restart = threading.Event()

    def script(sock, number):
        if number == 0:
            restart.wait(harness.DEADLINE)
            harness.reset(sock)
        else:
            harness.echo_script(sock, number)

    device = peer(script, port=port)
    page.press("^Connect again$", "#conns")
    page.wait_opened(f":{port}")
    page.wait(lambda: not page.named("^Connect again$", "button"), "nothing to connect while it is connected")
    first = page.text("#opened .ends")
    restart.set()
    page.wait_text("#opened", "reset by peer")
    page.press("^Connect again$", "#opened")
    page.wait(lambda: page.text("#opened .ends") not in (first, ""), "the new connection opens by itself")
    page.wait(lambda: device.n_connections == 2, "the device has it")
    page.as_text(ending="none")
    page.write("STATUS?")
    page.press(r"^Send\b", "#messages")
    page.wait_said("in", r"STATUS\?")
    process.signal(signal.SIGINT)
    assert process.wait() == 130


def test_watch(browser, command, echo_peer):
    """`watch --page`: other programs' sockets, with nothing to send with."""
    watch = command.start(command.argv("watch", ANY_PORT, f"sport = :{echo_peer.port} or dport = :{echo_peer.port}"))
    page = browser.open(address_of(watch))
    with harness.dial(echo_peer.url) as sock:
        harness.round_trip(sock, b"hello\n")
        page.row(name_of(sock))
        page.wait_text("#listeners", rf":{echo_peer.port}")
        page.open_row(name_of(sock))
        for within in ("#connection", "#messages"):
            assert not [one for one in page.named(r"^kick|^send\b", "button", within) if one.is_enabled()]
    page.wait(lambda: not [row for row in page.rows() if "ESTABLISHED" in row], "it is gone")


def test_a_capture(browser, command, tmp_path):
    """`trace -r FILE --page`: the ladder of the loss, with its repeats in words, and the verdict."""
    if netns.permitted():
        pytest.skip(netns.permitted())
    path = scenarios.make("loss_thrice", tmp_path)["loss_thrice"]
    trace = command.start(command.argv("trace", "-r", path, ANY_PORT))
    page = browser.open(address_of(trace))
    page.open_row(re.compile(r"10\.0\.0\.[12]:\d+"))
    page.segment(4)
    assert [one for one in page.segments() if re.search(r"again", one)], page.segments()
    page.wait_text("#connection", r"(?i)lost|again|retransmi")
    assert "IPv4" in page.show_layers(4)


def test_the_lab(browser, command):
    """`lab --page`: an experiment is chosen, predicted, run; its verdict stands beside what was said before, with its table."""
    lab = command.start(command.argv("lab", ANY_PORT))
    page = browser.open(address_of(lab), ready=False)
    page.choose_experiment("the accept queue and the half-open connections")
    page.wait_text("#lab", r"With backlog 2, five clients connect")
    assert "FALSE" not in page.text("#lab"), "the answer stands there before the question was answered"
    page.predict("5")
    page.press(r"^(Run|Predict|Start)\b", "#lab")
    page.wait_text("#lab", r"\bFALSE\b")
    text = page.text("#lab")
    assert re.search(r"backlog\s+somaxconn\s+limit", text), text
    assert re.search(r"(?i)you said\s*5|your answer[\s\S]{0,40}5|predict\w*[\s\S]{0,40}5", text), text
    assert "listen(2)" in text


def test_the_lab_draws(browser, server):
    """From another verb's page: a ladder as a picture, with a description for those who don't see it, and no script in it."""
    page = browser.open(server.page)
    page.show_lab()
    page.choose_experiment("three segments")
    page.press(r"^(Run|Predict|Start)\b", "#lab")
    page.wait_text("#lab", r"\bTRUE\b")
    pictures = page.find("#lab svg, #lab img")
    assert pictures, page.text("#lab")
    assert all(one.size["width"] > 200 for one in pictures if one.is_displayed())
    page.assert_harmless()


def test_two_browsers(browser, server, client):
    """What one viewer does, the other sees."""
    page = browser.open(server.page)
    page.open_row(name_of(client))
    feed = Feed(server.page)
    row = feed.open(feed.row(name_of(client)))
    feed.do("send", id=row["id"], parts=[part(b"from another viewer\n")], text=False, every_ms=0, count=0)
    page.wait_said("out", "from another viewer")
    feed.close()


def test_websocket_messages(browser, server):
    """Text frames are sent as text and binary ones as binary."""
    wire = ws_suite.dial_ws(f"ws://127.0.0.1:{server.port}")
    page = browser.open(server.page)
    page.open_row(text_address(wire.sock.getsockname()))
    page.as_text(ending="none")
    page.write("as text")
    page.press(r"^Send\b", "#messages")
    wire.expect("text", b"as text")
    page.as_hex()
    page.write("00ff")
    page.press(r"^Send\b", "#messages")
    wire.expect("binary", b"\x00\xff")
    wire.close()
