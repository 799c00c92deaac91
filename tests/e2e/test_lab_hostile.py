# SPDX-License-Identifier: MIT
"""sonde lab in bad company: no process to be had, a child or a wire that dies, readers that go away, hostile words."""
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

import harness

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
REFUSE = os.path.join(os.path.dirname(__file__), "helpers", "refuse_call.py")


def verdicts(out):
    return {line["claim"]: line for line in map(json.loads, out.splitlines())}


def children(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def wires_of(pid):
    found = []
    for child in children(pid):
        try:
            if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "sonde-wire":
                found.append(child)
        except OSError:
            pass
    return found


def test_no_process_to_be_had(command, sanitized):
    if sanitized:
        pytest.skip("the leak checker needs a process")
    prefix = [*(NOBODY if os.geteuid() == 0 else []), "prlimit", "--nproc=0:0"]
    result = command.run("lab", "--json", "stale-tail", "refused", prefix=prefix)
    assert result.status == 1
    shown = verdicts(result.out)
    assert set(shown) == {"C7", "C9"}
    for line in shown.values():
        assert line["verdict"] == "not shown here"
        assert line["evidence"].startswith("No process could be made for the experiment")
    assert "C7 (stale-tail), C9 (refused)" in result.err


@pytest.mark.parametrize("victim", ["child", "wire"])
def test_one_dies_and_the_next_is_run(command, victim):
    process = command.start([command.binary, "lab", "--json", "acknowledgement", "stale-tail"], stdin=subprocess.DEVNULL)

    def find():
        child = children(process.pid)
        return [child[0], wires_of(child[0])[0]] if child and wires_of(child[0]) else None

    found = []
    harness.wait_until(lambda: found.append(find()) or found[-1] or not process.running, "an experiment runs")
    if not found[-1]:
        pytest.skip("there is no wire here")
    os.kill(found[-1][victim == "wire"], signal.SIGKILL)
    assert process.wait() == 1
    shown = verdicts(process.out.text)
    assert shown["C7"]["verdict"] != "not shown here"
    assert shown["C41"]["verdict"] == "not shown here"
    if victim == "child":
        assert "killed by signal 9" in shown["C41"]["evidence"]
    assert "C41 (acknowledgement)" in process.err.text


def test_without_pidfd_packets_are_seen_all_the_same(command):
    if command.run("wire", "--quiet", "--", "true", "---", "true").status != 0:
        pytest.skip("there is no wire here")
    result = command.run("lab", "--json", "handshake", prefix=[sys.executable, REFUSE, "pidfd_open", "EPERM"])
    assert result.status == 0, result.err
    assert all(line["verdict"] != "not shown here" for line in verdicts(result.out).values())


def test_the_reader_goes_away(command):
    script = '"$0" lab --json stale-tail addresses families ports | head -c 1 >/dev/null; exit "${PIPESTATUS[0]}"'
    result = subprocess.run(["bash", "-c", script, command.binary], capture_output=True, timeout=harness.DEADLINE)
    assert result.returncode == 1
    assert result.stderr == b""
    with open("/dev/full", "w") as full:
        process = command.start([command.binary, "lab", "--json", "stale-tail"], stdin=subprocess.DEVNULL, stdout=full)
        assert process.wait() == 1


@pytest.mark.parametrize("word", ["\x1b]0;x\x07.1", "1" * 20000, "::1%\x1b[31m", "\udcff.\udcfe"],
                         ids=["controls", "long", "escape", "not-utf8"])
def test_hostile_operands(command, word):
    result = command.run("lab", "addresses", word)
    assert b"\x1b" not in result.out and b"\x07" not in result.out and "\x1b" not in result.err
    result = command.run("lab", "--json", "addresses", word)
    assert len(verdicts(result.out.decode())) >= 5
    result = command.run("lab", f"x{word[:100]}")
    assert result.status == 2
    assert "\x1b" not in result.err


@pytest.mark.parametrize("typed", [b"", b"\n", b"x" * 300_000, bytes(range(256)) * 40],
                         ids=["none", "empty", "long", "binary"])
def test_answers_of_any_kind(command, typed):
    result = command.run("lab", "--predict", "stale-tail", input=typed)
    assert result.status == 0, result.err
    assert "Your answer:" in result.out.decode()
    assert not set(result.out) & (set(range(32)) - {10})
