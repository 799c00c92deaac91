# SPDX-License-Identifier: MIT
"""The lab's chapter on opening, against what this machine does when it is asked in other ways."""

import ctypes
import errno
import json
import os
import re
import shlex
import socket
import subprocess
import sys

import lab_claims
import pytest

# experiments, and which claims each has to say something about
CLAIMS = {
    "handshake": "C40 C21 C29",
    "initial-number": "C42",
    "flags": "C58",
    "half-open": "C61 C19",
    "refused": "C9",
    "own-address": "C11",
    "listener": "C1 C20",
    "listen-arguments": "C8 C53 C54",
    "accept": "C5 C6 C32",
    "no-accept": "C10 C17 C18",
    "two-queues": "C2 C3 C4",
}
STRICT = ("net.core.somaxconn=2", "net.ipv4.tcp_syncookies=0", "net.ipv4.tcp_abort_on_overflow=1")


def with_settings(*settings):
    """A prefix: in a network namespace of its own, where these hold."""
    prefix = ("unshare", "--user", "--map-root-user", "--net")
    sysctl = subprocess.run([*prefix, "sysctl", "-qw", *settings], capture_output=True, check=False)
    if sysctl.returncode != 0:
        pytest.skip(f"settings cannot be made in a namespace here: {sysctl.stderr!r}")
    quoted = shlex.join(settings)
    return (*prefix, "sh", "-c", f"ip link set lo up && sysctl -qw {quoted} && exec \"$@\"", "sh")


def run(command, name, *, prefix=(), status=0):
    """`sonde lab NAME --json`: {claim: its line}. The status is 1 when something could not be shown."""
    result = command.run("lab", name, "--json", prefix=prefix, deadline=180)
    assert result.status == status, (result.out, result.err)
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert all(row["verdict"] in lab_claims.VERDICTS and row["evidence"] for row in rows)
    return {row["claim"]: row for row in rows}


@pytest.fixture(params=sorted(lab_claims.USERS))
def user(request):
    return lab_claims.USERS[request.param]


@pytest.mark.parametrize("name", CLAIMS)
def test_each_claim_is_decided(command, user, name):
    claims = run(command, name, prefix=user)
    assert list(claims) == CLAIMS[name].split()
    for claim in claims.values():
        assert claim["experiment"] == name
        assert claim["verdict"] != "not shown here", claim
        assert claim["figures"], claim


def test_the_text_fits_the_terminal(command):
    for width in (80, 120):
        text = lab_claims.text(command, *CLAIMS, "overflow", "four-tuple", "--width", str(width))
        assert [line for line in text.splitlines() if len(line) > width] == []


# --- handshake ---------------------------------------------------------------------------------------------------


def test_handshake(command, user):
    claims = run(command, "handshake", prefix=user)
    numbers = claims["C40"]["figures"]
    for kind in ("syn", "syn_ack"):
        assert (numbers[f"{kind}_seq_raw"] + 1) % 2**32 == numbers[f"{kind}_acknowledged_raw"]
        assert f"{numbers[f'{kind}_seq_raw']:.0f}" in claims["C40"]["evidence"]
    assert claims["C40"]["verdict"] == "true"
    # the wire holds each way for 20 ms, so a round trip cannot take less
    assert claims["C21"]["figures"]["rtt_ms"] >= 40
    assert claims["C21"]["figures"]["connect_ms"] >= 40
    assert claims["C21"]["figures"]["nonblocking_result"] == "EINPROGRESS"
    assert claims["C21"]["verdict"] == "true"
    assert claims["C29"]["verdict"] == "false"
    assert claims["C29"]["figures"]["data_after_connect_ms"] > 0
    assert claims["C29"]["figures"]["received_bytes"] == 5


def test_the_ladder_of_the_handshake(command):
    text = lab_claims.text(command, "handshake")
    ladder = text[text.index("One way takes"):text.index("difference")]
    order = ["S seq 0", "S. seq 0 ack 1", ". seq 1 ack 1", '"hello"']
    places = [ladder.index(words) for words in order]
    assert places == sorted(places)
    for state in ("SYN_SENT", "SYN_RECV"):
        assert ladder.count(state) == 1
    assert ladder.count("ESTABLISHED") == 2


def test_initial_numbers(command):
    """A clock is the same one the next time."""
    claims = [run(command, "initial-number")["C42"] for _ in range(2)]
    for claim in claims:
        figures = claim["figures"]
        assert figures["same_tuple_step_low_ns"] <= figures["same_tuple_step_high_ns"]
        assert (claim["verdict"] == "false") == (
            figures["same_tuple_step_high_ns"] < 1.25 * figures["same_tuple_step_low_ns"])
        # Chance could put one of them on the same clock's line: once in some ten thousand times.
        assert figures["other_tuple_step_low_ns"] < 0.8 * figures["same_tuple_step_low_ns"]
        assert f"{figures['same_tuple_step_low_ns']:.1f}" in claim["evidence"]
    low, high = sorted(claim["figures"]["same_tuple_step_low_ns"] for claim in claims)
    assert high < 1.5 * low


def test_flags(command):
    claim = run(command, "flags")["C58"]
    seen = claim["figures"]["seen"].split()
    assert len(seen) == len(set(seen)) == claim["figures"]["flags_seen"]
    assert {"SYN", "ACK", "PSH", "FIN", "RST", "URG", "ECE", "CWR"} <= set(seen)
    assert claim["verdict"] == "false"
    assert claim["figures"]["seen"] in claim["evidence"]


# --- the half-open ------------------------------------------------------------------------------------------------


def test_half_open(command, user):
    claims = run(command, "half-open", prefix=user)
    assert claims["C61"]["verdict"] == "false"
    assert claims["C61"]["figures"]["entry_before_syn_ack_arrived_ms"] > 0
    assert claims["C19"]["verdict"] == "true"
    assert claims["C19"]["figures"]["held_still"] == 1
    assert claims["C19"]["figures"]["held_looks"] > 1
    assert claims["C19"]["figures"]["completed_by_data"] == 1


def test_half_open_with_cookies_always(command):
    """Then there is no entry as the machine is set, and one where the experiment sets it otherwise."""
    prefix = with_settings("net.ipv4.tcp_syncookies=2")
    claims = run(command, "half-open", prefix=prefix)
    assert claims["C19"]["verdict"] == "true", claims["C19"]
    assert claims["C19"]["figures"]["held_still"] == 1
    assert claims["C61"]["verdict"] == "false"
    assert "tcp_syncookies 2" in claims["C61"]["evidence"]
    result = command.run("lab", "half-open", prefix=prefix, deadline=180)
    text = result.out.decode()
    assert re.search(r"SYN_RECV first seen +never +[\d.]+\n", text)


# --- the two queues -----------------------------------------------------------------------------------------------

MEASURE = """
import json, socket, struct, sys, time
held = []
for backlog in map(int, sys.argv[1:]):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        clients = []
        for _ in range(14):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            clients.append(client)
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        held.append(struct.unpack_from("I", info, 24)[0])  # tcpi_unacked: of a listener, who waits
        for client in clients:
            client.close()
print(json.dumps(held))
"""


def measured_here(prefix, backlogs):
    """The accept queue's length for each backlog, on the loopback of such a namespace; connect() there is at once."""
    out = subprocess.run([*prefix, sys.executable, "-c", MEASURE, *map(str, backlogs)], stdout=subprocess.PIPE,
                         check=True)
    return json.loads(out.stdout)


def rows_of(text):
    """backlog, somaxconn, limit, accept queue held, half-open held"""
    return [tuple(map(int, row)) for row in
            re.findall(r"^(?:Evidence)? +(-?\d+) +(\d+) +(\d+) +(\d+) +(\d+)$", text, re.MULTILINE)]


@pytest.mark.parametrize("settings", [("net.core.somaxconn=4096",), ("net.core.somaxconn=2",), STRICT])
def test_two_queues(command, settings):
    prefix = with_settings(*settings)
    somaxconn = int(settings[0].split("=")[1])
    text = lab_claims.text(command, "two-queues", prefix=prefix)
    rows = rows_of(text[text.index("Evidence"):])
    own = [row for row in rows if row[1] == somaxconn]
    assert [row[0] for row in own] == [0, 1, 2, 5]
    assert [row[3] for row in own] == measured_here(prefix, [row[0] for row in own])
    for backlog, maximum, limit, completed, half_open in rows:
        assert limit == (min(backlog, maximum) if backlog >= 0 else maximum)
        assert completed == limit + 1
        assert half_open == limit + 1

    claims = run(command, "two-queues", prefix=prefix)
    figures = claims["C3"]["figures"]
    together = figures["both_completed"] + figures["both_half_open"]
    assert together > figures["limit"] + 1
    assert claims["C3"]["verdict"] == "false"
    assert f"= {together} stood at once" in claims["C3"]["evidence"]
    figures = claims["C2"]["figures"]
    assert figures["completed_left"] == 0 < figures["half_open_left"]
    assert claims["C2"]["verdict"] == "it depends"
    figures = claims["C4"]["figures"]
    assert figures["limit"] == somaxconn
    assert figures["limit_lowered"] < figures["constant"] < figures["limit_raised"]
    assert figures["held_lowered"] == figures["limit_lowered"] + 1
    assert claims["C4"]["verdict"] == "false"


def test_two_queues_with_a_small_max_syn_backlog(command):
    prefix = with_settings("net.ipv4.tcp_syncookies=0", "net.ipv4.tcp_max_syn_backlog=4")
    text = lab_claims.text(command, "two-queues", prefix=prefix)
    rows = rows_of(text[text.index("Evidence"):])
    assert all(row[3] == row[2] + 1 for row in rows)
    assert max(row[4] for row in rows) < max(row[3] for row in rows)
    assert "tcp_max_syn_backlog (4)" in text


def test_two_queues_with_cookies_always(command):
    """Then there are no half-open connections, so the experiment sets it otherwise, and says so."""
    prefix = with_settings("net.ipv4.tcp_syncookies=2")
    claims = run(command, "two-queues", prefix=prefix)
    assert claims["C2"]["verdict"] == "it depends", claims["C2"]
    assert claims["C3"]["verdict"] == claims["C4"]["verdict"] == "false"
    assert claims["C3"]["figures"]["half_open_held"] > 0
    assert "tcp_syncookies 1 here (2 on this machine)" in lab_claims.text(command, "two-queues", prefix=prefix)


@pytest.mark.parametrize("abort", [0, 1])
@pytest.mark.parametrize("cookies", [0, 1])
def test_overflow(command, abort, cookies):
    prefix = with_settings(f"net.ipv4.tcp_abort_on_overflow={abort}", f"net.ipv4.tcp_syncookies={cookies}")
    text = lab_claims.text(command, "overflow", prefix=prefix)
    accept_queue = re.findall(r"^ +(SYN|ACK) +(\d) +(\w+) +([\w-]+) +\+(\d+)$", text, re.MULTILINE)
    syn_dropped, ignored, reset = ("SYN_SENT", "-", "1"), ("ESTABLISHED", "SYN_RECV", "1"), ("ECONNRESET", "-", "1")
    # this machine's setting first, then the opposite
    assert [row[:2] for row in accept_queue] == [
        ("SYN", str(abort)), ("ACK", str(abort)), ("SYN", str(1 - abort)), ("ACK", str(1 - abort))]
    for comes, value, *ends in accept_queue:
        assert tuple(ends) == (syn_dropped if comes == "SYN" else reset if value == "1" else ignored)
    half_open = re.findall(r"^ +(\d) +(\w+) +([\w-]+) +\+(\d+) +\+(\d+)$", text, re.MULTILINE)
    assert half_open[0][0] == str(cookies)
    assert sorted(half_open) == [("0", "SYN_SENT", "-", "0", "1"), ("1", "ESTABLISHED", "ESTABLISHED", "1", "0")]
    said = " ".join(text.split())
    assert "connect() hung. It gave 0 " in said
    assert f"tcp_abort_on_overflow {1 - abort} here ({abort} on this machine)" in said


def test_the_ladder_of_an_overflow(command):
    text = lab_claims.text(command, "overflow")
    ladder = text[text.index("SYN 1 arrives"):text.index("The accept queue is full:\n")]
    assert ladder.count("S seq 0") >= 2
    assert ladder.count("S. seq 0") == 1
    assert ladder.index("again #1") < ladder.index("S. seq 0")


def test_no_accept(command, user):
    claims = run(command, "no-accept", prefix=user)
    assert all(claim["verdict"] == "true" for claim in claims.values())
    assert claims["C17"]["figures"]["client_state"] == claims["C17"]["figures"]["server_state"] == "ESTABLISHED"
    assert claims["C17"]["figures"]["accept_queue_held"] == claims["C17"]["figures"]["accept_queue_limit"] + 1
    assert claims["C17"]["figures"]["syn_sent"] == 1
    assert claims["C18"]["figures"]["inode"] == 0 < claims["C18"]["figures"]["inode_accepted"]
    text = lab_claims.text(command, "no-accept", prefix=user)
    ladder = text[text.index("\ntcp "):text.index("\nVerdict")]
    assert ladder.index("S. seq 0") < ladder.index('"hello"') < ladder.index(" accept(")


# --- single calls -------------------------------------------------------------------------------------------------


def name_of(call):
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "0"


def test_listener(command, user):
    claims = run(command, "listener", prefix=user)
    with socket.socket() as listener, socket.socket() as other:
        other.listen()
        listener.listen()
        received = name_of(lambda: listener.recv(1))
        sent = name_of(lambda: listener.send(b"x"))
        connected = name_of(lambda: listener.connect(("127.0.0.1", other.getsockname()[1])))
    assert claims["C20"]["figures"]["recv_result"] == received
    assert claims["C20"]["figures"]["write_result"] == sent
    assert claims["C20"]["figures"]["sigpipe"] == 1
    assert claims["C1"]["figures"]["connect_listening"] == connected
    assert claims["C1"]["verdict"] == claims["C20"]["verdict"] == "true"
    assert received in claims["C20"]["evidence"] and sent in claims["C20"]["evidence"]


def test_listen_arguments(command, user):
    claims = run(command, "listen-arguments", prefix=user)
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        refusal = name_of(lambda: datagrams.listen(1))
    assert claims["C8"]["figures"]["refusal"] in ("EOPNOTSUPP", refusal)
    assert claims["C8"]["figures"]["as_said"] == claims["C8"]["figures"]["kinds"] > 4
    assert claims["C53"]["figures"]["listen_result"] == "0"
    assert f"port {claims['C53']['figures']['port']}" in claims["C53"]["evidence"]
    with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
        somaxconn = int(file.read())
    assert claims["C54"]["figures"]["limit_of_negative"] == claims["C54"]["figures"]["somaxconn"] == somaxconn
    assert claims["C54"]["figures"]["limit_of_0"] == 0
    assert claims["C54"]["verdict"] == claims["C53"]["verdict"] == "false"


def test_listen_arguments_follow_somaxconn(command):
    claim = run(command, "listen-arguments", prefix=with_settings(*STRICT))["C54"]
    assert claim["figures"]["limit_of_negative"] == claim["figures"]["somaxconn"] == 2
    assert "a limit of 2" in claim["evidence"]


def accepted_with(length):
    """accept()'s result for that length of a sockaddr_in, the bytes it wrote, and the length afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    with socket.socket() as listener:
        listener.listen()
        with socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as client:
            buffer = ctypes.create_string_buffer(b"\xa5" * 32, 32)
            size = ctypes.c_int(length)
            fd = libc.accept(listener.fileno(), buffer, ctypes.byref(size))
            result = "0" if fd >= 0 else errno.errorcode[ctypes.get_errno()]
            lost = False
            if fd >= 0:
                os.close(fd)
            else:
                client.settimeout(5)
                lost = client.recv(1) == b""
    return result, buffer.raw.index(b"\xa5"), size.value, lost


def test_accept(command, user):
    claims = run(command, "accept", prefix=user)
    assert claims["C5"]["figures"]["accepted"] == claims["C5"]["figures"]["in_order"] == 3
    assert claims["C5"]["figures"]["completed_first"] == 1
    assert claims["C5"]["figures"]["blocked_ms"] >= 20
    figures = claims["C6"]["figures"]
    _, written, size, _ = accepted_with(4)
    assert (figures["small_written"], figures["small_length_after"]) == (written, size) == (4, 16)
    _, written, _, _ = accepted_with(0)
    assert figures["none_written"] == written == 0
    result, _, _, lost = accepted_with(-1)
    assert figures["negative_result"] == result
    assert figures["negative_lost"] == lost == 1
    assert claims["C32"]["figures"]["listen_us"] / 1000 < claims["C32"]["figures"]["accept_blocked_ms"]
    assert {claim["verdict"] for claim in claims.values()} == {"true"}


def test_refused(command, user):
    claim = run(command, "refused", prefix=user)["C9"]
    assert claim["verdict"] == "it depends"
    assert claim["figures"]["connect_result"] == "ECONNREFUSED"
    assert claim["figures"]["answered_by_reset"] == 1
    assert claim["figures"]["self_connect_result"] == "0"
    with socket.socket() as client:
        client.bind(("127.0.0.1", 0))
        client.connect(client.getsockname())
        client.send(b"hello")
        assert claim["figures"]["self_connect_bytes"] == len(client.recv(16)) == 5
    text = lab_claims.text(command, "refused", prefix=user)
    assert text.index(" S seq 0") < text.index("R. seq 0 ack 1")


def test_own_address(command, user):
    claim = run(command, "own-address", prefix=user)["C11"]
    figures = claim["figures"]
    assert claim["verdict"] == "true"
    assert figures["port_low"] <= figures["kernel_port"] <= figures["port_high"]
    assert (figures["chosen_seen_address"], figures["chosen_seen_port"]) == (
        figures["chosen_address"], figures["chosen_port"])
    assert f"{figures['chosen_seen_address']} port {figures['chosen_seen_port']}" in claim["evidence"]


def test_own_address_follows_the_port_range(command):
    prefix = with_settings("net.ipv4.ip_local_port_range=50000 50100")
    figures = run(command, "own-address", prefix=prefix)["C11"]["figures"]
    assert (figures["port_low"], figures["port_high"]) == (50000, 50100)
    assert 50000 <= figures["kernel_port"] <= 50100


def test_four_tuple(command, user):
    text = lab_claims.text(command, "four-tuple", prefix=user)
    rows = re.findall(r"^ +(\S+) +(\d+) +(\S+) +(\d+) +ESTABLISHED$", text, re.MULTILINE)
    assert len(rows) == len(set(rows)) == 6
    servers = {row[1] for row in rows}
    clients = [row[3] for row in rows]
    assert len(servers) == 2
    twice = [port for port in set(clients) if clients.count(port) == 2]
    assert len(twice) == 1, "one client port stands in two connections, to two server ports"
    said = " ".join(text.split())
    assert "4 of 4 clients" in said
    assert "1 of the server's 4 sockets heard it" in said
    with socket.socket() as listener, socket.socket() as first, socket.socket() as again:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        for client in (first, again):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind(("127.0.0.1", 0))
        again.bind(first.getsockname())
        first.connect(listener.getsockname())
        result = name_of(lambda: again.connect(listener.getsockname()))
    assert result != "0"
    assert f"to port {sorted(servers, key=lambda port: -[r[1] for r in rows].count(port))[0]}: {result}" in said


def test_nothing_is_concluded_from_a_queue_for_one(command):
    """With somaxconn 0 there are neither two who wait, nor completed ones beside half-open ones."""
    prefix = with_settings("net.core.somaxconn=0", "net.ipv4.tcp_syncookies=0")
    claims = run(command, "two-queues", prefix=prefix, status=1)
    assert claims["C2"]["verdict"] == claims["C3"]["verdict"] == "not shown here"
    assert claims["C4"]["verdict"] == "false"
    claims = run(command, "accept", prefix=prefix, status=1)
    assert claims["C5"]["verdict"] == "not shown here"
    assert claims["C6"]["verdict"] == claims["C32"]["verdict"] == "true"
