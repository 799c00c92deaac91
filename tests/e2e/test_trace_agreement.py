# SPDX-License-Identifier: MIT
"""`sonde trace` and tshark say the same of every capture that these tests make.

Numbers, flags, options: field by field, each segment. Conclusions (retransmission, window full, ...): where both claim
the same thing. What differs is in DIFFERENCES, each with a section of docs/trace-vs-wireshark.md, and nothing else may.
"""

import dataclasses
import re
import typing

import pytest

import harness
from captures import crafted, scenarios
from captures.seen import ALL, seen  # noqa: F401  pylint: disable=unused-import

DOCUMENT = harness.ROOT / "docs" / "trace-vs-wireshark.md"

# Where nothing is lost on the way, one end sees what the other sees: seen at the client is enough.
COMPARED = [name for name in ALL if not name.endswith("@b") or scenarios.SCENARIOS[name[:-2]].trouble != ""]

# What ours are called and what theirs are: the same claim. A note that is in none of them has no counterpart there.
SAME = {
    "retransmission": {"retransmission", "syn-retry"},
    "fast_retransmission": {"fast"},
    "spurious_retransmission": {"spurious"},
    "out_of_order": {"out-of-order"},
    "lost_segment": {"hole"},
    "ack_lost_segment": {"not-captured"},
    "duplicate_ack": {"duplicate-ack"},
    "zero_window": {"zero-window"},
    "zero_window_probe": {"window-probe"},
    "zero_window_probe_ack": {"probe-answer"},
    "window_update": {"window-update"},
    "window_full": {"window-full"},
    "keep_alive": {"keep-alive"},
    "keep_alive_ack": {"keep-alive-answer"},
    "reused_ports": {"tuple-reused"},
}


@dataclasses.dataclass
class Segment:
    """One segment as both see it, and what is around it."""

    capture: str
    ours: dict
    theirs: dict
    before: list  # all Segments of its connection so far
    after: list = dataclasses.field(default_factory=list)

    @property
    def notes(self):
        return set(self.ours["notes"])

    @property
    def analysis(self):
        return self.theirs["analysis"]

    @property
    def sender(self):
        return self.ours["src"]

    def of_sender(self):
        return [one for one in self.before if one.sender == self.sender]

    def of_other(self):
        return [one for one in self.before if one.sender != self.sender]

    @property
    def first(self):
        """The first segment of its connection."""
        return (self.before or [self])[0]

    @property
    def end(self):
        """The sequence number behind it."""
        return self.ours["seq"] + self.ours["len"] + ("S" in self.ours["flags"]) + ("F" in self.ours["flags"])


class Difference(typing.NamedTuple):
    """Theirs without ours, or ours without theirs, and why: `because` finds the reason in the segments themselves."""

    section: str  # of the document
    whose: str  # "ours", "theirs": who claims it alone
    claim: str  # a key of SAME
    because: typing.Callable


DIFFERENCES = []


def difference(section, whose, *claims):
    def register(function):
        DIFFERENCES.extend(Difference(section, whose, claim, function) for claim in claims)
        return function

    return register


@difference("A SYN-ACK behind a SYN", "theirs", "retransmission")
def _(segment):
    mine = segment.of_sender()
    return segment.ours["flags"] == "S." and len(mine) == 1 and mine[0].ours["flags"] == "S"


@difference(
    "Packets that were captured twice", "theirs", "retransmission", "spurious_retransmission", "out_of_order", "duplicate_ack"
)
def _(segment):
    return "seen-twice" in segment.notes


@difference("Windows before and after they are scaled", "theirs", "window_update")
def _(segment):
    mine = segment.of_sender()
    return bool(mine) and "S" in mine[-1].ours["flags"]


@difference("Acknowledgements that report a duplicate", "theirs", "duplicate_ack")
def _(segment):
    return "dsack" in segment.notes


@difference("Acknowledgements that answer a repeat", "theirs", "duplicate_ack")
def _(segment):
    other = segment.of_other()
    return bool(other) and bool(other[-1].notes & SAME["retransmission"])


@difference("Duplicate ACKs that also move the window", "ours", "duplicate_ack")
@difference("Duplicate ACKs that also move the window", "theirs", "window_update")
def _(segment):
    return "duplicate-ack" in segment.notes and "sack" in segment.ours["options"]


@difference("Probes of a closed window", "ours", "zero_window_probe", "zero_window_probe_ack")
@difference("Probes of a closed window", "theirs", "keep_alive", "keep_alive_ack")
def _(segment):
    closed = [one for one in segment.of_other() + segment.of_sender() if one.ours["window"] == 0]
    return bool(segment.notes & {"window-probe", "probe-answer"}) and bool(closed)


@difference("A repeat that fills the window", "theirs", "window_full")
def _(segment):
    return "retransmission" in segment.notes


@difference("Copies that were not needed", "ours", "spurious_retransmission")
def _(segment):
    blocks = [as_block(block) for one in segment.of_other() for block in one.ours["options"].get("sack", ())]
    acked = any(one.ours["ack"] >= segment.end for one in segment.of_other())
    reported = any(int(one["from"]) <= segment.ours["seq"] and segment.end <= int(one["to"]) for one in blocks)
    return "retransmission" in segment.analysis and (acked or reported)


@difference("Repeats or merely late", "ours", "retransmission", "fast_retransmission")
@difference("Repeats or merely late", "theirs", "out_of_order")
def _(segment):
    same = [one for one in segment.of_sender() if one.ours["seq"] == segment.ours["seq"] and one.end > one.ours["seq"]]
    reported = [
        one for one in segment.of_other() if one.notes & {"duplicate-ack"} and one.ours["ack"] <= segment.ours["seq"]
    ]
    return bool(same or len(reported) >= 3) and {"retransmission", "out_of_order"} & segment.analysis == {
        "out_of_order"
    }


@difference("How soon a fast retransmission comes", "ours", "fast_retransmission")
def _(segment):
    reported = [one for one in segment.of_other() if "duplicate-ack" in one.notes or "sack" in one.ours["options"]]
    return "retransmission" in segment.analysis and bool(reported)


@difference("How soon a fast retransmission comes", "theirs", "fast_retransmission")
def _(segment):
    """Its last copy came late: behind all that was reported."""
    copies, reports = [-1], [-1]
    for number, one in enumerate(segment.before):
        if one.sender != segment.sender and "duplicate_ack" in one.analysis:
            reports.append(number)
        elif one.sender == segment.sender and one.ours["len"] and one.ours["seq"] == segment.ours["seq"]:
            copies.append(number)
    return copies[-1] > reports[-1] > -1


def all_captured(segment):
    """What it acknowledges beyond the ACKs before it is all in the capture."""
    at = max((one.ours["ack"] for one in segment.of_sender()), default=0)
    for one in sorted(segment.of_other(), key=lambda one: one.ours["seq"]):
        if one.ours["seq"] <= at:
            at = max(at, one.end)
    return at >= segment.ours["ack"]


@difference("Acknowledged holes", "ours", "ack_lost_segment")
def _(segment):
    return not all_captured(segment)


@difference("Acknowledgements of bytes that are there", "theirs", "ack_lost_segment")
def _(segment):
    return all_captured(segment)


@difference("Empty segments behind a hole", "theirs", "lost_segment")
def _(segment):
    return not segment.ours["len"] and any(one.ours["seq"] < segment.ours["seq"] for one in segment.of_sender())


@difference("A hole is told once", "theirs", "lost_segment")
def _(segment):
    told = [one for one in segment.of_other() if "not-captured" in one.notes and one.ours["ack"] >= segment.ours["seq"]]
    return bool(told)


@difference("Where a capture begins midway", "ours", "lost_segment", "ack_lost_segment")
def _(segment):
    return "begins-midway" in segment.first.notes and not any(one.ours["len"] for one in segment.of_sender())


# --- fields --------------------------------------------------------------------------------------------------------


def pairs(seen, capture):
    """The segments of a capture as both see them; both must see the same ones."""
    ours, theirs = seen.events(capture).segments, seen.tshark(capture)
    numbers = [row["packet"] for row in ours]
    assert numbers == [row["packet"] for row in theirs], "not the same packets are segments"
    of_connection, result = {}, []
    for one, other in zip(ours, theirs):
        before = of_connection.setdefault(one["conn"], [])
        segment = Segment(capture, one, other, list(before))
        for earlier in before:
            earlier.after.append(segment)
        before.append(segment)
        result.append(segment)
    return result


def address(text, port):
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def our_flags(text):
    letters = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128, "e": 256}
    return 0 if text == "none" else sum(letters[letter] for letter in text)


def never_began(segment):
    """The end that sent this has sent no SYN, nor data, in a connection whose opening was seen: a refusal."""
    opened = any("S" in one.ours["flags"] for one in segment.before)
    return opened and not segment.of_sender() and "S" not in segment.ours["flags"]


def never_seen_syn(segment):
    return not any("S" in one.ours["flags"] for one in segment.before)


def one_segment(segment):
    """(ours, theirs): the fields that are told of both."""
    ours, theirs = segment.ours, segment.theirs
    flags = our_flags(ours["flags"])
    mine = {
        "src": ours["src"],
        "dst": ours["dst"],
        "flags": flags,
        "seq_raw": ours["seq_raw"],
        "len": ours["len"],
        "window_raw": ours["window_raw"],
        "window": ours["window"],
        "seq": ours["seq"] & 0xFFFFFFFF,  # numbers past 4 GiB
        "ack": None,
        "ack_raw": None,
    }
    other = {
        "src": address(theirs["source"], theirs["source_port"]),
        "dst": address(theirs["destination"], theirs["destination_port"]),
        "ack": None,
        "ack_raw": None,
        **{name: theirs[name] for name in ("flags", "seq_raw", "len", "window_raw", "window", "seq")},
    }
    if flags & 16:  # without the flag the field has no meaning
        mine.update(ack=ours["ack"] & 0xFFFFFFFF, ack_raw=ours["ack_raw"])
        other.update(ack=theirs["ack"], ack_raw=theirs["ack_raw"])
    if "scale-unknown" in segment.notes and not never_seen_syn(segment):  # a handshake that is half seen
        assert ours["window"] == ours["window_raw"]
        mine["window"] = other["window"]
    if never_began(segment):  # the first number of a refusal
        assert ours["seq"] in (0, 1)
        mine["seq"] = other["seq"]
    return mine, other


@pytest.mark.parametrize("capture", COMPARED)
def test_fields(seen, capture):
    for segment in pairs(seen, capture):
        mine, other = one_segment(segment)
        assert mine == other, f"packet {segment.ours['packet']}: {segment.ours}"


@pytest.mark.parametrize("capture", COMPARED)
def test_options(seen, capture):
    for segment in pairs(seen, capture):
        ours, theirs = segment.ours["options"], segment.theirs
        mine = {
            "mss": ours.get("mss"),
            "scale": ours.get("window_scale"),
            "sack_permitted": bool(ours.get("sack_permitted")),
            "ts": (ours["ts_value"], ours["ts_echo"]) if "ts_value" in ours else None,
            "sack": [
                (int(one["from"]) & 0xFFFFFFFF, int(one["to"]) & 0xFFFFFFFF)
                for one in map(as_block, ours.get("sack", ()))
            ],
        }
        other = {
            "mss": theirs["mss"],
            "scale": theirs["scale"],
            "sack_permitted": theirs["sack_permitted"],
            "ts": (theirs["ts_value"], theirs["ts_echo"]) if theirs["ts_value"] is not None else None,
            "sack": list(zip(theirs["sack_from"], theirs["sack_to"])),
        }
        if "cut" in segment.notes:  # options that are cut
            mine = {name: value for name, value in mine.items() if value}
            other = {name: other[name] for name in mine}
        assert mine == other, f"packet {segment.ours['packet']}: {segment.ours}"


def as_block(block):
    return block if isinstance(block, dict) else {"from": block[0], "to": block[1]}


@pytest.mark.parametrize("capture", COMPARED)
def test_connections(seen, capture):
    """The same segments belong together."""
    ours, theirs = {}, {}
    for segment in pairs(seen, capture):
        ours.setdefault(segment.ours["conn"], []).append(segment.ours["packet"])
        theirs.setdefault(segment.theirs["stream"], []).append(segment.ours["packet"])
    assert sorted(ours.values()) == sorted(theirs.values())


# --- conclusions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", COMPARED)
def test_analysis(seen, capture):
    unexplained = []
    for segment in pairs(seen, capture):
        for claim, notes in SAME.items():
            mine, other = bool(segment.notes & notes), claim in segment.analysis
            if mine == other:
                continue
            whose = "ours" if mine else "theirs"
            reasons = [one for one in DIFFERENCES if (one.whose, one.claim) == (whose, claim) and one.because(segment)]
            if not reasons:
                unexplained.append(
                    f"packet {segment.ours['packet']} {segment.ours['flags']}: {claim} is {whose} alone;"
                    f" ours {sorted(segment.notes)}, theirs {sorted(segment.analysis)}"
                )
    assert not unexplained, "\n".join(unexplained)


def test_every_difference_is_documented():
    """Each has its section, and each section of that list a difference that stands for it."""
    text = DOCUMENT.read_text(encoding="utf-8")
    listed = text.split("\n## Conclusions that differ\n")[1].split("\n## ")[0]
    sections = set(re.findall(r"^### (.+)$", listed, re.M))
    assert sections == {one.section for one in DIFFERENCES}


def test_every_note_is_in_the_document():
    """The table of the document is the one of this test."""
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `tcp\.analysis\.(\w+)` \| (.+?) \|", text, re.M)
    assert {claim: set(re.findall(r"`([a-z-]+)`", notes)) for claim, notes in rows} == SAME


def test_all_is_all():
    """No scenario is left out."""
    assert set(scenarios.SCENARIOS) | set(crafted.CRAFTED) | set(crafted.DERIVED) == {
        name.partition("@")[0] for name in ALL
    }
