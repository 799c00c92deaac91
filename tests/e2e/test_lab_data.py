# SPDX-License-Identifier: MIT
"""The lab's chapter "Data": its figures agree with what Python measures by itself, follow this machine's settings, and
stand in its sentences. Relations only: how large and how fast is each machine's own affair."""

import errno
import json
import os
import shutil
import socket
import struct
import subprocess

import pytest

import harness

EXPERIMENTS = {
    "boundaries": {"C39"},
    "framing": {"C39"},
    "stream": {"C22"},
    "stale-tail": {"C7"},
    "buffer-size": {"C33"},
    "blocking-write": {"C35", "C36"},
    "when-it-leaves": {"C34"},
    "close-and-buffers": {"C37", "C38"},
    "zero-window": {"C35"},
    "acknowledgement": {"C41", "C46", "C55", "C56"},
}
NOT_SHOWN = "not shown here"


def setting(name):
    with open(f"/proc/sys/{name.replace('.', '/')}", encoding="ascii") as file:
        return file.read().split()


def number(value):
    return f"{int(value):,}"


@pytest.fixture(scope="module", params=["root", "nobody"])
def lab(request, binary, tmp_path_factory):
    """lab(NAME): what `sonde lab NAME --json` says as this user, by claim. Each experiment is run once."""
    prefix, program = [], binary
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("not root")
    if request.param == "nobody" and os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if not setpriv:
            pytest.skip("setpriv is not installed")
        prefix = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
        if subprocess.run([*prefix, "test", "-x", binary], check=False).returncode:
            place = tmp_path_factory.mktemp("nobody")
            for folder in (place, *place.parents[:3]):
                folder.chmod(0o755)
            program = shutil.copy(binary, place / "sonde")
    known = {}

    def run(name):
        if name not in known:
            known[name] = run_lab([*prefix, program], name)
        return known[name]

    return run


def run_lab(command, name, *options):
    done = subprocess.run(
        [*command, "lab", name, "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=harness.DEADLINE * 3,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert lines, f"{name}: status {done.returncode}, {done.stderr.decode()}"
    for line in lines:
        assert line["experiment"] == name
    return {line["claim"]: line for line in lines}


def shown(lab, name, claim):
    """The claim's line; a machine without user namespaces, or one that is too busy, shows it not, and says so."""
    line = lab(name)[claim]
    if line["verdict"] == NOT_SHOWN:
        assert line["evidence"]
        pytest.skip(line["evidence"])
    return line["verdict"], line["evidence"], line["figures"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_claim_has_a_line(lab, name):
    lines = lab(name)
    assert set(lines) == EXPERIMENTS[name]
    for line in lines.values():
        assert line["verdict"] in ("true", "false", "it depends", NOT_SHOWN)
        assert line["evidence"].endswith(".") or line["verdict"] == NOT_SHOWN
        assert line["figures"] or line["verdict"] == NOT_SHOWN


# --- boundaries


def test_one_two_or_three_receives(lab):
    verdict, evidence, figures = shown(lab, "boundaries", "C39")
    assert verdict == "true"
    assert [figures["receives_late"], figures["receives_after_two"], figures["receives_after_each"]] == [1, 2, 3]
    assert figures["whole_and_in_order"] == figures["rows"]
    assert "in 1, in 2 and in 3 pieces" in evidence
    kept = 0
    for family, kind in ((socket.AF_UNIX, socket.SOCK_DGRAM), (socket.AF_UNIX, socket.SOCK_SEQPACKET)):
        ours, theirs = socket.socketpair(family, kind)
        with ours, theirs:
            for piece in (b"abc", b"def", b"ghi"):
                ours.send(piece)
            kept += [theirs.recv(50) for _ in range(3)] == [b"abc", b"def", b"ghi"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs, socket.socket(
        socket.AF_INET, socket.SOCK_DGRAM
    ) as ours:
        theirs.bind(("127.0.0.1", 0))
        theirs.settimeout(harness.DEADLINE)
        for piece in (b"abc", b"def", b"ghi"):
            ours.sendto(piece, theirs.getsockname())
        kept += [theirs.recv(50) for _ in range(3)] == [b"abc", b"def", b"ghi"]
    assert figures["datagram_kinds_that_kept_boundaries"] == kept == 3


def test_segments_on_the_wire(lab):
    _, evidence, figures = shown(lab, "boundaries", "C39")
    if "segments_nagle" not in figures:
        pytest.skip("there is no wire here")
    sizes = {name: [int(size) for size in text.split("+")] for name, text in figures.items() if "segments" in name}
    for name, segments in sizes.items():
        assert sum(segments) == 9, name
    assert sizes["segments_nodelay"] == [3, 3, 3]
    assert sizes["segments_cork"] == [9]
    assert len(sizes["segments_nagle"]) <= len(sizes["segments_nodelay"])
    assert figures["segments_nodelay"] in evidence


def test_framed_messages_come_out_whole(lab):
    verdict, evidence, figures = shown(lab, "framing", "C39")
    assert verdict == "true"
    for kind in ("length", "lines"):
        assert figures[f"whole_with_{kind}"] == figures[f"passages_with_{kind}"] > 20
    assert figures["whole_by_receives"] < figures["passages_with_lines"]
    assert f"{figures['whole_with_length']:.0f} of {figures['passages_with_length']:.0f}" in evidence


# --- stream


def test_nothing_is_lost_but_by_a_reset(lab):
    verdict, evidence, figures = shown(lab, "stream", "C22")
    assert verdict == "it depends"
    assert figures["bytes_wrong"] == 0
    assert figures["packets_dropped"] > 0
    assert figures["sends"] != figures["receives"]
    # Of 1,500 bytes 1,000 had arrived, both times.
    assert figures["bytes_read_after_reset"] == 2000
    assert figures["bytes_lost_by_reset"] == 1000
    for name in ("bytes", "bytes_lost_by_reset", "bytes_read_after_reset"):
        assert number(figures[name]) in evidence


def test_the_tail_is_the_programs(lab):
    verdict, evidence, figures = shown(lab, "stale-tail", "C7")
    ours, theirs = socket.socketpair()
    buffer = bytearray(12)
    with ours, theirs:
        ours.send(b"morning")
        theirs.recv_into(buffer)
        ours.send(b"hi")
        n = theirs.recv_into(buffer)
    printed = bytes(buffer).split(b"\0")[0].decode()
    assert verdict == "it depends"
    assert figures["returned_bytes"] == n == 2
    assert figures["printed_up_to_nul_bytes"] == len(printed)
    assert figures["bytes_untouched_by_recv"] == len(buffer) - n
    assert f'"{printed}"' in evidence and '"hi"' in evidence


# --- buffers


def sizes_of(sock):
    return [sock.getsockopt(socket.SOL_SOCKET, name) for name in (socket.SO_SNDBUF, socket.SO_RCVBUF)]


def test_sizes_are_those_that_python_reads(lab):
    verdict, evidence, figures = shown(lab, "buffer-size", "C33")
    with socket.socket() as sock:
        assert [figures["new_send_bytes"], figures["new_receive_bytes"]] == sizes_of(sock)
        for name in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, name, 8192)
        assert [figures["set_8192_send_bytes"], figures["set_8192_receive_bytes"]] == sizes_of(sock)
        for name in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, name, 1)
        assert [figures["least_send_bytes"], figures["least_receive_bytes"]] == sizes_of(sock)
    assert verdict == ("false" if figures["sizes_of_8_kib"] == 0 else "it depends")
    assert figures["taken_set_8192_bytes"] < figures["taken_loopback_bytes"]
    for name in ("new_send_bytes", "new_receive_bytes", "connected_send_bytes", "set_8192_send_bytes"):
        assert number(figures[name]) in evidence


def in_namespace(binary, settings):
    """A command prefix: in a network namespace of its own, with these settings."""
    unshare = shutil.which("unshare")
    own = [unshare, "-n"] if os.geteuid() == 0 else [unshare, "-Urn"]
    if not unshare or subprocess.run([*own, "true"], check=False).returncode:
        pytest.skip("no network namespace can be made")
    script = "".join(f"echo {value} > /proc/sys/{name.replace('.', '/')} && " for name, value in settings.items())
    return [*own, "sh", "-c", f'ip link set lo up && {script} exec "$@"', "sh", binary]


def test_sizes_follow_the_settings(binary):
    settings = {"net.ipv4.tcp_wmem": "'4096 20000 400000'", "net.ipv4.tcp_rmem": "'4096 60000 500000'"}
    line = run_lab(in_namespace(binary, settings), "buffer-size")["C33"]
    figures = line["figures"]
    if line["verdict"] == NOT_SHOWN:
        pytest.skip(line["evidence"])
    assert figures["new_send_bytes"] == 20000
    assert figures["new_receive_bytes"] == 60000
    assert figures["taken_loopback_bytes"] < 2 * (400000 + 500000)
    assert "20,000 to send and 60,000 to receive" in line["evidence"]
    if "tuned_send_bytes" in figures:
        assert figures["tuned_send_bytes"] <= 400000
        assert figures["tuned_receive_bytes"] <= 500000
        assert number(figures["tuned_receive_bytes"]) in line["evidence"]


def test_what_a_write_takes_follows_the_settings(binary, lab):
    _, _, usual = shown(lab, "blocking-write", "C35")
    settings = {"net.ipv4.tcp_wmem": "'4096 16384 32768'", "net.ipv4.tcp_rmem": "'4096 20000 20000'"}
    line = run_lab(in_namespace(binary, settings), "blocking-write")["C35"]
    if line["verdict"] == NOT_SHOWN:
        pytest.skip(line["evidence"])
    assert line["verdict"] == "false"
    assert line["figures"]["filled_bytes"] < usual["filled_bytes"]


def test_a_write_blocks_only_without_room(lab):
    verdict, evidence, figures = shown(lab, "blocking-write", "C35")
    assert verdict == "false"
    assert figures["sent_while_blocked_bytes"] == 0
    assert figures["blocked_ms"] > 0
    assert figures["read_until_it_returned_bytes"] > 0
    assert number(figures["read_until_it_returned_bytes"]) in evidence


def test_a_write_returns_when_all_is_buffered(lab):
    verdict, evidence, figures = shown(lab, "blocking-write", "C36")
    assert verdict == "true"
    assert figures["returned_blocking"] == figures["asked"]
    for name in ("returned_timeout", "returned_signal", "returned_nonblocking"):
        assert 0 < figures[name] < figures["asked"]
        assert number(figures[name]) in evidence
    assert figures["unacknowledged_when_it_returned_bytes"] > 0


def test_when_bytes_leave(lab):
    verdict, evidence, figures = shown(lab, "when-it-leaves", "C34")
    assert verdict == "it depends"
    assert figures["loopback_arrived_before_return"] <= figures["loopback_sends"]
    for name in ("cork_after_ms", "closed_window_after_ms"):
        assert figures[name] > 0
    # The corked bytes wait for a timer, Nagle's for a round trip; one send has to wait for nothing.
    assert figures["cork_after_ms"] > figures["nagle_after_ms"]
    assert figures["exchange_nagle_ms"] > figures["exchange_one_send_ms"]
    n_before, n = figures["open_window_left_before_return"], figures["open_window_sends"]
    assert f"{n_before:.0f} of {n:.0f}" in evidence


def connection():
    """Two connected TCP sockets of Python's own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        ours = socket.create_connection(listener.getsockname(), timeout=harness.DEADLINE)
        theirs, _ = listener.accept()
    theirs.settimeout(harness.DEADLINE)
    return ours, theirs


def test_close_delivers(lab):
    verdict, evidence, figures = shown(lab, "close-and-buffers", "C37")
    assert verdict == "true"
    assert figures["read_bytes"] == figures["read_linger_bytes"] == figures["sent_bytes"]
    assert number(figures["read_bytes"]) in evidence
    # A reset ends the delivery at what had left; when that was little, it shows.
    assert max(figures["read_linger_0_bytes"], figures["read_unread_bytes"]) <= figures["sent_bytes"]
    ours, theirs = connection()
    with theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ours.close()
        with pytest.raises(ConnectionResetError) as raised:
            theirs.recv(1)
    assert figures["then_linger_0"] == errno.errorcode[raised.value.errno]
    assert figures["then_linger_0"] in evidence


def test_unread_data_resets(lab):
    verdict, evidence, figures = shown(lab, "close-and-buffers", "C38")
    assert verdict == "true"
    ours, theirs = connection()
    with ours:
        ours.sendall(b"unread")
        harness.wait_until(lambda: theirs.recv(100, socket.MSG_PEEK), "it has arrived")
        theirs.close()
        with pytest.raises(ConnectionResetError) as raised:
            ours.recv(1)
    assert figures["then_unread"] == errno.errorcode[raised.value.errno]
    assert figures["then_all_read"] == "end of data"
    assert figures["unacknowledged_bytes"] == 0
    assert figures["unread_bytes"] > 0
    assert figures["then_unread"] in evidence


def test_a_closed_window_is_probed(lab):
    verdict, evidence, figures = shown(lab, "zero-window", "C35")
    assert verdict == "false"
    assert figures["probes"] >= 2
    assert figures["new_bytes_while_closed"] == 0
    assert figures["window_update_bytes"] > 0
    assert figures["returned"] == 12500
    assert f"{figures['probes']:.0f} probes" in evidence


# --- acknowledgements


def test_acknowledgement_is_the_next_byte(lab):
    verdict, evidence, figures = shown(lab, "acknowledgement", "C41")
    assert verdict == "false"
    assert figures["ack_is_seq_plus_n"] == figures["data_segments"] == 2
    assert figures["ack_is_seq_plus_n_plus_1"] == 0
    assert figures["first_ack"] == 1 + 5
    assert "6 for 5 bytes" in evidence


def test_the_buffer_is_kept(lab):
    verdict, evidence, figures = shown(lab, "acknowledgement", "C46")
    assert verdict == "true"
    assert figures["looks_that_found_them"] > 1
    assert figures["kept_after_arrival_ms"] > 0
    assert number(figures["bytes"]) in evidence


def test_acknowledgements_wait(lab):
    verdict, _, figures = shown(lab, "acknowledgement", "C55")
    assert verdict == "false"
    assert figures["carried_by_the_answer"] == 1


def test_one_acknowledgement_covers_many(lab):
    verdict, evidence, figures = shown(lab, "acknowledgement", "C56")
    assert verdict == "false"
    assert figures["acknowledgements"] <= figures["data_segments"]
    assert f"{figures['data_segments']:.0f} segments" in evidence


# --- as text


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_text_keeps_to_the_width(binary, name, width):
    done = subprocess.run(
        [binary, "lab", name],
        stdout=subprocess.PIPE,
        env={**os.environ, "COLUMNS": str(width), "LC_ALL": "C.UTF-8"},
        timeout=harness.DEADLINE * 3,
        check=False,
    )
    lines = done.stdout.decode().splitlines()
    heads = ["Claim", "What is done", "Question", "Evidence", "Verdict", "By hand", "Read"]
    places = [next((i for i, line in enumerate(lines) if line.startswith(head)), None) for head in heads]
    assert None not in places and places == sorted(places), "\n".join(lines)
    by_hand = range(places[5], places[6])  # commands are not wrapped
    assert not [line for i, line in enumerate(lines) if len(line) > width and i not in by_hand]
