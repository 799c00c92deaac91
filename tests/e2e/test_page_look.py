# SPDX-License-Identifier: MIT
"""How the page looks: at three widths, light and dark. What a program can judge is judged here (nothing overlaps, nothing sticks
out, nothing jumps, all text can be read); the pictures are for people: in pytest's folder, and in SONDE_SCREENSHOTS."""

import base64
import os
import pathlib
import re

import pytest

import harness
from captures import netns, scenarios
from harness import text_address, wait_until
from page.browser import COLOURS, SIZES, browser  # noqa: F401 (fixtures)
from page.feed import ANY_PORT, address_of

# How it looks does not depend on how sonde was built.
pytestmark = pytest.mark.ordinary_build

# The main regions that are shown, with their boxes; those that lie inside another are its parts.
REGIONS = """
return ["header", "notice", "attention", "listeners", "lab", "conns", "connection", "messages", "client"].map((id) => {
  const e = document.getElementById(id);
  if (!e || !e.checkVisibility()) return null;
  const r = e.getBoundingClientRect();
  return r.width && r.height ? [id, r.left, r.top + scrollY, r.right, r.bottom + scrollY, getComputedStyle(e).position] : null;
}).filter((row) => row)
"""

# Text that is cut off without saying so, and controls that lie on each other.
CUT = """
const found = [];
for (const e of document.querySelectorAll("h1, h2, h3, button, label, legend, summary, th, dt, dd, p")) {
  if (!e.checkVisibility({checkVisibilityCSS: true}) || !e.innerText.trim()) continue;
  const s = getComputedStyle(e);
  if (s.position === "absolute" && e.getBoundingClientRect().width <= 1) continue;
  if (s.overflowX !== "visible" && s.textOverflow !== "ellipsis" && e.scrollWidth > e.clientWidth + 1)
    found.push(`${e.tagName} ${e.innerText.slice(0, 60)}: ${e.scrollWidth} in ${e.clientWidth}`);
}
// What of it can be seen: what was scrolled out of a box is not there.
const seen = (e) => {
  const r = e.getBoundingClientRect(), box = {left: r.left, top: r.top, right: r.right, bottom: r.bottom};
  for (let p = e.parentElement; p; p = p.parentElement) {
    if (getComputedStyle(p).overflowY === "visible" && getComputedStyle(p).overflowX === "visible") continue;
    const c = p.getBoundingClientRect();
    if (p === document.body || p === document.documentElement) continue;
    box.left = Math.max(box.left, c.left), box.right = Math.min(box.right, c.right);
    box.top = Math.max(box.top, c.top), box.bottom = Math.min(box.bottom, c.bottom);
  }
  return box;
};
const controls = [...document.querySelectorAll("button, input, select, textarea")].filter((e) => e.checkVisibility({checkVisibilityCSS: true}));
const boxes = controls.map(seen);
for (let i = 0; i < boxes.length; i++)
  for (let j = i + 1; j < boxes.length; j++) {
    const w = Math.min(boxes[i].right, boxes[j].right) - Math.max(boxes[i].left, boxes[j].left);
    const h = Math.min(boxes[i].bottom, boxes[j].bottom) - Math.max(boxes[i].top, boxes[j].top);
    if (w > 2 && h > 2 && !controls[i].contains(controls[j]))
      found.push(`${controls[i].outerHTML.slice(0, 80)} on ${controls[j].outerHTML.slice(0, 80)}`);
  }
return found;
"""

SIDEWAYS = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth, document.body.scrollWidth]"


@pytest.fixture
def picture(request, tmp_path):
    """picture(page, name): the whole page as a picture."""

    def take(page, name, dark=False):
        driver = page.driver
        height = driver.execute_script("return Math.min(4000, Math.max(document.documentElement.scrollHeight, innerHeight))")
        width = driver.execute_script("return innerWidth")
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {
            "captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}})  # fmt: skip
        data = base64.b64decode(shot["data"])
        assert data.startswith(b"\x89PNG") and len(data) > 5000
        label = f"{name}-{request.node.callspec.id}-{'dark' if dark else 'light'}.png"
        for folder in (tmp_path, os.environ.get("SONDE_SCREENSHOTS")):
            if folder:
                pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
                (pathlib.Path(folder) / label).write_bytes(data)

    return take


def assert_tidy(page, *wanted):
    """Nothing sticks out of the window, no region lies on another, no words are cut, and everything wanted is there."""
    driver = page.driver
    whole, window, body = driver.execute_script(SIDEWAYS)
    assert whole <= window and body <= window, f"it can be scrolled sideways: {whole} in {window}; {wide(driver)}"
    regions = {row[0]: row[1:] for row in driver.execute_script(REGIONS)}
    for name in wanted:
        assert name in regions, f"{name} is not shown: {sorted(regions)}"
    names = list(regions)
    for index, one in enumerate(names):
        left, top, right, bottom, _ = regions[one]
        assert left >= -1 and right <= window + 1, f"{one} sticks out: {regions[one]}"
        for other in names[index + 1 :]:
            if "fixed" in (regions[one][4], regions[other][4]):
                continue
            width = min(right, regions[other][2]) - max(left, regions[other][0])
            height = min(bottom, regions[other][3]) - max(top, regions[other][1])
            assert width <= 1 or height <= 1, f"{one} and {other} overlap: {regions[one]} {regions[other]}"
    cut = driver.execute_script(CUT)
    assert not cut, cut


def wide(driver):
    """Who is too wide."""
    return driver.execute_script(
        "return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 10)"
        ".map((e) => e.outerHTML.slice(0, 120))"
    )


@pytest.fixture
def busy(command, started):
    """An echo server with its page, peers that are well, and one that does not read."""
    server = command.serve("echo", ANY_PORT, url="any://127.0.0.1:0")
    server.page = address_of(server)
    socks = []
    for n in range(14):
        sock = started.enter_context(harness.dial(f"tcp://127.0.0.1:{server.port}"))
        harness.round_trip(sock, b"hello %d\n" % n * (n + 1))
        socks.append(sock)
    server.deaf = started.enter_context(harness.dial(f"tcp://127.0.0.1:{server.port}", rcvbuf=4096))
    harness.fill_until_blocked(server.deaf)
    server.socks = socks
    return server


@pytest.mark.parametrize("width", SIZES)
def test_the_list(browser, busy, picture, width):
    """What one sees first."""
    browser.emulate(width)
    page = browser.open(busy.page)
    page.row(text_address(busy.socks[3].getsockname()))
    page.wait_text("#attention", re.escape(text_address(busy.deaf.getsockname())))
    for dark in browser.looks(width):
        picture(page, "list", dark)
        assert_tidy(page, "header", "attention", "listeners", "conns")
        assert_colours(page, dark)
    peers = page.driver.execute_script(
        "return [...document.querySelectorAll('#conns tbody tr')].slice(0, 5).map((r) => [...r.cells].filter((c) => c.checkVisibility())"
        ".map((c) => c.innerText))"
    )
    assert all(any(":" in cell for cell in row) and any("ESTABLISHED" in cell for cell in row) for row in peers), peers


@pytest.mark.parametrize("width", SIZES)
def test_an_opened_connection(browser, busy, picture, width):
    """A peer that does not read, with its verdict, its ladder, its plots and its messages."""
    browser.emulate(width)
    page = browser.open(busy.page)
    page.open_row(text_address(busy.deaf.getsockname()))
    page.wait_text("#opened", r"(?i)does not read|window 0")
    page.wait_text("#plots", "RTT")
    page.wait_said("in", ".")
    for dark in browser.looks(width):
        picture(page, "opened", dark)
        assert_tidy(page, "header", "conns", "connection", "messages")
        assert_colours(page, dark)
    if width == 1440:  # the send box is in view, whatever is above it
        box = page.message_box()
        assert page.driver.execute_script("const r = arguments[0].getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight", box)


@pytest.fixture(scope="module")
def loss(tmp_path_factory):
    """A capture of a loss."""
    if netns.permitted():
        pytest.skip(netns.permitted())
    return scenarios.make("loss_thrice", tmp_path_factory.mktemp("loss"))["loss_thrice"]


@pytest.mark.parametrize("width", SIZES)
def test_retransmissions(browser, command, loss, picture, width):
    """The ladder of a loss: crosses, repeats, pauses, and the layers of one of its segments."""
    trace = command.start(command.argv("trace", "-r", loss, ANY_PORT))
    browser.emulate(width)
    page = browser.open(address_of(trace))
    page.open_row(re.compile(r"10\.0\.0\.[12]:\d+"))
    page.segment(4)
    page.show_layers(5)
    for dark in browser.looks(width):
        picture(page, "retransmissions", dark)
        assert_tidy(page, "connection")
        assert_colours(page, dark)
    sizes = page.driver.execute_script(
        "return [...document.querySelectorAll('#ladder svg text')].filter((e) => e.checkVisibility() && e.textContent.trim()).map((e) =>"
        " [e.textContent, e.getBoundingClientRect().height, e.getBoundingClientRect().left, e.getBoundingClientRect().right,"
        " e.closest('svg').getBoundingClientRect().left, e.closest('svg').getBoundingClientRect().right])"
    )
    if width == 420:  # too narrow for a drawing: a list of the same
        assert not sizes and len(page.segments()) >= 8, page.segments()
        return
    assert sizes
    small = [text for text, height, *_ in sizes if height < 8]
    assert not small, f"too small to read: {small}"
    out = [row for row in sizes if row[2] < row[4] - 2 or row[3] > row[5] + 2]
    assert not out, f"outside the drawing: {out}"
    svg_box = page.driver.execute_script("const e = document.querySelector('#ladder svg'); return [e.getBoundingClientRect().width, innerWidth]")
    assert svg_box[0] <= svg_box[1], f"the ladder is wider than the window: {svg_box}"


@pytest.mark.parametrize("width", SIZES)
def test_the_lab(browser, command, picture, width):
    """A report with a table and one with a ladder."""
    lab = command.start(command.argv("lab", ANY_PORT))
    browser.emulate(width)
    page = browser.open(address_of(lab), ready=False)
    page.choose_experiment("three segments")
    page.press(r"^(Run|Predict|Start)\b", "#lab")
    page.wait_text("#lab", r"\bTRUE\b")
    for dark in browser.looks(width):
        picture(page, "lab", dark)
        assert_tidy(page, "lab")
        assert_colours(page, dark, rules=COLOURS if dark else ())


def assert_colours(page, dark, rules=COLOURS):
    """Light is light and dark is dark, and every text can be read on what is behind it."""
    colour = page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
    assert (red + green + blue < 200) == dark, colour
    found = page.axe(*rules)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("width", [1440, 1024])
def test_nothing_jumps(browser, busy, width):
    """While hundreds of events and messages come in, and connections come and go, what one is reading stays where it is."""
    browser.emulate(width)
    page = browser.open(busy.page)
    sock = busy.socks[0]
    page.open_row(text_address(sock.getsockname()))
    page.wait_said("in", "hello")
    where = """return ["#header", "#conns h2", "#conns thead", "#opened h2", "#opened", "#ladder", "#plots", "#messages h2", "#messages form"]
                 .map((css) => { const e = document.querySelector(css); const r = e && e.getBoundingClientRect();
                                 return [css, r ? [r.left, r.top + scrollY, css.endsWith("h2") ? 0 : r.width] : null]; });"""
    # What comes once is there: it makes room for itself.
    page.wait_text("#attention", re.escape(text_address(busy.deaf.getsockname())))
    page.wait_text("#plots", "RTT")
    page.wait_text("#ladder", r"recv|send")
    harness.round_trip(sock, b"settled\n")
    page.wait_said("in", "settled")
    page.wait_said("out", "settled")

    def still():
        first = page.driver.execute_script(where)
        with harness.Observation(0.5):
            pass
        return page.driver.execute_script(where) == first

    wait_until(still, "all is in its place")
    shifts = """window.shifted = []; new PerformanceObserver((list) => { for (const e of list.getEntries()) window.shifted.push(
                 [e.value, (e.sources || []).map((s) => (s.node?.outerHTML || "").slice(0, 100))]); }).observe({type: "layout-shift"});"""
    page.driver.execute_script(shifts)
    before = page.driver.execute_script(where)
    for n in range(150):
        harness.round_trip(sock, b"event %d\n" % n)
        if n % 10 == 0:
            with harness.dial(f"tcp://127.0.0.1:{busy.port}") as other:
                harness.round_trip(other, b"x")
        if n % 30 == 0:
            page.wait_said("in", f"event {n}\\b")
    page.wait_said("in", "event 149")
    after = page.driver.execute_script(where)
    moved = [(one, other) for one, other in zip(before, after)
             if one[1] and other[1] and max(abs(a - b) for a, b in zip(one[1], other[1])) > 1]  # fmt: skip
    assert not moved, moved
    shifted = page.driver.execute_script("return window.shifted")
    assert sum(value for value, _ in shifted) < 0.05, shifted


def test_reduced_motion(browser, busy):
    """Nothing moves by itself for those who asked for that."""
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]})
    page = browser.open(busy.page)
    page.open_row(text_address(busy.deaf.getsockname()))
    assert page.driver.execute_script("return document.getAnimations().filter((a) => a.playState === 'running').length") == 0


@pytest.mark.parametrize("zoom", [2])
def test_large_letters(browser, busy, picture, zoom):
    """At 200 % nothing is lost: it is laid out as on a narrow screen (WCAG 1.4.10)."""
    browser.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 1440 // zoom, "height": 900 // zoom, "deviceScaleFactor": zoom, "mobile": False},
    )
    page = browser.open(busy.page)
    page.open_row(text_address(busy.deaf.getsockname()))
    picture(page, "large")
    assert_tidy(page, "header", "conns", "connection", "messages")
