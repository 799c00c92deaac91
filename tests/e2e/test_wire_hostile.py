# SPDX-License-Identifier: MIT
"""sonde wire in bad company: calls refused, nothing left to take, ended at any moment, told nonsense."""
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
LISTEN = ["nc", "-l", "7007"]
TALK = ["sh", "-c", "echo hello | nc -N 10.0.0.2 7007"]


@pytest.fixture(autouse=True)
def a_wire_can_be_made(command):
    probe = command.run("wire", "--quiet", "--", "true", "---", "true", prefix=limited())
    if probe.status != 0:
        pytest.skip(f"no wire here: {probe.err}")


def limited(**limits):
    """As nobody, whom limits concern."""
    user = NOBODY if os.geteuid() == 0 else []
    return [*user, "prlimit", *[f"--{name}={value}:{value}" for name, value in limits.items()]]


def refused(call, error):
    return [sys.executable, REFUSE, call, error]


def run(command, *options, server=LISTEN, client=TALK, **keywords):
    return command.run("wire", "--quiet", *options, "--", *server, "---", *client, **keywords)


def sentences(err):
    lines = err.splitlines()
    assert all(line.startswith("sonde: ") and line.endswith(".") for line in lines), err
    return lines


# ---- what is refused


@pytest.mark.parametrize("call", ["unshare", "setns"])
@pytest.mark.parametrize("error", ["EPERM", "ENOSYS"])
def test_a_filter_is_named(command, call, error):
    result = run(command, prefix=[*limited(), *refused(call, error)])
    assert result.status == 1
    assert "a seccomp filter forbids namespaces" in harness.one_sentence(result.err)


@pytest.mark.parametrize("error", ["EPERM", "ENOSYS"])
def test_without_pidfd_packets_are_seen_all_the_same(command, tmp_path, error):
    record = tmp_path / "record"
    result = run(command, "--trace-json", str(record), prefix=refused("pidfd_open", error))
    assert result.status == 0, result.err
    assert result.out == b"hello\n"
    kinds = [json.loads(line)["event"] for line in record.read_text().splitlines()]
    assert kinds.count("segment") >= 6


# ---- what there is no more of


def test_no_more_processes(command, sanitized):
    if sanitized:
        pytest.skip("the leak checker needs a process")
    if subprocess.run(["pgrep", "-c", "-U", "65534"], stdout=subprocess.DEVNULL).returncode == 0:
        pytest.skip("nobody has other processes")
    result = run(command, prefix=limited(nproc=0))
    assert result.status == 1
    assert "no more processes may be made here" in harness.one_sentence(result.err)
    for n in range(1, 12):  # at each of these it fails somewhere else, or works
        result = run(command, client=["true"], prefix=limited(nproc=n))
        if result.status == 0:
            break
        assert [line for line in sentences(result.err) if "no more processes may be made here" in line], result.err
        assert len(set(sentences(result.err))) == len(sentences(result.err)), "said once"
    assert n > 1


def test_no_more_descriptors(command):
    for n in range(4, 40):  # as before
        result = run(command, prefix=limited(nofile=n))
        if result.status == 0 and result.out == b"hello\n":
            break
        if n >= 8:  # fewer are not enough for the programs to be loaded and speak
            assert result.err, n
        # What is missing is descriptors, whichever call it was that had none.
        assert "no such file" not in result.err.replace("nc: ", ""), (n, result.err)
        assert len(set(result.err.splitlines())) == len(result.err.splitlines()), "said once"
    assert 8 < n < 39


# ---- told nonsense


@pytest.mark.parametrize("assignment", ["../../kernel/core_pattern=x", "net/../kernel/core_pattern=x", "=1",
                                        "net.//.kernel.core_pattern=x", "kernel.core_pattern=x", "net.ipv4=1",
                                        "net.ipv4.tcp_retries2", "net.ipv4.tcp_retries2=", "net.ipv4.tcp_retries2=much",
                                        "net.ipv4.tcp_retries2=3\n5", "net.ipv4.tcp\n_retries2=3", "\x1b[31m=1"],
                         ids=lambda assignment: ascii(assignment)[1:-1])
@pytest.mark.parametrize("end", ["a", "b"])
def test_settings_that_are_none(command, end, assignment):
    core_pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    result = run(command, f"--{end}-sysctl", assignment, server=["echo", "started"], client=["echo", "started"])
    assert result.status == 2
    assert result.out == b""
    assert f"--{end}-sysctl" in harness.one_sentence(result.err)
    assert pathlib.Path("/proc/sys/kernel/core_pattern").read_text() == core_pattern


def test_an_empty_setting_is_set(command):
    name = "net.ipv4.ip_local_reserved_ports"
    result = run(command, "--a-sysctl", f"{name}=5000-5010", "--a-sysctl", f"{name}=", server=["true"],
                 client=["cat", "/proc/sys/" + name.replace(".", "/")])
    assert result.status == 0, result.err
    assert result.out == b"\n"


def test_no_folder_for_the_picture(command, tmp_path):
    result = run(command, "--svg", str(tmp_path / "none" / "x.svg"), client=["echo", "started"])
    assert result.status == 1
    assert result.out == b""
    assert "cannot be written: no such file or directory" in harness.one_sentence(result.err)


def test_nothing_to_draw(command, tmp_path):
    result = run(command, "--svg", str(tmp_path / "x.svg"), server=["true"], client=["true"])
    assert result.status == 1
    assert "stays empty: there was no connection to draw" in result.err


# ---- ended at any moment


def children(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def wire_of(process):
    return [child for child in children(process.pid) if name_of(child) == "sonde-wire"]


def test_ended_before_it_has_begun(command):
    """The wire's process finds nobody who has asked for it: that is no reason to speak."""
    for _ in range(5):
        process = command.start([command.binary, "wire", "--quiet", "--", "true", "---", "true"],
                                stdin=subprocess.DEVNULL)
        harness.wait_until(lambda: children(process.pid) or not process.running, "there is a child")
        process.signal(signal.SIGKILL)
        process.wait()
        assert "by hand" not in process.err.text


def test_the_wire_is_killed(command):
    process = command.start([command.binary, "wire", "--quiet", "--", "sleep", "86399.75", "---", "sleep", "86399.75"],
                            stdin=subprocess.DEVNULL)
    harness.wait_until(lambda: wire_of(process) and len(children(process.pid)) >= 2, "the server runs")
    os.kill(wire_of(process)[0], signal.SIGKILL)
    assert process.wait() == 1
    assert "the wire has broken: its process has ended" in process.err.text
