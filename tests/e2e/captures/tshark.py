# SPDX-License-Identifier: MIT
"""What tshark says of a capture, a dictionary for each TCP segment."""

import os
import shutil
import subprocess

import harness

ANALYSIS = (
    "retransmission fast_retransmission spurious_retransmission out_of_order lost_segment ack_lost_segment"
    " duplicate_ack zero_window zero_window_probe zero_window_probe_ack window_update window_full"
    " keep_alive keep_alive_ack reused_ports"
).split()
NUMBERS = {
    "packet": "frame.number",
    "stream": "tcp.stream",
    "seq_raw": "tcp.seq_raw",
    "ack_raw": "tcp.ack_raw",
    "seq": "tcp.seq",
    "ack": "tcp.ack",
    "len": "tcp.len",
    "window": "tcp.window_size",
    "window_raw": "tcp.window_size_value",
    "source_port": "tcp.srcport",
    "destination_port": "tcp.dstport",
}
TEXTS = {
    "source": "ip.src",
    "source6": "ipv6.src",
    "destination": "ip.dst",
    "destination6": "ipv6.dst",
    "flags": "tcp.flags",
    "mss": "tcp.options.mss_val",
    "scale": "tcp.options.wscale.shift",
    "sack_permitted": "tcp.options.sack_perm",
    "ts_value": "tcp.options.timestamp.tsval",
    "ts_echo": "tcp.options.timestamp.tsecr",
    "sack_from": "tcp.options.sack_le",
    "sack_to": "tcp.options.sack_re",
    "malformed": "_ws.malformed",
}
PREFERENCES = ("tcp.relative_sequence_numbers:TRUE", "tcp.desegment_tcp_streams:FALSE", "tcp.try_heuristic_first:FALSE")


def missing():
    return None if shutil.which("tshark") else "tshark is not installed"


def run(*arguments, deadline=60):
    """tshark's standard output. It reads no settings of whoever runs the tests."""
    command = ["tshark", "-n", *arguments]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        timeout=max(deadline, harness.DEADLINE),
        env={**os.environ, "HOME": "/nonexistent"},
    )
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")


def _first(text):
    return text.split("\x1f")[0] if text else ""


def segments(path):
    """Each TCP segment of a capture that is a packet of its own (not one that an ICMP message quotes)."""
    fields = {**NUMBERS, **TEXTS, **{name: f"tcp.analysis.{name}" for name in ANALYSIS}}
    arguments = [part for preference in PREFERENCES for part in ("-o", preference)]
    arguments += ["-Y", "tcp && !icmp && !icmpv6", "-T", "fields", "-E", "separator=/t", "-E", "aggregator=\x1f"]
    for field in fields.values():
        arguments += ["-e", field]
    _, out, err = run("-r", path, *arguments)
    rows = []
    for line in out.decode().splitlines():
        row = dict(zip(fields, line.split("\t")))
        for name in NUMBERS:
            row[name] = int(_first(row[name])) if row[name] else None
        for name in ("sack_from", "sack_to"):
            row[name] = [int(edge) for edge in row[name].split("\x1f") if edge]
        for name in ("mss", "scale", "ts_value", "ts_echo"):
            row[name] = int(_first(row[name])) if row[name] else None
        row["flags"] = int(row["flags"], 16)
        row["sack_permitted"] = bool(row["sack_permitted"])
        for name in ("source", "destination"):
            row[name] = row[name] or row[name + "6"]
        row["analysis"] = {name for name in ANALYSIS if row.pop(name)}
        rows.append(row)
    assert rows or "tcp" not in err, err
    return rows


def n_packets(path):
    status, out, err = run("-r", path, "-T", "fields", "-e", "frame.number")
    assert status == 0, err
    return len(out.splitlines())


def comments(path):
    """{number of the packet: [its comments]}, as bytes."""
    status, out, err = run(
        "-r", path, "-T", "fields", "-E", "aggregator=\x1f", "-e", "frame.number", "-e", "frame.comment"
    )
    assert status == 0, err
    rows = [line.split(b"\t", 1) for line in out.split(b"\n") if line]
    return {int(row[0]): row[1].split(b"\x1f") for row in rows if len(row) > 1 and row[1]}
