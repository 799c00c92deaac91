# SPDX-License-Identifier: MIT
"""The captures that the other tests rely on are what they claim to be: tshark says so, not the command under test."""

import pytest

from captures import pcap
from captures.scenarios import SCENARIOS
from captures.seen import BY_HAND, DIRECT, seen  # noqa: F401  pylint: disable=unused-import

# capture: (flags of all its segments in order or None, what tshark has to find in it at least)
EXPECTED = {
    "close4": ("S S. . P. . P. . F. . F. .", ()),
    "server_first": ("S S. . P. . F. . F. .", ()),
    "simultaneous_close": ("S S. . P. . F. F. . .", ()),
    "simultaneous_open": ("S S S. S. . .", ()),
    "refused": ("S R.", ()),
    "reset_unread": ("S S. . P. . R.", ()),
    "reset_abort": ("S S. . P. . R.", ()),
    "reset_after_close": ("S S. . P. . F. . P. R", ()),
    "no_answer": ("S S", ("retransmission",)),
    "loss_syn@b": ("S S. . P. . F. . F. .", ()),
    "loss_syn": ("S S S. . P. . F. . F. .", ("retransmission",)),
    "loss_final_ack_data@b": ("S S. P. . F. . F. .", ()),
    "loss_only_data": ("S S. . P. P. . F. . F. .", ("retransmission",)),
    "loss_thrice": ("S S. . P. P. P. P. . F. . F. .", ("retransmission",)),
    "loss_thrice@b": ("S S. . P. . F. . F. .", ()),
    "loss_data_ack@b": ("S S. . P. . P. . F. . F. .", ("retransmission", "spurious_retransmission", "duplicate_ack")),
    "loss_fin": ("S S. . P. . F. F. . F. .", ("retransmission",)),
    "loss_fin_ack@b": ("S S. . P. . F. . F. . F. .", ("retransmission",)),
    "loss_last_ack": ("S S. . P. . F. . F. . F. .", ("retransmission",)),
    "loss_middle_data": (None, ("fast_retransmission", "duplicate_ack")),
    "loss_middle_data@b": (None, ("lost_segment",)),
    "loss_last_data": (None, ("retransmission",)),
    "loss_two@b": (None, ("lost_segment",)),  # by the time it took, the repair is one of two things to tshark
    "reordered@b": (None, ("lost_segment", "duplicate_ack")),
    "duplicated@b": (None, ("retransmission",)),
    "zero_window": (None, ("zero_window", "keep_alive")),
    "keep_alive": ("S S. . P. . . . F. . F. .", ("keep_alive", "keep_alive_ack")),
    "lo": ("S S. . P. . F. . F. .", ()),
    "any_sll": ("S S. . P. . F. . F. .", ()),
    "any_sll2": ("S S. . P. . F. . F. .", ()),
}
LETTERS = {0x02: "S", 0x12: "S.", 0x10: ".", 0x18: "P.", 0x11: "F.", 0x19: "FP.", 0x04: "R", 0x14: "R."}


@pytest.mark.parametrize("capture", EXPECTED)
def test_is_what_it_claims(seen, capture):
    flags, found = EXPECTED[capture]
    rows = seen.tshark(capture)
    if flags:
        assert " ".join(LETTERS[row["flags"]] for row in rows) == flags
    assert set(found) <= set().union(*(row["analysis"] for row in rows))
    if not found:
        assert not any(row["analysis"] - {"retransmission", "window_update"} for row in rows)


@pytest.mark.parametrize("capture", ["port_reuse", "port_reuse_reset", "accept_full"])
def test_three_connections(seen, capture):
    """Of the first two all have the same addresses and ports, while TIME_WAIT would last."""
    rows = seen.tshark(capture)
    assert {row["stream"] for row in rows} == {0, 1, 2}
    if capture != "accept_full":
        assert len({row["source_port"] for row in rows}) == 2
        _, records = pcap.read(seen.path(capture))
        assert records[-1].t_ns - records[0].t_ns < 60_000_000_000


@pytest.mark.parametrize("capture", [name for name in DIRECT if SCENARIOS[name].linktype is not None])
def test_link_types(seen, capture):
    assert pcap.read(seen.path(capture))[0] == SCENARIOS[capture].linktype


def test_offloads(seen):
    """On, segments are longer than MSS; on the wire of the scenarios they never are."""
    assert max(row["len"] for row in seen.tshark("offload")) > 1460
    assert max(row["len"] for row in seen.tshark("many_bytes")) <= 1448


@pytest.mark.parametrize("capture", BY_HAND)
def test_made_by_hand(seen, capture):
    """tshark finds nothing malformed in it, but where that is the point."""
    rows = seen.tshark(capture)
    assert rows
    if capture not in ("malformed_options", "cut"):
        assert not any(row["malformed"] for row in rows)
