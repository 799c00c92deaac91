# SPDX-License-Identifier: MIT
"""sonde lab: the verb. What the single experiments find is in tests of their own."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

import harness

ROOT = harness.ROOT
SONDE = os.path.abspath(os.environ.get("SONDE", ROOT / "build" / "sonde"))
HEADS = ["Claim", "What is done", "Question", "Evidence", "Verdict", "Settings", "By hand", "Read"]
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
PATIENCE = harness.DEADLINE * 6


def run(*arguments, prefix=(), typed="", check=None, environment=None, **more):
    done = subprocess.run([*prefix, SONDE, "lab", *arguments], input=typed, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=PATIENCE,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "80", **(environment or {})}, **more)
    if check is not None:
        assert done.returncode == check, (done.returncode, done.stdout[-2000:], done.stderr)
    return done


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def listed():
    return lines_of(run("--list", "--json", check=0).stdout)


def quick():
    """The experiment that is said to take the shortest, of those that have a claim and a wire."""
    return min((row for row in listed() if row["claims"] and row["needs_wire"]), key=lambda row: row["milliseconds"])


def namespaces_work():
    return subprocess.run(["unshare", "-Urn", "true"], stderr=subprocess.DEVNULL).returncode == 0


needs_namespaces = pytest.mark.skipif(not namespaces_work(), reason="no user namespaces here")


# --- lists


def test_list_names_everything():
    rows = listed()
    text = run(check=0).stdout
    for row in rows:
        assert re.search(rf"^  {re.escape(row['experiment'])} ", text, re.MULTILINE)
    for chapter in ["Sockets", "Opening", "Data", "Trouble", "Closing", "Layers"]:
        assert f"\n{chapter}\n" in "\n" + text
    claims = {claim for row in rows for claim in row["claims"]}
    assert claims == {f"C{n}" for n in range(1, 68)}
    assert all(claim in text for claim in claims)


def test_list_by_claim_and_chapter():
    rows = lines_of(run("--list", "--json", "--claim", "c41", check=0).stdout)
    assert rows and all("C41" in row["claims"] for row in rows)
    rows = lines_of(run("--list", "--json", "--chapter", "closing", check=0).stdout)
    assert rows and {row["chapter"] for row in rows} == {"closing"}


# --- misuse


@pytest.mark.parametrize("arguments, said", [
    (["acknowledgment"], "Did you mean sonde lab acknowledgement?"),
    (["qqqqqqqqqqqqqqqq"], "is not an experiment"),
    (["\x1b[31mred"], r"\x1b[31mred"),
    (["--claim", "C99"], "no experiment checks a claim C99"),
    (["--json", "--markdown", "all"], "exclude each other"),
    (["--list", "--predict"], "--list runs nothing"),
    (["--chapter", "nonsense"], "nonsense"),
])
def test_misuse(arguments, said):
    done = run(*arguments, check=2)
    assert said in done.stderr and "\x1b" not in done.stderr
    assert done.stdout == ""


# --- one experiment


def test_heads_stand_in_their_order():
    name = quick()["experiment"]
    text = run(name, check=0).stdout
    places = [re.search(rf"^{head}(?: |$)", text, re.MULTILINE) for head in HEADS]
    assert all(places), text
    assert [place.start() for place in places] == sorted(place.start() for place in places)
    assert re.match(rf"{name}   \w+   C\d+.* \d+\.\d s\n", text)
    assert re.search(r"\b(TRUE|FALSE|IT DEPENDS)\b", text)


def test_colour_is_only_an_addition():
    name = quick()["experiment"]
    plain, colored = run(name, check=0).stdout, run(name, "--color", "always", check=0).stdout
    assert "\x1b" not in plain
    assert re.search("\x1b\\[1m(TRUE|FALSE|IT DEPENDS)\x1b", colored)


def test_ascii():
    text = run(quick()["experiment"], "--ascii", check=0).stdout
    assert text.isascii()


def test_json_is_a_line_for_each_claim():
    row = quick()
    found = lines_of(run("--json", row["experiment"], check=0).stdout)
    assert [line["claim"] for line in found] == row["claims"]
    for line in found:
        assert set(line) == {"claim", "experiment", "verdict", "evidence", "figures"}
        assert line["experiment"] == row["experiment"]
        assert line["verdict"] in ("true", "false", "it depends")
        assert line["evidence"] and isinstance(line["figures"], dict)


def test_prediction_is_asked_for_first_and_compared():
    name = quick()["experiment"]
    answer = re.search(r"The\s+answer\s+to\s+the\s+question:\s+(.*?)\.\s*(?:\n\S|$)", run(name, check=0).stdout,
                       re.DOTALL)
    assert answer
    text = run(name, "--predict", typed="something else\n", check=0).stdout
    flat = " ".join(text.split())
    assert text.startswith(f"{name}: ")
    assert text.index("Your answer:") < text.index("Verdict")
    assert "your answer [something else]" in flat and "You said something else, measured" in flat
    text = run(name, "--predict", typed="", check=0).stdout  # nobody there: not compared
    assert "You said" not in text


def test_prediction_is_escaped():
    text = run(quick()["experiment"], "--predict", typed="\x1b[2Jx\n", check=0).stdout
    assert "\x1b" not in text and r"\x1b[2Jx" in " ".join(text.split())


def test_pictures(tmp_path):
    name = next(row["experiment"] for row in listed() if row["experiment"] == "congestion" or row["needs_wire"])
    folder = tmp_path / "new"
    run(name, "--svg", str(folder), check=0)
    pictures = sorted(folder.iterdir())
    assert pictures and all(re.fullmatch(rf"{name}-\d+\.svg", picture.name) for picture in pictures)
    for picture in pictures:
        text = picture.read_text()
        assert text.startswith("<svg ") and text.endswith("</svg>\n")
        assert "<title" in text and "<desc" in text and "<script" not in text


def test_pictures_that_cannot_be_written_are_said(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert "needs a directory" in run("all", "--svg", str(file), check=2).stderr
    assert "could not be made" in run("all", "--svg", str(tmp_path / "no" / "such"), check=1).stderr


def test_markdown_is_sorted_by_claim():
    text = run("--markdown", "--claim", "C40", "--claim", "C1", check=0).stdout
    ids = [int(number) for number in re.findall(r"^\| C(\d+) \|", text, re.MULTILINE)]
    assert 1 in ids and 40 in ids and ids == sorted(ids)
    assert "## Systems" in text and "## Not measurable here" in text


def test_an_address_is_handed_on():
    text = run("addresses", "::1", check=0).stdout
    assert "::1" in text


# --- whoever runs it


@needs_namespaces
@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_as_nobody(tmp_path):
    name = quick()["experiment"]
    done = subprocess.run([*NOBODY, SONDE, "lab", name, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=PATIENCE)
    if "Permission denied" in done.stderr and not done.stdout:
        pytest.skip("nobody may not execute the binary under test")
    assert done.returncode == 0, done.stderr
    assert all(line["verdict"] != "not shown here" for line in lines_of(done.stdout))


REFUSED = ["unshare", "-Ur", "sh", "-c",
           'echo 0 > /proc/sys/user/max_user_namespaces && echo 0 > /proc/sys/user/max_net_namespaces && '
           'ip link set lo up 2>/dev/null; exec "$@"', "sh"]


@needs_namespaces
def test_without_namespaces_it_says_why():
    """What needs two hosts is not shown, and the sentence says what refused them. Nothing is guessed."""
    name = quick()["experiment"]
    done = run(name, "--json", prefix=REFUSED)
    rows = lines_of(done.stdout)
    assert done.returncode == 1, done.stderr
    assert rows and all(row["verdict"] == "not shown here" for row in rows)
    assert all("could not be made" in row["evidence"] for row in rows)
    assert name in done.stderr


@needs_namespaces
def test_without_namespaces_the_others_run_by_loopback():
    row = min((row for row in listed() if row["claims"] and not row["needs_wire"] and row["chapter"] == "opening"),
              key=lambda row: row["milliseconds"])
    # In a network namespace of its own, so that loopback is there and nothing else.
    done = run(row["experiment"], prefix=["unshare", "-Urn", *REFUSED[2:]])
    assert "On this machine's loopback" in " ".join(done.stdout.split()), (done.stdout, done.stderr)


# --- nothing is left


def namespaces():
    """Network namespaces that any process is in."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.add(os.readlink(f"/proc/{pid}/ns/net"))
        except OSError:
            pass
    return found


def descendants(pid):
    children = {}
    for other in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{other}/stat", encoding="utf-8", errors="replace") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(int(other))
    found, left = [], [pid]
    while left:
        for child in children.get(left.pop(), []):
            found.append(child)
            left.append(child)
    return found


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def longest():
    return max((row for row in listed() if row["needs_wire"]), key=lambda row: row["milliseconds"])["experiment"]


@pytest.mark.parametrize("number, status", [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_ended_in_the_middle_it_leaves_nothing(tmp_path, number, status):
    # What is started in the background ignores SIGINT, and passes that on.
    process = subprocess.Popen([SONDE, "lab", longest()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               cwd=tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        # The experiment's process, and its wire's.
        harness.wait_until(lambda: len(descendants(process.pid)) >= 2 or process.poll() is not None, "it was running")
        assert process.poll() is None
        below = descendants(process.pid)
        theirs = set()
        for pid in below:
            try:
                theirs.add(os.readlink(f"/proc/{pid}/ns/net"))
            except OSError:
                pass
        theirs.discard(os.readlink("/proc/self/ns/net"))
        process.send_signal(number)
        assert process.wait(harness.DEADLINE) == status
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    harness.wait_until(lambda: not any(map(is_running, below)), "all of its processes had ended")
    assert not theirs & namespaces()
    assert list(tmp_path.iterdir()) == []


def test_after_the_end_nothing_is_left(tmp_path):
    before = subprocess.run(["ip", "-o", "link"], stdout=subprocess.PIPE, text=True).stdout
    names = re.findall(r"^\d+: ([^:@]+)", before, re.MULTILINE)
    run(quick()["experiment"], check=0, cwd=tmp_path)
    after = subprocess.run(["ip", "-o", "link"], stdout=subprocess.PIPE, text=True).stdout
    assert re.findall(r"^\d+: ([^:@]+)", after, re.MULTILINE) == names
    assert list(tmp_path.iterdir()) == []


def test_twenty_at_once():
    name = quick()["experiment"]
    processes = [subprocess.Popen([SONDE, "lab", name, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True) for _ in range(20)]
    try:
        results = [process.communicate(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
    for process, (out, err) in zip(processes, results):
        rows = lines_of(out)
        assert rows, err
        assert process.returncode in (0, 1)
        # A busy machine may keep one from being shown: then that is said, and nothing else.
        for row in rows:
            assert row["verdict"] != "not shown here" or row["evidence"]
    assert sum(process.returncode == 0 for process in processes) >= 10


def test_the_examples_of_the_help_name_what_there_is():
    text = subprocess.run([SONDE, "lab", "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    there = {row["experiment"] for row in listed()} | {"all"}
    named = set(re.findall(r"^ +sonde lab ([a-z][a-z-]*)", text, re.MULTILINE))
    assert named and named <= there
