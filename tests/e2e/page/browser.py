# SPDX-License-Identifier: MIT
"""A browser that looks at the page: headless Chromium, driven by Selenium, one for all tests of a run (of a worker's, where
tests run side by side).

What is on the page is found as a person finds it: by the words on a button, by the address in a row, by what a screen
reader would say of a segment.
"""

import contextlib
import http.server
import os
import pathlib
import re
import threading

import pytest

import harness

COLOURS = ("color-contrast", "link-in-text-block")  # axe-core's rules about colours
PAGE_FROM_ELSEWHERE = b"<!doctype html><title>elsewhere</title><body>elsewhere</body>"
SIZES = {1440: 900, 1024: 768, 420: 900}

# Before any script of a page runs: whoever opens a dialog, or does what the policy forbids, is written down.
WITNESS = """
window.witnessed = [];
for (const name of ["alert", "confirm", "prompt", "print"])
  window[name] = (text) => { window.witnessed.push(`${name}(${text})`); };
document.addEventListener("securitypolicyviolation", (event) =>
  window.witnessed.push(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample} ${event.sourceFile}:${event.lineNumber}`));
window.addEventListener("error", (event) => window.witnessed.push(`error: ${event.message}`));
window.addEventListener("unhandledrejection", (event) => window.witnessed.push(`rejected: ${event.reason}`));
"""

# What a peer's bytes must not have become.
INJECTED = """
const found = [];
for (const element of document.querySelectorAll("script, iframe, object, embed, base, img, style, link, form[action]")) {
  const url = element.src || element.href || "";
  if (element.matches("script") && url === location.origin + "/page.js") continue;
  if (element.matches("link") && [location.origin + "/page.css", location.origin + "/favicon.svg"].includes(url)) continue;
  if (element.matches("img") && url.startsWith("blob:")) continue;
  found.push(element.outerHTML.slice(0, 200));
}
for (const element of document.querySelectorAll("*"))
  for (const attribute of element.attributes)
    if (attribute.name.startsWith("on") || /^\\s*javascript:/i.test(attribute.value)) found.push(element.outerHTML.slice(0, 200));
return found;
"""


# What can be seen of these elements, each with its words: one look for all, because each question to a browser takes a while.
NAMED = """
const [css, pattern] = arguments, like = new RegExp(pattern, "i");
return [...document.querySelectorAll(css)].filter((e) => {
  if (!e.checkVisibility({visibilityProperty: true, opacityProperty: true}) || !e.getClientRects().length) return false;
  const label = e.labels?.[0]?.textContent || e.title || e.placeholder || "";
  return like.test((e.getAttribute("aria-label") || (e.matches("input") ? "" : e.innerText) || label).trim());
});
"""


@pytest.fixture(scope="session")
def chromium():
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    # evil.example is a name that its owner has made to lead here: what is called DNS rebinding.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                     "--disable-background-networking", "--host-resolver-rules=MAP evil.example 127.0.0.1",
                     "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
                     "--force-device-scale-factor=1", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.set_capability("unhandledPromptBehavior", "ignore")
    try:
        driver = webdriver.Chrome(service=service.Service("/usr/bin/chromedriver"), options=options)
    except Exception as error:  # whatever Selenium says about a browser that is not there
        pytest.skip(f"no Chromium: {str(error).splitlines()[0]}")
    driver.set_page_load_timeout(harness.DEADLINE)
    driver.set_script_timeout(harness.DEADLINE)
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WITNESS})
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, started):  # pylint: disable=unused-argument
    """A fresh tab in it; when the test is over, its console must have no complaint that was not read by the test. (It is closed
    before what the test has started is ended: that a server has gone would be a complaint.)"""
    made = Browser(chromium)
    made.begin()
    yield made
    made.end()


@pytest.fixture
def elsewhere():
    """Another server on this machine, whose page is not ours: its URL."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE_FROM_ELSEWHERE)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join(harness.DEADLINE)


class Browser:
    """The browser of one test."""

    def __init__(self, driver):
        self.driver = driver
        self._forgiven = []

    def begin(self):
        with contextlib.suppress(Exception):
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        self.driver.get("about:blank")
        self.emulate(1440)
        self.console()

    def emulate(self, width, *, dark=False, height=None):
        """A window of that width, with light or dark colours."""
        metrics = {"width": width, "height": height or SIZES[width], "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def looks(self, width):
        """By day and by night: light colours, then dark ones, of what is open. They are the style sheet's business alone."""
        for dark in (False, True):
            self.emulate(width, dark=dark)
            yield dark

    def open(self, address, ready=True):
        """Open a page's URL as it was printed."""
        # Another fragment alone would load nothing.
        self.driver.get("about:blank")
        self.driver.get(address if isinstance(address, str) else address.url)
        page = Page(self.driver)
        if ready:
            page.wait_ready()
        return page

    def console(self):
        """What it complained of since this was last asked."""
        return [f"{row['level']} {row['message']}" for row in self.driver.get_log("browser")
                if row["level"] in ("SEVERE", "WARNING")]  # fmt: skip

    def forgive(self, pattern):
        """Complaints like that are what this test brings about."""
        self._forgiven.append(re.compile(pattern))

    def end(self):
        witnessed = self.driver.execute_script("return window.witnessed || []")
        said = [line for line in [*self.console(), *witnessed] if not any(p.search(line) for p in self._forgiven)]
        self.driver.get("about:blank")  # its feed is closed with it
        assert not said, "the browser complains:\n" + "\n".join(said)


class Page:
    """The page, opened."""

    def __init__(self, driver):
        self.driver = driver

    # looking

    def find(self, css):
        from selenium.webdriver.common.by import By

        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def html(self):
        return self.driver.execute_script("return document.documentElement.outerHTML")

    def text(self, css="body"):
        """What is written there for people, hidden parts left out."""
        return self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility()).map((e) => e.innerText).join('\\n')", css
        )

    def wait(self, look, what):
        return harness.wait_until(look, f"{what}; the page says:\n{self._excerpt}")

    @property
    def _excerpt(self):
        return self.text()[:3000]

    def wait_text(self, css, pattern, flags=0):
        """Until it is written there; the match."""
        compiled = re.compile(pattern, flags | re.M)
        try:
            return harness.wait_until(lambda: compiled.search(self.text(css)), f"{css} says /{pattern}/")
        except AssertionError as error:
            raise AssertionError(f"{error}; it says:\n{self.text(css)[:3000]}") from None

    def wait_ready(self):
        """It is connected: an overview was shown."""
        try:
            harness.wait_until(lambda: re.search(r"(?i)connections\s+\d", self.text("#header")), "the page is connected")
        except AssertionError as error:
            logs = self.driver.get_log("browser")
            raise AssertionError(f"{error}; it says:\n{self.text()[:2000]}\nand the console: {logs}") from None

    def assert_harmless(self):
        """No element, attribute or dialog has come out of a peer's bytes, and no character that people don't see."""
        assert not self.driver.execute_script(INJECTED)
        assert not self.driver.execute_script("return window.witnessed || []")
        text = self.driver.execute_script(
            """return [document.documentElement.textContent, ...[...document.querySelectorAll("*")].flatMap((e) =>
                 [...e.attributes].filter((a) => a.name !== "value").map((a) => a.value)), document.title].join("\\n")"""
        )
        for at, char in enumerate(text):
            bad = ord(char) < 0x20 and char not in "\n\t\r" or 0x7F <= ord(char) < 0xA0 or char in harness.BIDI
            around = text[max(0, at - 200) : at + 100]
            assert not bad and char not in "\u2028\u2029\ufeff\u200b", f"U+{ord(char):04X} in {around!r}"

    # finding things to operate

    def named(self, name, css="button, a, summary, input, select, textarea, [role]", within="body"):
        """Elements whose accessible name (or words) are like that, that can be seen."""
        css = ", ".join(f"{within} {one.strip()}" for one in css.split(","))
        found = []
        for element in self.driver.execute_script(NAMED, css, name):
            with contextlib.suppress(Exception):  # gone meanwhile
                if element.is_displayed():
                    found.append(element)
        return found

    def button(self, name, within="body"):
        """The button with that name, as soon as it can be pressed."""

        def look():
            return [one for one in self.named(name, "button, [role=button], summary", within) if one.is_enabled()]

        return harness.wait_until(look, f"a button /{name}/ in {within}; it says:\n{self.text(within)[:1500]}")[0]

    def press(self, name, within="body"):
        self._click(lambda: self.button(name, within))

    def _click(self, find):
        """What is drawn anew at that very moment, or is moved away by what is drawn above it, is looked for again."""
        from selenium.common import exceptions

        missed = []

        def clicked():
            try:
                element = find()
                self.driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
                element.click()
                return True
            except (exceptions.StaleElementReferenceException, exceptions.ElementNotInteractableException,
                    exceptions.ElementClickInterceptedException) as error:  # fmt: skip
                missed[:] = [error]
                return False

        try:
            harness.wait_until(clicked, "it is clicked")
        except AssertionError as error:
            raise AssertionError(f"{error}; {missed}") from None

    def keys(self, *names):
        """Press keys, by name, one after the other; "CONTROL+ENTER" together."""
        from selenium.webdriver import ActionChains, Keys

        actions = ActionChains(self.driver)
        for name in names:
            *held, last = name.split("+") if "+" in name[1:] else [name]
            for key in held:
                actions.key_down(getattr(Keys, key))
            actions.send_keys(getattr(Keys, last, last))
            for key in held:
                actions.key_up(getattr(Keys, key))
        actions.perform()

    @property
    def focused(self):
        """(name, role or tag, id of the section) of what has the keyboard."""
        return self.driver.execute_script(
            """const e = document.activeElement; if (!e || e === document.body) return null;
               return [(e.getAttribute("aria-label") || e.innerText || e.labels?.[0]?.innerText || e.placeholder || "").trim().slice(0, 80),
                       e.getAttribute("role") || e.tagName.toLowerCase(), e.closest("section, header, [id]")?.id || ""];"""
        )

    # connections

    def rows(self):
        """The table's rows, each as its text."""
        return self.driver.execute_script(
            "return [...document.querySelectorAll('#conns tbody tr')].filter((r) => !r.hidden).map((r) => r.innerText)"
        )

    def row(self, peer):
        """The text of the row of that peer, as soon as it is there."""
        pattern = peer if isinstance(peer, re.Pattern) else re.compile(re.escape(peer) + r"(?!\d)")
        try:
            return harness.wait_until(lambda: [row for row in self.rows() if pattern.search(row)], f"a row of {peer}")[0]
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {self.rows()[:20]}; the page:\n{self._excerpt}") from None

    def row_element(self, peer):
        pattern = peer if isinstance(peer, re.Pattern) else re.compile(re.escape(peer) + r"(?!\d)")

        def look():
            rows = self.driver.execute_script(
                "return [...document.querySelectorAll('#conns tbody tr')].filter((r) => !r.hidden).map((r) => [r, r.innerText])"
            )
            return [row for row, words in rows if pattern.search(words)]

        return harness.wait_until(look, f"a row of {peer} in {self.rows()}")[0]

    def open_row(self, peer):
        """Open it as people do: with a click on its name."""
        from selenium.webdriver.common.by import By

        self.row(peer)
        self._click(lambda: self.row_element(peer).find_element(By.CSS_SELECTOR, "a, button"))
        self.wait_opened(peer)

    def wait_opened(self, peer):
        pattern = peer.pattern if isinstance(peer, re.Pattern) else re.escape(peer)
        self.wait_text("#opened", pattern)

    def filter_box(self):
        return harness.wait_until(lambda: self.find("#conns input"), "the filter's box")[0]

    def filter(self, text):
        """In place of what stands there, and Enter."""
        self.filter_box().click()
        self.keys("CONTROL+a", "BACKSPACE")
        self.keys(*text, "ENTER")

    # the ladder

    def segments(self):
        """What a screen reader says of each segment, in their order."""
        return self.driver.execute_script(
            "return [...document.querySelectorAll('#ladder [aria-label]')].map((e) => e.getAttribute('aria-label'))"
            ".filter((text) => /^segments? \\d/.test(text))"
        )

    def segment(self, number):
        """What is said of that segment, as soon as it is drawn."""
        pattern = re.compile(rf"^segments? (?:\d+, )*{number}\b")
        try:
            return harness.wait_until(lambda: [s for s in self.segments() if pattern.match(s)], f"segment {number}")[0]
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {self.segments()}; {self.text('#connection')[:1500]}") from None

    def show_layers(self, number):
        """Open a segment as the keyboard does; the words of its layers."""
        self.segment(number)
        harness.wait_until(
            lambda: self.driver.execute_script(
                "const e = [...document.querySelectorAll('#ladder [aria-label]')].find((e) => new RegExp(arguments[0]).test("
                "e.getAttribute('aria-label'))); if (!e) return false; e.focus(); return document.activeElement === e;",
                rf"^segments? (\d+, )*{number}\b",
            ),
            f"segment {number} has the keyboard",
        )
        self.keys("ENTER")
        self.wait_text("#layers", rf"(?i)segment\D*{number}\b")
        return self.text("#layers")

    # messages

    def said(self, way):
        """The texts of the messages of one way: "in" or "out". (Those that are scrolled out of sight have text, too.)"""
        return self.driver.execute_script(
            "return [...document.querySelectorAll('#messages li')].filter((e) => e.classList.contains(arguments[0]))"
            ".map((e) => [...e.children].map((c) => c.textContent).join('\\n'))",
            way,
        )

    def wait_said(self, way, pattern):
        compiled = re.compile(pattern, re.M | re.S)
        try:
            return harness.wait_until(lambda: [t for t in self.said(way) if compiled.search(t)], f"{way}: /{pattern}/")[0]
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {self.said('in')} and {self.said('out')}") from None

    def message_box(self):
        def look():
            return [one for one in self.find("#messages textarea, #messages input[type=text]") if one.is_displayed() and one.is_enabled()]

        return harness.wait_until(look, f"a box to write in: {self.text('#messages')[:500]}")[0]

    def write(self, text):
        """Put that into the box, in place of what is there."""
        box = self.message_box()
        box.clear()
        box.send_keys(text)

    def as_text(self, ending=None):
        """Send as text, with that behind it: "none", or as it is written on the page."""
        self.press(r"^Text$", "#messages form")
        if ending is not None:
            self.choose("end", ending, "#messages form")

    def as_hex(self):
        self.press(r"^Hex$", "#messages form")

    def choose(self, label, words, within):
        """An option of a select, by its label's words and its own."""
        done = self.driver.execute_script(
            """const [label, words, within] = arguments;
               for (const select of document.querySelectorAll(within + " select")) {
                 const name = select.getAttribute("aria-label") || [...select.labels].map((l) => l.textContent).join(" ");
                 if (!name.toLowerCase().includes(label)) continue;
                 for (const option of select.options)
                   if (option.textContent.trim() === words) {
                     select.value = option.value;
                     select.dispatchEvent(new Event("input", {bubbles: true}));
                     select.dispatchEvent(new Event("change", {bubbles: true}));
                     return "chosen";
                   }
                 return [...select.options].map((o) => o.textContent);
               }
               return "no such select";""",
            label,
            words,
            within,
        )
        assert done == "chosen", f"{label}: {words!r}: {done}"

    def try_to_send(self):
        """Press Send, if it can be pressed."""
        for one in self.named(r"^Send\b", "button", "#messages"):
            if one.is_enabled():
                one.click()

    def choose_file(self, path):
        self.press(r"^File", "#messages form")

        def boxes():
            return self.find("#messages input[type=file]")

        harness.wait_until(boxes, "a box for files")[0].send_keys(str(path))
        self.wait_text("#messages", re.escape(path.name))

    def every(self, milliseconds, times=None):
        """On a timer."""
        ticked = self.driver.execute_script(
            """for (const box of document.querySelectorAll("#messages input[type=checkbox]"))
                 if (/every|repeat/i.test(box.getAttribute("aria-label") || box.labels[0]?.textContent || "")) {
                   if (!box.checked) box.click();
                   return true;
                 }
               return false;"""
        )
        assert ticked, "no box for a timer"
        self.fill_in(r"interval|milliseconds|^ms$|every", str(milliseconds), "#messages")
        if times is not None:
            self.fill_in(r"times|count", str(times), "#messages")

    def fill_in(self, label, text, within):
        """A box of one line, by its label."""

        def look():
            return [box for box in self.find(f"{within} input:not([type=checkbox]):not([type=file]):not([type=radio])")
                    if box.is_displayed() and re.search(label, box.accessible_name or "", re.I)]  # fmt: skip

        box = harness.wait_until(look, f"a box /{label}/ in {within}")[0]
        box.clear()
        box.send_keys(text)

    def save_message(self, name):
        self.press(r"^Save\b", "#messages form")

        def boxes():
            return [box for box in self.find("#messages form input") if box.is_displayed() and "name" in (box.accessible_name or "")]

        box = harness.wait_until(boxes, "a box for its name")[0]
        box.clear()
        box.send_keys(name)
        self.keys("ENTER")
        self.wait(lambda: name in self.options("#messages"), f"{name} is among the saved messages")

    def options(self, within):
        return self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0] + ' option, ' + arguments[0] + ' li button')].map((e) => e.textContent.trim())", within
        )

    def take_saved(self, name):
        self.wait(lambda: name in self.options("#messages"), f"{name} is among the saved messages")
        self.choose("saved", name, "#messages")

    def confirm(self):
        """Where it is asked whether it is meant."""
        for one in self.named(r"^(yes|kick|reset|half.close|do it)", "dialog[open] button", "body"):
            one.click()

    def unfold(self, css):
        """Open all that is folded there."""
        self.driver.execute_script(
            "for (const one of document.querySelectorAll(arguments[0] + ' details:not([open])')) one.open = true;", css
        )

    def connect_client(self):
        """The browser as a client of its own."""
        self.press(r"^(Connect|Open)", "#client")

    def client_say(self, text):
        def boxes():
            return [box for box in self.find("#client input, #client textarea") if box.is_displayed() and box.is_enabled()
                    and (box.get_attribute("type") or "text") in ("text", "textarea") and "ws://" not in (box.get_attribute("value") or "")]  # fmt: skip

        box = harness.wait_until(boxes, f"a box to write in: {self.text('#client')}")[0]
        box.send_keys(text)
        self.press(r"^Send\b", "#client")

    # the lab

    def show_lab(self):
        """Where it is folded."""
        self.unfold("#lab")
        self.wait_text("#lab", "three segments")

    def choose_experiment(self, title):
        def look():
            return self.named(rf"^{title}", "a, button, summary, [role=option], [role=tab], input[type=radio]", "#lab")

        self._click(lambda: harness.wait_until(look, f"{title} can be chosen in {self.text('#lab')[:1500]}")[0])

    def predict(self, words):
        def boxes():
            return [box for box in self.find("#lab input") if box.is_displayed() and box.get_attribute("type") in ("text", "number", "")]

        box = harness.wait_until(boxes, f"a box for the prediction: {self.text('#lab')[:1500]}")[0]
        box.send_keys(words)

    # accessibility

    def axe(self, *rules, without=()):
        """What axe-core finds wrong, by these rules or by all that it has, without some: [(rule, impact, element)]."""
        self.driver.set_script_timeout(harness.DEADLINE * 4)  # it looks at every letter's background
        if not self.driver.execute_script("return 'axe' in window"):
            self.driver.execute_script(axe_source())
        found = self.driver.execute_async_script(
            """const [only, without, done] = arguments;
               const rules = Object.fromEntries(without.map((rule) => [rule, {enabled: false}]));
               axe.run(document, {resultTypes: ["violations"], rules, ...(only.length ? {runOnly: only} : {})}).then(
                 (result) => done(result.violations.map(
                   (v) => [v.id, v.impact, v.nodes.map((n) => n.target.join(" ") + ": " + n.html.slice(0, 160) + " -- " + n.failureSummary.slice(0, 300))])),
                 (error) => done([["axe failed", "", [String(error)]]]));""",
            rules,
            without,
        )
        return [f"{rule} ({impact}): {node}" for rule, impact, nodes in found for node in nodes[:5]]


def axe_source():
    """axe-core, as npm has put it beside the page's sources or into a build of them."""
    made_in = os.path.join("src", "page", "web", "work", "web", "node_modules")  # of a build
    places = [harness.ROOT / "src/page/web/node_modules", *sorted(harness.ROOT.glob(f"build*/{made_in}"))]
    if os.environ.get("SONDE"):
        places.insert(0, pathlib.Path(os.environ["SONDE"]).resolve().parent / made_in)
    for place in places:
        if (place / "axe-core/axe.min.js").exists():
            return (place / "axe-core/axe.min.js").read_text(encoding="utf-8")
    pytest.skip("axe-core is not there: npm ci in src/page/web")
    return None
