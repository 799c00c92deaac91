# SPDX-License-Identifier: MIT
"""A real browser (headless Chromium, driven by Selenium) against `sonde serve echo any://`: a page of its own may use it, no
other page may, whatever name it goes by."""

import contextlib
import http.server
import re
import threading

import pytest

import harness

# The browser is not what is built here.
pytestmark = pytest.mark.ordinary_build

SOCKET = """
const [url, text, done] = arguments;
const said = {messages: [], opened: false};
let socket;
try { socket = new WebSocket(url); } catch (error) { done({...said, refused: String(error)}); }
socket.binaryType = 'arraybuffer';
socket.onopen = () => { said.opened = true; socket.send(text); socket.send(new Uint8Array([0, 1, 255])); };
socket.onmessage = (event) => {
  said.messages.push(typeof event.data === 'string' ? event.data : Array.from(new Uint8Array(event.data)));
  if (said.messages.length === 2) socket.close(1000, 'enough');
};
socket.onclose = (event) => done({...said, code: event.code, clean: event.wasClean, extensions: socket.extensions});
"""

FETCH = """
const [url, options, done] = arguments;
fetch(url, options).then(async (answer) => done({status: answer.status, text: await answer.text()}),
                         (error) => done({error: String(error)}));
"""


@pytest.fixture
def browser(chromium):
    """The browser, on a page of nobody's before and after."""
    chromium.get("about:blank")
    yield chromium
    chromium.get("about:blank")


@contextlib.contextmanager
def a_page_from_elsewhere():
    """Another server on this machine, whose page is not ours."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title>")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(harness.DEADLINE)


@pytest.fixture
def server(sonde):
    return sonde.serve("echo", url="any://127.0.0.1:0")


def test_the_address_bar(browser, server):
    browser.get(f"http://127.0.0.1:{server.port}/")
    text = browser.find_element("tag name", "body").text
    assert "127.0.0.1" in text and str(server.port) in text, text
    assert "Chrome" in text, text  # its own request is among the facts


def test_a_page_of_its_own_may_talk(browser, server):
    browser.get(f"http://127.0.0.1:{server.port}/")
    said = browser.execute_async_script(SOCKET, f"ws://127.0.0.1:{server.port}/x?y=1", "grüß dich \U0001f44b")
    assert said["messages"] == ["grüß dich \U0001f44b", [0, 1, 255]], said
    assert said["code"] == 1000 and said["clean"], said
    assert "permessage-deflate" in said["extensions"], said
    posted = browser.execute_async_script(FETCH, "/post", {"method": "POST", "body": "a body"})
    assert posted == {"status": 200, "text": "a body"}
    server.out.wait_match(r"closed .*Close 1000")


def test_another_page_may_not(browser, server):
    with a_page_from_elsewhere() as elsewhere:
        browser.get(elsewhere)
        said = browser.execute_async_script(SOCKET, f"ws://127.0.0.1:{server.port}/", "hello")
        assert not said["opened"] and not said["messages"] and said["code"] == 1006, said
        posted = browser.execute_async_script(
            FETCH, f"http://127.0.0.1:{server.port}/", {"method": "POST", "body": "a body", "mode": "no-cors"})
        assert posted.get("text", "") == "", posted
    refused = [line for line in server.out.lines if re.search("refused.*Origin", line)]
    assert len(refused) >= 2, server.out.text
    assert "opened" not in server.out.text


def test_another_page_may_when_it_is_allowed(sonde, browser):
    with a_page_from_elsewhere() as elsewhere:
        server = sonde.serve("echo", "--allow-origin", elsewhere.rstrip("/"), url="any://127.0.0.1:0")
        browser.get(elsewhere)
        said = browser.execute_async_script(SOCKET, f"ws://127.0.0.1:{server.port}/", "hello")
        assert said["messages"] == ["hello", [0, 1, 255]], said


def test_a_name_that_leads_here(browser, server):
    # Its owner's page comes from elsewhere, and without the policy of a refusal.
    browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    try:
        browser.get(f"http://evil.example:{server.port}/")
        said = browser.execute_async_script(SOCKET, f"ws://evil.example:{server.port}/", "hello")
    finally:
        browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": False})
    assert not said["opened"] and not said["messages"], said
    server.out.wait_match("refused .*Host")
    assert "opened" not in server.out.text
