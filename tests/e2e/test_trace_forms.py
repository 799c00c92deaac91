# SPDX-License-Identifier: MIT
"""The other renderings of a capture: events, a table, a picture, messages, layers, a capture again; and bad input."""

import json
import os
import re
import shutil
import subprocess

import pytest

import harness
from captures import crafted, pcap, tshark
from captures.scenarios import HOSTILE, SCENARIOS
from captures.seen import ALL, Events, Run, ladders, seen, strict_lines  # noqa: F401  pylint: disable=unused-import

FEW = [
    "close4",
    "hostile",
    "loss_middle_data",
    "port_reuse",
    "icmp_port",
    "wrap",
    "midway",
    "clock_back",
    "zero_window",
]
WIDE = ("--width", "120", "--color", "never", "--all")


# --- events ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", ALL)
def test_events(seen, capture):
    """Strict JSON; each connection is said before what happens on it; time never goes back, and nothing lasts less
    than nothing."""
    events = seen.events(capture)
    known = set()
    for row in events:
        assert isinstance(row["t_ns"], int)
        if row["event"] == "connection":
            known.add(row["conn"])
        elif row.get("conn"):
            assert row["conn"] in known, f"an unknown connection: {row}"
        for name, value in row.items():
            if name.endswith("_ns") and name != "t_ns":
                assert int(value) >= 0, f"{name} is negative: {row}"
    times = [row["t_ns"] for row in events]
    assert times == sorted(times)


MEMBERS = "t_ns conn src dst flags seq ack len window options notes packet seq_raw window_raw states".split()


@pytest.mark.parametrize("capture", ["close4", "ipv6", "wrap", "loss_middle_data"])
def test_members_of_a_segment(seen, capture):
    for row in seen.events(capture).segments:
        missing = [name for name in MEMBERS if name not in row]
        assert not missing, f"{missing} is not in {row}"
        assert set(row["states"]) == {"a", "b"} and isinstance(row["notes"], list) and isinstance(row["options"], dict)


@pytest.mark.parametrize("capture", ["close4", "close4@b"])
def test_the_order_of_things(seen, capture):
    """A segment's time is the capture's, to the nanosecond."""
    _, records = pcap.read(seen.path(capture))
    rows = seen.events(capture).segments
    assert [row["packet"] for row in rows] == list(range(1, len(records) + 1))
    assert [row["t_ns"] - rows[0]["t_ns"] for row in rows] == [record.t_ns - records[0].t_ns for record in records]


@pytest.mark.parametrize("capture", ["clock_back", "clock_back_reuse"])
def test_a_clock_that_goes_back(seen, capture):
    """What comes later in the file is later; the step is said, and nothing is an hour long."""
    events = seen.events(capture)
    assert len(events.conns) == (3 if "reuse" in capture else 1)
    times = [row["t_ns"] for row in events.segments]
    assert times == sorted(times) and times[-1] - times[0] < 60 * 10**9
    run = seen.run(capture, *WIDE)
    assert re.search("clock", run.err), run
    assert not re.search(
        r"(?<![\d.])-\d",
        re.sub(r"seq|─\d+─|-\d+-", "", "".join(line for _, _, said in ladders(run.text) for line in said)),
    )


@pytest.mark.parametrize("other", ["microseconds", "big_endian", "next_generation"])
def test_other_files_same_events(seen, other):
    """Of another precision, byte order or format."""

    def without_times(capture):
        names = ("src", "dst", "flags", "seq_raw", "len", "window", "options", "states", "packet")
        return [{name: row[name] for name in names} for row in seen.events(capture).segments]

    assert without_times(other) == without_times("close4")


@pytest.mark.parametrize("capture", FEW)
def test_replay(seen, capture, tmp_path):
    """Recorded events give the same ladder as the capture they are from; so they do from standard input."""
    direct = seen.run(capture, *WIDE)
    file = tmp_path / "events.jsonl"
    file.write_bytes(seen.run(capture, "--json").out)
    again = Run([seen.binary, "trace", "-r", file, *WIDE])
    assert again.text == direct.text
    with open(file, "rb") as stdin:
        assert Run([seen.binary, "trace", "-r", "-", *WIDE], stdin=stdin.read()).text == direct.text
    assert Run([seen.binary, "trace", "-r", file, "--json"]).out == file.read_bytes()


@pytest.mark.parametrize("capture", ["close4", "next_generation"])
def test_from_standard_input(seen, capture):
    data = open(seen.path(capture), "rb").read()
    assert (
        strict_lines(Run([seen.binary, "trace", "-r", "-", "--json"], stdin=data).out)[1:] == seen.events(capture)[1:]
    )


# --- the choice of what is shown -------------------------------------------------------------------------------------


def test_filter(seen):
    assert len(Events(strict_lines(seen.run("no_tcp", "--json", "tcp", "port", "7007").out)).segments) == 9
    assert Events(strict_lines(seen.run("no_tcp", "--json", "port", "9999").out)).conns == []
    udp = Events(strict_lines(seen.run("no_tcp", "--json", "udp").out))
    assert [row["event"] for row in udp if row["event"] in ("segment", "datagram")] == ["datagram"]


def test_a_bad_filter_is_misuse(seen):
    run = Run([seen.binary, "trace", "-r", seen.path("no_tcp"), "nonsense", "and", "("], status=2)
    assert run.out == b"" and harness.one_sentence(run.err)


def test_count(seen):
    assert len(Events(strict_lines(seen.run("close4", "--json", "-c", "4").out)).segments) == 4


def test_conn(seen):
    """By its number and by its tag."""
    events = seen.events("port_reuse")
    second = events.conns[1]
    chosen = Events(strict_lines(seen.run("port_reuse", "--json", "--conn", str(second)).out))
    assert chosen.segments == events.of("segment", second)
    tagged = Events(strict_lines(seen.run("port_reuse", "--json", "--conn", "b").out))
    assert tagged.segments == chosen.segments
    assert len(ladders(seen.run("port_reuse", "--conn", "b", *WIDE[:4]).text)) == 1


def test_many_connections(seen, tmp_path):
    """More than 8: the table first, the ladders of 8, and that said; --all shows all."""
    records = []
    for number in range(12):
        records += crafted.whole(a=("10.0.0.1", 41000 + number), start_s=1_700_000_000 + number).records
    path = pcap.write(tmp_path / "twelve.pcap", records)
    run = Run([seen.binary, "trace", "-r", path, *WIDE[:4]])
    first_ladder = run.text.index("\ntcp ")
    for number in range(12):
        assert f":{41000 + number}" in run.text[:first_ladder], "the table does not have all of them"
    assert len(ladders(run.text[first_ladder:])) == 8
    assert "8" in run.err and "--all" in run.err
    assert len(ladders(Run([seen.binary, "trace", "-r", path, *WIDE]).text)) == 12


@pytest.mark.parametrize("width", [40, 63, 64, 80, 100, 120, 140, 200])
@pytest.mark.parametrize("capture", ["loss_two", "simultaneous_close", "hostile"])
def test_width(seen, capture, width):
    """No line is wider than that, nor than 140; below 64 it is a list."""
    text = seen.run(capture, "--width", str(width), "--color", "never", "--ascii").text
    assert max(map(len, text.splitlines())) <= min(width, 140)
    assert text.isascii()


def test_ascii_has_the_same_rows(seen):
    fancy, plain = (seen.run("close4", *WIDE, *more).text for more in ((), ("--ascii",)))
    assert plain.isascii() and not fancy.isascii()
    assert len(fancy.splitlines()) == len(plain.splitlines())


def test_raw_numbers(seen):
    text = seen.run("close4", "--raw", *WIDE).text
    for row in seen.events("close4").segments:
        assert str(row["seq_raw"]) in text


def long_gaps(seen, capture):
    """The pauses that a ladder shows: 200 ms and more without a segment; in ms. How many of them loss_thrice has is for
    the kernel and the machine: a first copy that was seen late leaves less than 200 ms to the tail probe's."""
    times = [row["t_ns"] for row in seen.events(capture).segments]
    gaps = [(after - before) / 1e6 for before, after in zip(times, times[1:])]
    return [gap for gap in gaps if gap >= 200]


def test_compact(seen):
    """A pause takes one row."""
    wide, compact = (seen.run("loss_thrice", *WIDE, *more).text for more in ((), ("--compact",)))
    pauses = [len(re.findall(r"^  :", text, re.M)) for text in (wide, compact)]
    assert pauses[0] > pauses[1] == len(long_gaps(seen, "loss_thrice"))


def test_list(seen):
    """One event a line, each segment among them."""
    lines = seen.run("close4", "--list", "--color", "never", "--width", "120").text.splitlines()
    rows = seen.events("close4").segments
    assert len([line for line in lines if re.search(r" [<>] ", line)]) >= len(rows)
    assert any("1:6(5)" in line for line in lines)


# --- the ladder's own ------------------------------------------------------------------------------------------------


def test_a_ladder_teaches(seen):
    """Handshake, message, close: each segment once, with its number at its place, its flags, its bytes."""
    ((head, rows, said),) = seen.ladders("close4")
    assert head.startswith("tcp 10.0.0.1:") and "10.0.0.2:7007" in head
    text = "\n".join(rows)
    n_segments = len(seen.events("close4").segments)
    for number in range(1, n_segments + 1):
        assert len(re.findall(rf"─{number}─", text)) == 1, f"segment {number}:\n{text}"
    for label in ("S seq 0", "S. seq 0 ack 1", "P. 1:6(5) ack 1", '"hello"', "F. seq 6", "ack 7"):
        assert label in text, f"no {label!r}:\n{text}"
    assert [line[0] for line in said if line[0] in "=!"] == ["="]
    assert re.search(r"5 bytes.*14", said[-1]) and "4 segments" in said[-1]


def test_losses_are_no_crosses_without_evidence(seen):
    """Seen at one end only: the arrow is whole; the copy says of which segment it is."""
    ((_, rows, _),) = seen.ladders("loss_only_data")
    text = "\n".join(rows)
    assert "again #4" in text and "×" not in text


def test_pauses(seen):
    """RTO's staircase: rows of colons with the length of each pause, to three digits."""
    ((_, rows, _),) = seen.ladders("loss_thrice")
    lengths = re.findall(r"· (\d+(?:\.\d+)?) (ms|s) ·", "\n".join(rows))
    values = [float(value) * (1000 if unit == "s" else 1) for value, unit in lengths]
    assert values == pytest.approx(long_gaps(seen, "loss_thrice"), rel=0.01)
    assert len(values) >= 2


def test_zero_window_on_the_ladder(seen):
    ((_, rows, said),) = seen.ladders("zero_window")
    text = "\n".join(rows)
    assert "win 0" in text and "probe 1" in text and "probe 2" in text
    assert any(line.startswith("!") for line in said)


def test_begins_midway(seen):
    ((_, rows, said),) = seen.ladders("midway")
    assert "ESTABLISHED?" in "\n".join(rows)
    assert any(line.startswith("i ") for line in said)


# --- the table -------------------------------------------------------------------------------------------------------


SUMMARIES = [name for name, one in SCENARIOS.items() if one.opened or one.ended]


@pytest.mark.parametrize("capture", SUMMARIES)
def test_summary_words(seen, capture):
    """How it opened and how it ended, in the table and as JSON."""
    facts = SCENARIOS[capture]
    rows = strict_lines(seen.run(capture, "--summary", "--json").out)
    assert len(rows) == facts.n_connections
    text = seen.run(capture, "--summary", "--color", "never", "--width", "200").text
    for wanted, name in ((facts.opened, "opened"), (facts.ended, "ended")):
        if wanted:
            assert re.search(wanted, rows[-1][name]), rows[-1]
            assert re.search(wanted, text), text


@pytest.mark.parametrize("capture", ["close4", "many_bytes", "loss_two", "port_reuse", "ipv6", "wrap", "offload"])
def test_summary_numbers(seen, capture):
    """Against tshark's: packets, bytes each way without repeats, duration."""
    rows = strict_lines(seen.run(capture, "--summary", "--json").out)
    theirs = {}
    for row in seen.tshark(capture):
        theirs.setdefault(row["stream"], []).append(row)
    assert len(rows) == len(theirs)
    for ours, packets in zip(rows, theirs.values()):
        assert ours["packets_from_client"] + ours["packets_from_server"] == len(packets)
        client = (packets[0]["source"], packets[0]["source_port"])
        ways = {}
        for packet in packets:
            way = ways.setdefault((packet["source"], packet["source_port"]) == client, set())
            way |= set(range(packet["seq"], packet["seq"] + packet["len"]))
        assert ours["bytes_from_client"] == len(ways[True]) and ours["bytes_from_server"] == len(ways.get(False, ()))
        assert ours["duration_ns"] >= 0


def test_summary_of_round_trips(seen):
    """The wire takes 2 ms each way."""
    (row,) = strict_lines(seen.run("close4", "--summary", "--json").out)
    least, middle, most = (row[f"rtt_{name}_ns"] for name in ("min", "avg", "max"))
    assert 4_000_000 <= least <= middle <= most < 2 * 10**9


def test_summary_counts_retransmissions(seen):
    assert strict_lines(seen.run("loss_thrice", "--summary", "--json").out)[0]["retransmissions"] == 3
    assert strict_lines(seen.run("close4", "--summary", "--json").out)[0]["retransmissions"] == 0


# --- messages --------------------------------------------------------------------------------------------------------

HEAD = re.compile(r"^ *(\d+\.\d{3} \d{3}) (\S+) > (\S+), ([\d,]+) bytes?\b.*$", re.M)


def messages(text):
    """[(source, destination, n_bytes, body)]"""
    heads = list(HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [
        (h.group(2), h.group(3), int(h.group(4).replace(",", "")), text[h.end() + 1 : end].rstrip("\n"))
        for h, end in zip(heads, ends)
    ]


def test_follow(seen):
    found = messages(seen.run("close4", "--follow", "--color", "never").text)
    assert [(n_bytes, body.strip()) for _, _, n_bytes, body in found] == [(5, "hello"), (14, "hello yourself")]
    assert found[0][:2] == found[1][1::-1] and found[0][1] == "10.0.0.2:7007"


@pytest.mark.parametrize("capture", ["loss_thrice", "loss_data_ack@b", "loss_final_ack", "loss_data_ack"])
def test_follow_shows_repeats_once(seen, capture):
    assert [one[2:] for one in messages(seen.run(capture, "--follow", "--color", "never").text)] == [(5, "hello")]


@pytest.mark.parametrize("capture", ["reordered@b", "loss_middle_data@b", "loss_two@b", "loss_first_data"])
def test_follow_is_in_order(seen, capture):
    """What came late stands where it belongs."""
    text = "".join(body for *_, body in messages(seen.run(capture, "--follow", "--color", "never").text))
    letters = re.sub(r"\s", "", text)
    n = 5 if "reordered" in capture else 12
    assert letters == "".join(chr(65 + number) * 1000 for number in range(n))


def test_follow_hex(seen):
    """Every byte, and nothing else."""
    text = seen.run("hostile", "--follow", "--hex", "--color", "never").text
    bodies = [body for *_, body in messages(text)]
    assert [harness.hex_dump(body) for body in bodies] == [data for data in HOSTILE for _ in range(2)]


def test_follow_says_what_is_missing(seen):
    """Bytes that the capture does not have are no message."""
    text = seen.run("holes", "--follow", "--color", "never").text
    assert re.search("missing|not captured|not in the capture", text)


# --- layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "capture",
    [
        "close4",
        "vlan_stacked",
        "extension_headers",
        "icmp_about_tcp",
        "no_tcp",
        "link_sll",
        "link_null",
        "any_sll2",
        "udp_fragments",
        "malformed_options",
        "hostile",
    ],
)
def test_layers_cover_every_byte(seen, capture):
    """Layer after layer, each begins where the one before it ends; together they are the packet."""
    text = seen.run(capture, "--layers", "--color", "never").text
    _, records = pcap.read(seen.path(capture))
    packets = re.split(r"^(?=packet \d+ )", text, flags=re.M)[1:]
    assert len(packets) == len(records)
    for shown, record in zip(packets, records):
        at = 0
        for offset, n_bytes in re.findall(r"^(\d{4,}) +(\d+)  \S", shown, re.M):
            assert int(offset) == at, shown
            at += int(n_bytes)
        left = re.search(r"^(\d+) +(\d+)  not captured", shown, re.M)
        assert at == record.length, shown
        assert (int(left.group(1)) if left else at) == len(record.data), shown


# --- a picture -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "capture",
    [
        "close4",
        "hostile",
        "hostile_names",
        "loss_two",
        "simultaneous_close",
        "zero_window",
        "midway",
        "icmp_unreachable",
        "wrap",
    ],
)
def test_svg(seen, capture, tool, tmp_path):
    """Well-formed, without anything that a viewer would run or fetch."""
    path = tmp_path / "ladder.svg"
    seen_run = Run([seen.binary, "trace", "-r", seen.path(capture), "--svg", path])
    assert seen_run.status == 0
    lint = subprocess.run(
        [tool("xmllint"), "--noout", "--nonet", path], stderr=subprocess.PIPE, check=False, timeout=60
    )
    assert (lint.returncode, lint.stderr) == (0, b"")
    text = path.read_text(encoding="utf-8")
    assert text.count("<svg") == 1 and re.search("<title[ >]", text) and re.search("<desc[ >]", text)
    assert "<script" not in text and not re.search(r"\son\w+=", text)
    assert not re.search(r"(?:href|src)=[\"'](?!#)", text) and "@import" not in text and "url(http" not in text
    assert not re.search(r"(?:NaN|inf)[\"' ,]|=\"-?nan", text)
    harness.assert_printable(text.encode(), allowed="\n\t")


def test_svg_shows_the_states(seen, tmp_path):
    path = tmp_path / "ladder.svg"
    Run([seen.binary, "trace", "-r", seen.path("close4"), "--svg", path])
    text = path.read_text(encoding="utf-8")
    for name in SCENARIOS["close4"].client + SCENARIOS["close4"].server:
        assert name in text
    assert "hello" in text


def test_svg_that_cannot_be_written(seen, tmp_path):
    run = Run([seen.binary, "trace", "-r", seen.path("wrap"), "--svg", tmp_path / "no" / "such.svg"], status=1)
    assert "no such file" in harness.one_sentence(run.err).lower()


# --- a capture again -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "capture", ["close4", "hostile", "loss_two", "no_tcp", "any_sll2", "link_null", "wrap", "vlan", "cut"]
)
def test_write(seen, capture, tmp_path):
    """tshark reads the same packets, at the same times, with comments that harm nobody."""
    if tshark.missing():
        pytest.skip(tshark.missing())
    path = tmp_path / "again.pcapng"
    Run([seen.binary, "trace", "-r", seen.path(capture), "--write", path])
    fields = (
        "-e",
        "frame.time_epoch",
        "-e",
        "frame.len",
        "-e",
        "frame.cap_len",
        "-e",
        "tcp.seq_raw",
        "-e",
        "frame.comment",
    )
    again, before = (
        tshark.run("-r", one, "-T", "fields", *fields)[1].split(b"\n") for one in (path, seen.path(capture))
    )
    assert len(before) == len(pcap.read(seen.path(capture))[1]) + 1
    for number, (one, other) in enumerate(zip(again, before), 1):
        *numbers, comment = one.split(b"\t") if one else [b""]
        assert numbers == other.split(b"\t")[:-1], f"packet {number}"
        harness.assert_printable(comment)
    assert len(again) == len(before)


def test_comments_say_the_notes(seen, tmp_path):
    """A packet that deserves one has a comment, and only such a packet."""
    if tshark.missing():
        pytest.skip(tshark.missing())
    path = tmp_path / "again.pcapng"
    Run([seen.binary, "trace", "-r", seen.path("loss_thrice"), "--write", path])
    again = {row["packet"] for row in seen.events("loss_thrice").segments if "retransmission" in row["notes"]}
    assert len(again) == 3
    assert again <= set(tshark.comments(path))
    Run([seen.binary, "trace", "-r", seen.path("close4"), "--write", path])
    last = len(seen.events("close4").segments)
    assert set(tshark.comments(path)) <= {1, last}  # which connection begins there, and what is to be said at its end


def test_write_what_the_filter_leaves(seen, tmp_path):
    if tshark.missing():
        pytest.skip(tshark.missing())
    path = tmp_path / "again.pcapng"
    Run([seen.binary, "trace", "-r", seen.path("no_tcp"), "--write", path, "udp"])
    assert tshark.n_packets(path) == 1


def test_what_was_written_is_read_again(seen, tmp_path):
    path = tmp_path / "again.pcapng"
    Run([seen.binary, "trace", "-r", seen.path("loss_two"), "--write", path])
    again = Events(strict_lines(Run([seen.binary, "trace", "-r", path, "--json"]).out))
    assert again.segments == seen.events("loss_two").segments


# --- two points of one line --------------------------------------------------------------------------------------------


def two_points(path, *, stamps):
    """A capture of both ends of a line of 5 ms: one segment is lost between them, and sent again. What tells a packet
    from its repeat is its IP id, or only its timestamps."""
    ends = (("192.0.2.1", 40000), ("192.0.2.2", 7007))
    talk = [  # milliseconds, who, whether it arrives
        (0, 0, True, ("S", 1000, 0, b"")),
        (5.1, 1, True, ("S.", 5000, 1001, b"")),
        (10.2, 0, True, (".", 1001, 5001, b"")),
        (11, 0, False, ("P.", 1001, 5001, b"hello")),
        (231, 0, True, ("P.", 1001, 5001, b"hello")),
        (236.1, 1, True, (".", 5001, 1006, b"")),
        (250, 0, True, ("F.", 1006, 5001, b"")),
        (255.1, 1, True, ("F.", 5001, 1007, b"")),
        (260.2, 0, True, (".", 1007, 5002, b"")),
    ]
    seen_at = []
    for number, (at_ms, sender, arrives, (flags, seq, ack, data)) in enumerate(talk, 1):
        options = pcap.timestamps(1000 + int(at_ms), 1) if stamps else b""
        segment = pcap.tcp(ends[sender], ends[1 - sender], flags, seq, ack, data=data, options=options)
        packet = pcap.ip(ends[sender], ends[1 - sender], segment, ident=0 if stamps else number)
        frame = pcap.ethernet(packet, swap=sender == 1)
        seen_at.append((at_ms, sender, frame))
        if arrives:
            seen_at.append((at_ms + 5, 1 - sender, frame))
    seen_at.sort(key=lambda row: row[0])
    records = [pcap.Record(10**18 + int(at_ms * 10**6), frame) for at_ms, _, frame in seen_at]
    pcap.write_ng(path, records, interfaces=[interface for _, interface, _ in seen_at])
    return path


@pytest.mark.parametrize("stamps", [False, True])
def test_two_points_of_one_line(seen, tmp_path, stamps):
    """What is seen again at the other point, milliseconds later, is no repeat; what is seen again at its own is one."""
    path = two_points(tmp_path / "two.pcapng", stamps=stamps)
    rows = Events(strict_lines(Run([seen.binary, "trace", "-r", path, "--json"]).out)).segments
    assert len(rows) == 17
    assert len([row for row in rows if "seen-twice" in row["notes"]]) == 8
    again = [row for row in rows if "retransmission" in row["notes"]]
    assert [(row["packet"], row["seq"], row["len"]) for row in again] == [(8, 1, 5)]
    assert not [row for row in rows if "syn-retry" in row["notes"] or "duplicate-ack" in row["notes"]]
    table = strict_lines(Run([seen.binary, "trace", "-r", path, "--summary", "--json"]).out)
    assert [row["retransmissions"] for row in table] == [1]


# --- hostile bytes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option", [(), ("--ascii",), ("--follow",), ("--follow", "--hex"), ("--layers",), ("--list",), ("--summary",)]
)
@pytest.mark.parametrize("capture", ["hostile", "hostile_names", "next_generation"])
def test_nothing_raw(seen, capture, option):
    """Not one byte that a terminal would obey, in any form; colours when asked for are the only escapes."""
    allowed = "\n\t" if option == ("--follow",) else "\n"  # a message's own tabs and newlines are its text
    harness.assert_printable(seen.run(capture, *option, "--color", "never").out, allowed)
    coloured = seen.run(capture, *option, "--color", "always").out
    harness.assert_printable(re.sub(rb"\x1b\[[0-9;]*m", b"", coloured), allowed)


def test_on_a_terminal(seen, tool):
    """In tmux: the hostile capture changes neither the title nor the screen's state."""
    tmux = tool("tmux")
    name = f"sonde-e2e-{os.getpid()}"

    def ask(*arguments):
        done = subprocess.run(
            [tmux, "-L", name, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False
        )
        return done.stdout.decode("utf-8", "replace")

    command = f"{seen.binary} trace -r {seen.path('hostile')}; echo the end of it; cat"
    ask(
        "-f",
        "/dev/null",
        "new-session",
        "-d",
        "-x",
        "120",
        "-y",
        "100",
        "-s",
        "it",
        "env",
        "LC_ALL=C.UTF-8",
        "sh",
        "-c",
        command,
    )
    try:
        harness.wait_until(
            lambda: "the end of it" in ask("capture-pane", "-p", "-t", "it", "-S", "-"), "the trace is over"
        )
        screen = ask("capture-pane", "-p", "-t", "it", "-S", "-")
        assert "owned" not in ask("display-message", "-p", "-t", "it", "#{pane_title}")
        assert "tcp 10.0.0.1:" in screen and "TIME_WAIT" in screen
        assert (
            ask("display-message", "-p", "-t", "it", "#{cursor_flag} #{insert_flag} #{alternate_on}").strip() == "1 0 0"
        )
    finally:
        ask("kill-session", "-t", "it")


# --- bad input -------------------------------------------------------------------------------------------------------


def bad_files(path):
    whole = path / "whole.pcap"
    pcap.write(whole, crafted.whole().records)
    data = whole.read_bytes()
    return {
        "empty": b"",
        "text": b"this is no capture\n",
        "zeros": bytes(100),
        "half a header": data[:11],
        "html": b"<!DOCTYPE html><html>",
        "unknown link type": data[:20] + b"\xf0\x00\x00\x00" + data[24:],
        "json of something else": b'{"hello": 1}\n',
        "broken json": b'{"kind": "segment", \n',
    }


@pytest.mark.parametrize(
    "what",
    ["empty", "text", "zeros", "half a header", "html", "unknown link type", "json of something else", "broken json"],
)
def test_bad_file(seen, what, tmp_path):
    """One sentence, exit status 1."""
    path = tmp_path / "file"
    path.write_bytes(bad_files(tmp_path)[what])
    run = Run([seen.binary, "trace", "-r", path], status=1)
    assert run.out == b""
    assert harness.one_sentence(run.err)


def test_no_such_file(seen, tmp_path):
    run = Run([seen.binary, "trace", "-r", tmp_path / "nowhere.pcap"], status=1)
    assert "no such file" in harness.one_sentence(run.err).lower()
    assert Run([seen.binary, "trace", "-r", tmp_path], status=1).out == b""


@pytest.mark.parametrize("missing", [1, 5, 20, 60])
def test_cut_off_file(seen, missing, tmp_path):
    """A recording that was broken off: what was before is shown, and that it is cut is said."""
    whole = pcap.write(tmp_path / "whole.pcap", crafted.whole().records)
    part = tmp_path / "part.pcap"
    part.write_bytes(whole.read_bytes()[:-missing])
    run = Run([seen.binary, "trace", "-r", part, "--json"], status=None)
    n_left = len(pcap.read(part)[1]) - (missing < 54)  # the reader above takes what there is of the last
    assert len(Events(strict_lines(run.out)).segments) == n_left
    assert run.status == 1 or run.err
    assert re.search("cut|truncated|ends|incomplete", run.err), run


def test_json_broken_off(seen, tmp_path):
    """Recorded events whose last line is half there."""
    data = seen.run("close4", "--json").out
    path = tmp_path / "events.jsonl"
    path.write_bytes(data[:-40])
    run = Run([seen.binary, "trace", "-r", path, *WIDE], status=None)
    assert "hello yourself" in run.text and run.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["--width", "x"],
        ["--count", "-1"],
        ["--color", "mauve"],
        ["-r"],
        ["--conn", ""],
        ["-r", "x", "-i", "lo"],
    ],
)
def test_misuse(seen, arguments):
    run = Run([seen.binary, "trace", *arguments], status=2)
    assert run.out == b"" and run.err.startswith("sonde: ")


def test_no_such_connection(seen):
    run = Run([seen.binary, "trace", "-r", seen.path("wrap"), "--conn", "99"], status=1)
    assert harness.one_sentence(run.err)


def test_a_reader_that_goes_away(seen, tool):
    """A broken pipe is a quiet end."""
    done = subprocess.run(
        ["bash", "-c", f"{seen.binary} trace -r {seen.path('many_bytes')} --json | head -n 1; echo ${{PIPESTATUS[0]}}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    line, status = done.stdout.decode().splitlines()
    json.loads(line)
    assert done.stderr == b"" and status in ("0", "141", "1")


def test_what_cannot_be_shown_is_counted(seen):
    """Packets that are neither TCP nor UDP are said on standard error."""
    assert re.search(r"\b[34] (?:packets )?", seen.run("no_tcp").err) and "TCP" in seen.run("no_tcp").err


@pytest.mark.heavy
def test_a_large_capture(seen, tmp_path):
    """Thirty thousand segments of three hundred connections."""
    n_connections = harness.scaled(300, least=20)
    records = []
    for number in range(n_connections):
        talk = pcap.Talk(a=(f"10.1.{number >> 8}.{number & 255}", 40000), start_s=1_700_000_000 + number).open()
        for _ in range(45):
            talk.say("a", b"x" * 10)
        records += talk.close().records
    path = pcap.write(tmp_path / "large.pcap", records)
    rows = strict_lines(Run([shutil.which("env"), seen.binary, "trace", "-r", path, "--summary", "--json"]).out)
    assert len(rows) == n_connections
    assert {row["packets_from_client"] + row["packets_from_server"] for row in rows} == {97}
