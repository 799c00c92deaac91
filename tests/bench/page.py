"""What --page costs an echo server, and whether the page keeps up: 1,000 connections and 10,000 events a second.

The server runs three times within a round, with the same load at the same pace each time: alone; with the page and a
viewer that speaks the feed from Python, which counts what it is sent; with the page in headless Chromium, which counts
its own frames. What the page costs is the processor time of all the server's threads less that of the server alone, of
the same round: the pace is given, so both have served as much.

A trace needs CAP_NET_RAW; without it there are no segments, and the report says so. Chromium, Selenium and the Python
module websockets may be missing; then that part is.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

import measure

CONNECTIONS = 1000
# An echo is two calls and two or three segments.
ECHOES_PER_S = 2200
BYTES = 64
EVENTS_PER_S = 10000
SERVER_SHARE = 0.05
FRAME_MS = 50
# For connections, the browser and the sampling to settle.
SETTLE_SECONDS = 3
OPEN_SECONDS = 20
PAGE = re.compile(r"(http://127\.0\.0\.1:\d+)/#([A-Za-z0-9_-]{43})")
PORT = re.compile(r"tcp://127\.0\.0\.1:(\d+)")

# Frames as the page itself sees them: the time from one to the next, and tasks that held it up.
WATCH_FRAMES = """
window.bench = { frames: [], tasks: [], last: 0 };
const step = (now) => {
  if (bench.last) bench.frames.push(now - bench.last);
  bench.last = now;
  requestAnimationFrame(step);
};
requestAnimationFrame(step);
new PerformanceObserver((list) => { for (const entry of list.getEntries()) bench.tasks.push(entry.duration); })
  .observe({ entryTypes: ["longtask"] });
"""
READ_FRAMES = """
const found = { frames: bench.frames, tasks: bench.tasks, nodes: document.querySelectorAll("*").length,
                heap: performance.memory ? performance.memory.usedJSHeapSize : 0, text: document.body.innerText };
return found;
"""


@dataclasses.dataclass
class Run:
    """One run of the server under the load."""

    sort: str  # "alone", "viewer", "browser"
    round: int
    seconds: float = 0
    cpu_share: float = 0  # of one processor, all threads
    threads: dict = dataclasses.field(default_factory=dict)
    echoes_per_s: float = 0
    left_out: int = 0
    memory: int = 0
    feed: dict = dataclasses.field(default_factory=dict)  # kind: [messages, bytes] a second
    overview: dict = dataclasses.field(default_factory=dict)  # the last one, without its rows
    frames: list = dataclasses.field(default_factory=list)
    tasks: list = dataclasses.field(default_factory=list)
    nodes: int = 0
    heap: int = 0
    error: str = ""


@dataclasses.dataclass
class Found:
    runs: list = dataclasses.field(default_factory=list)
    can_capture: bool = True

    def of(self, sort):
        return [run for run in self.runs if run.sort == sort and not run.error]

    def extra(self, sort):
        """What it costs beyond serving, as a share of one processor, for each round that has both."""
        alone = {run.round: run.cpu_share for run in self.of("alone")}
        return [run.cpu_share - alone[run.round] for run in self.of(sort) if run.round in alone]


# --- the server and its load -----------------------------------------------------------------------------------------


def _thread_times(pid):
    times = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            times[task] = int(file.read().split()[0]) / 1e9
    return times


@contextlib.contextmanager
def _serving(sonde, with_page):
    """An echo server: its process, its port, and its page's origin and token."""
    command = [sonde, "serve", "echo", "tcp://127.0.0.1:0"] + (["--page=http://127.0.0.1:0"] if with_page else [])
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            end = time.monotonic() + measure.START_SECONDS
            port = page = None
            while not (port and (page or not with_page)):
                output.seek(0)
                said = output.read()
                port, page = PORT.search(said), PAGE.search(said)
                if process.poll() is not None or time.monotonic() > end:
                    raise measure.Failed(f"sonde did not start: {said.strip()[-300:]}")
                time.sleep(0.01)
            yield process, int(port.group(1)), page and page.groups()
        finally:
            process.terminate()
            try:
                process.wait(measure.STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def _load(bench, port, seconds, told):
    """The paced load, while it lasts; what it said at its end is put into `told`."""
    command = [bench.program("paced"), str(port), str(CONNECTIONS), str(ECHOES_PER_S), str(BYTES), str(int(seconds))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)  # fmt: skip
    try:
        if process.stdout.readline().strip() != "READY":
            raise measure.Failed(f"paced: {process.stderr.read().strip()[-300:]}")
        yield
    finally:
        process.stdin.close()
        with contextlib.suppress(ValueError):
            told.update(json.loads(process.stdout.readline() or "{}"))
        process.stdout.close()
        process.stderr.close()
        process.wait()


def _measure(run, pid, seconds):
    before, begin = _thread_times(pid), time.monotonic()
    time.sleep(seconds)
    after, run.seconds = _thread_times(pid), time.monotonic() - begin
    run.threads = {task: (after[task] - before.get(task, 0)) / run.seconds for task in after}
    run.cpu_share = sum(run.threads.values())
    run.memory = measure.user_memory(pid)


# --- those who look on -----------------------------------------------------------------------------------------------


class Viewer:
    """Speaks the feed, in a thread of its own, with one row open."""

    def __init__(self, page):
        self.origin, self.token = page
        self.kinds, self.last, self.error = {}, {}, ""
        self.counting = self.over = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join(5)

    def _run(self):
        try:
            asyncio.run(self._talk())
        except Exception as error:  # whatever the module calls a connection that has ended
            if not self.over:
                self.error = f"{type(error).__name__}: {error}"

    async def _talk(self):
        import websockets  # here, so that the rest goes without it

        url = self.origin.replace("http", "ws", 1) + "/feed"
        async with websockets.connect(url, origin=self.origin, max_size=None, compression=None) as socket:
            await socket.send(json.dumps({"do": "hello", "re": 1, "token": self.token}))
            opened = False
            while not self.over:
                try:
                    text = await asyncio.wait_for(socket.recv(), 1)
                except asyncio.TimeoutError:
                    continue
                message = json.loads(text)
                if message["kind"] == "overview":
                    self.last = message
                    if not opened and message["rows"]:
                        opened = True
                        await socket.send(json.dumps({"do": "open", "re": 2, "id": message["rows"][0]["id"]}))
                if self.counting:
                    count = self.kinds.setdefault(message["kind"], [0, 0])
                    count[0] += 1
                    count[1] += len(text)


def _browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                     "--disable-background-networking", "--enable-precise-memory-info",
                     "--window-size=1440,900"):  # fmt: skip
        options.add_argument(argument)
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    driver.set_page_load_timeout(OPEN_SECONDS)
    driver.set_script_timeout(OPEN_SECONDS)
    return driver


def _open_in(driver, page):
    """The page, with its first connection opened."""
    driver.get(f"{page[0]}/#{page[1]}")
    end = time.monotonic() + OPEN_SECONDS
    while not driver.execute_script("return document.querySelectorAll('#conns tbody tr').length"):
        if time.monotonic() > end:
            raise measure.Failed("the page shows no connection")
        time.sleep(0.1)
    driver.execute_script("document.querySelector('#conns tbody tr a').click()")


# --- taking samples --------------------------------------------------------------------------------------------------


def _take_alone(bench, sonde, run, seconds, told):
    with _serving(sonde, False) as (process, port, _), _load(bench, port, seconds + SETTLE_SECONDS + 5, told):
        time.sleep(1)
        _measure(run, process.pid, seconds)


def _take_viewer(bench, sonde, run, seconds, told):
    with _serving(sonde, True) as (process, port, page), _load(bench, port, seconds + SETTLE_SECONDS + 5, told):
        with Viewer(page) as viewer:
            time.sleep(SETTLE_SECONDS)
            viewer.counting = True
            _measure(run, process.pid, seconds)
            viewer.counting = False
        if viewer.error or not viewer.last:
            raise measure.Failed(f"the feed: {viewer.error or 'nothing came'}")
        run.feed = {kind: [n / run.seconds, size / run.seconds] for kind, (n, size) in viewer.kinds.items()}
        run.overview = {name: value for name, value in viewer.last.items() if name not in ("rows", "listeners")}


def _take_browser(bench, sonde, run, seconds, told, driver):
    with _serving(sonde, True) as (process, port, page):
        with _load(bench, port, seconds + SETTLE_SECONDS + 2 * OPEN_SECONDS, told):
            _open_in(driver, page)
            time.sleep(SETTLE_SECONDS)
            driver.execute_script(WATCH_FRAMES)
            _measure(run, process.pid, seconds)
            found = driver.execute_script(READ_FRAMES)
            run.frames, run.tasks = found["frames"], found["tasks"]
            run.nodes, run.heap = found["nodes"], found["heap"]
            run.overview = {"said": "sampled" if re.search(r"(?i)sampl|one in|some of", found["text"]) else ""}
            driver.get("about:blank")


def _one(bench, sonde, sort, number, seconds, driver, say):
    run, told = Run(sort, number), {}
    try:
        if sort == "alone":
            _take_alone(bench, sonde, run, seconds, told)
        elif sort == "viewer":
            _take_viewer(bench, sonde, run, seconds, told)
        else:
            _take_browser(bench, sonde, run, seconds, told, driver)
    except Exception as error:  # Selenium's are of many kinds; the others are measured all the same
        run.error = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
    if told:
        run.echoes_per_s, run.left_out = told["sent"] / told["seconds"], told["left_out"]
    say(f"page, {number + 1}, {sort}: {run.error or f'{run.cpu_share:.1%} of a processor'}")
    return run


def take(bench, sonde, quick, say):
    rounds, seconds = (1, 3) if quick else (3, 10)
    found, driver = Found(can_capture=os.geteuid() == 0), None
    try:
        driver = _browser()
    except Exception as error:  # no Selenium, no Chromium, no driver
        say(f"page: without a browser: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
    try:
        for number in range(rounds):
            for sort in ("alone", "viewer") + (("browser",) if driver else ()):
                found.runs.append(_one(bench, sonde, sort, number, seconds, driver, say))
    finally:
        if driver:
            driver.quit()
    return found


# --- the report ------------------------------------------------------------------------------------------------------


def failed(found):
    return found is not None and any(run.error for run in found.runs)


def _frames(found):
    return sorted(frame for run in found.of("browser") for frame in run.frames)


def _part(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


def _sampled(found):
    return [run.overview.get("sampled") for run in found.of("viewer")]


def verdicts(found, verdict):
    if found is None:
        return []
    told = []
    for sort, who in (("viewer", "a viewer of its feed"), ("browser", "a browser")):
        extra = found.extra(sort)
        target = f"the page with {who} takes less than {SERVER_SHARE:.0%} of a processor"
        met = statistics.median(extra) < SERVER_SHARE if extra else None
        told.append(verdict(target, "", met, ", ".join(f"{share:.1%}" for share in extra) or "not measured"))
    frames = _frames(found)
    told.append(verdict(f"its frames take less than {FRAME_MS} ms", "", frames[-1] < FRAME_MS if frames else None,
                        f"the longest {frames[-1]:.0f} ms" if frames else "not measured"))  # fmt: skip
    sampled = _sampled(found)
    told.append(verdict("what was sampled is said", "", all(sampled) if sampled else None,
                        (sampled[-1] or {}).get("why", "") if sampled else "not measured"))  # fmt: skip
    return told


def _median_row(name, values, form):
    if not values:
        return []
    return [f"| {name} | {form(statistics.median(values))} ({form(min(values))} to {form(max(values))}) |"]


def section(found):
    if found is None:
        return []
    viewers, browsers, frames = found.of("viewer"), found.of("browser"), _frames(found)
    share = "{:.1%}".format
    lines = [
        "",
        "## What the page costs (`serve echo --page`)",
        "",
        f"{CONNECTIONS:,} connections, {ECHOES_PER_S:,} echoes of {BYTES} bytes a second in all: about "
        f"{EVENTS_PER_S:,} calls and segments. One connection is opened. The server's processor time, all its threads, less that of the "
        "server alone in the same round; medians, lowest and highest in brackets."
        + ("" if found.can_capture else " Without the right to capture: no segments."),
        "",
        "| | |",
        "| --- | --- |",
        *_median_row("the server alone, of one processor", [run.cpu_share for run in found.of("alone")], share),
        *_median_row("the page beyond it, its feed read by a program", found.extra("viewer"), share),
        *_median_row("the page beyond it, in Chromium", found.extra("browser"), share),
        *_median_row("events/s, as the page says", [run.overview.get("events_per_s", 0) for run in viewers],
                     "{:,.0f}".format),
        *_median_row("memory of the server with the page, MiB", [run.memory / 2**20 for run in viewers + browsers],
                     "{:.0f}".format),
    ]  # fmt: skip
    for kind in sorted({kind for run in viewers for kind in run.feed}):
        n = statistics.median(run.feed.get(kind, [0, 0])[0] for run in viewers)
        size = statistics.median(run.feed.get(kind, [0, 0])[1] for run in viewers)
        lines.append(f"| feed: `{kind}` | {n:.1f}/s, {size / 1000:,.1f} kB/s |")
    if frames:
        tasks = [task for run in browsers for task in run.tasks]
        lines += [
            f"| frames of the page, ms: median, 99 %, 99.9 %, longest | {_part(frames, 0.5):.1f}, "
            f"{_part(frames, 0.99):.1f}, {_part(frames, 0.999):.1f}, {frames[-1]:.1f} (of {len(frames):,}) |",
            f"| tasks longer than 50 ms | {len(tasks)}" + (f", the longest {max(tasks):.0f} ms |" if tasks else " |"),
            *_median_row("heap of the page, MB", [run.heap / 1e6 for run in browsers], "{:.1f}".format),
            *_median_row("elements of the page", [run.nodes for run in browsers], "{:,.0f}".format),
        ]
    for sampled in _sampled(found)[-1:]:
        if sampled:
            lines += ["", f"It says: {sampled['why']} (one connection in {sampled['connections_one_in']})"]
    return lines
