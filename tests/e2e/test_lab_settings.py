# SPDX-License-Identifier: MIT
"""Other settings, other findings: experiments follow the machine that they are run on. That machine is a network
namespace here, whose settings are unusual."""
import json
import os
import re
import subprocess

import pytest

import harness

SONDE = os.path.abspath(os.environ.get("SONDE", harness.ROOT / "build" / "sonde"))
PATIENCE = harness.DEADLINE * 6
ODD = {
    "net.core.somaxconn": "2",
    "net.ipv4.tcp_syncookies": "0",
    "net.ipv4.tcp_abort_on_overflow": "1",
    "net.ipv4.tcp_retries2": "2",
    "net.ipv4.tcp_congestion_control": "reno",
}
# The other side of each: what is compared has to differ, whatever this machine is set to.
EVEN = {**ODD, "net.core.somaxconn": "9", "net.ipv4.tcp_syncookies": "1", "net.ipv4.tcp_abort_on_overflow": "0",
        "net.ipv4.tcp_retries2": "11"}


def command(settings, *arguments):
    set_all = " && ".join(f"echo {value} > /proc/sys/{name.replace('.', '/')}" for name, value in settings.items())
    return ["unshare", "-Urn", "sh", "-c", f'set -e; ip link set lo up; {set_all}; exec "$@"', "sh", SONDE, "lab",
            *arguments]


def run(settings, *arguments):
    done = subprocess.run(command(settings, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=PATIENCE, env={**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "100"})
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr)
    return done.stdout


def claims(settings, name):
    return {row["claim"]: row for row in map(json.loads, run(settings, name, "--json").splitlines())}


def words(text):
    return " ".join(text.split())


def section(text, head):
    """What stands beside a head of the report."""
    return words(re.search(rf"^{head} *(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL).group(1))


pytestmark = pytest.mark.skipif(subprocess.run(command(ODD, "--list"), stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL).returncode != 0,
                                reason="no namespace with such settings can be made here")


def test_limits_of_the_queues_follow_somaxconn():
    odd, even = claims(ODD, "two-queues"), claims(EVEN, "two-queues")
    assert odd["C4"]["figures"]["limit"] == 2
    assert even["C4"]["figures"]["limit"] == 9
    # Full means more than the limit, whichever it is.
    for found in (odd, even):
        figures = found["C3"]["figures"]
        assert figures["accept_queue_held"] == figures["limit"] + 1


def test_the_sentence_has_the_machine_s_figure():
    text = run(ODD, "two-queues")
    assert "(2 on this machine)" in section(text, "Settings")
    assert re.search(r"where somaxconn is 2\b", words(text))


def rows_of(text, heads):
    """The rows of the table below a line of heads, as lists of words."""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.split()[:len(heads)] == heads)
    rows = []
    for line in lines[at + 1:]:
        if not re.match(r" {13,}\S+ .*[+]\d+$", line):
            break
        rows.append(line.split())
    return rows


def test_an_overflow_follows_its_settings():
    odd, even = run(ODD, "overflow"), run(EVEN, "overflow")
    for text, first in ((odd, "1"), (even, "0")):
        rows = rows_of(text, ["comes", "abort_on_overflow"])
        assert rows[0][:2] == ["SYN", first] and rows[1][:2] == ["ACK", first]  # this machine's own comes first
        by_setting = {row[1]: row[2] for row in rows if row[0] == "ACK"}
        assert by_setting == {"0": "ESTABLISHED", "1": "ECONNRESET"}
    assert rows_of(odd, ["syncookies", "client"])[0][0] == "0"
    assert rows_of(even, ["syncookies", "client"])[0][0] == "1"
    assert "tcp_abort_on_overflow 0 here (1 on this machine)" in section(odd, "Settings")
    assert "tcp_syncookies 1 here (0 on this machine)" in section(odd, "Settings")
    assert "tcp_abort_on_overflow 1 here (0 on this machine)" in section(even, "Settings")


def test_giving_up_tells_the_machine_s_setting():
    text = run(ODD, "giving-up")
    assert re.search(r"tcp_retries2 .* here \(2 on this machine\)", section(text, "Settings"))
    assert re.search(r"machine's (setting|tcp_retries2) is 2\b", words(text))
    assert re.search(r"machine's (setting|tcp_retries2) is 11\b", words(run(EVEN, "giving-up")))


def test_congestion_control_is_the_machine_s():
    assert "tcp_congestion_control reno" in section(run(ODD, "congestion"), "Settings")


def test_what_a_wire_is_given_is_not_the_machine_s():
    """Experiments change settings of their own hosts alone: those of the machine stay."""
    script = command(ODD, "two-queues", "giving-up")
    script[4] = script[4].replace('exec "$@"', '"$@" > /dev/null; cat ' + " ".join(
        "/proc/sys/" + name.replace(".", "/") for name in ODD))
    done = subprocess.run(script, stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert done.stdout.split() == list(ODD.values())
