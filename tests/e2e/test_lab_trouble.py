"""The lab's chapter on trouble: what its figures must have to do with each other, on any kernel."""

import pathlib
import socket

import lab_claims
import pytest


@pytest.fixture(params=sorted(lab_claims.USERS))
def user(request):
    return lab_claims.USERS[request.param]


def test_repairs(command, user):
    claim = lab_claims.run(command, "repairs", prefix=user)["C43"]
    figures = claim["figures"]
    assert claim["verdict"] == "true", claim
    assert figures["by_timer_after_ms"] >= 0.9 * figures["rto_ms"] > 0
    assert 0 < figures["behind_others_after_ms"] < figures["by_timer_after_ms"]
    assert figures["again_after_a_lost_ack"] == 0


def test_the_ladder_shows_what_was_lost(command):
    text = lab_claims.text(command, "repairs", "--width", "120")
    assert "×" in text or "X" in text
    assert "again #" in text and "RTO" in text


def test_timer(command, user):
    claims = lab_claims.run(command, "timer", prefix=user)
    figures = claims["C44"]["figures"]
    assert claims["C44"]["verdict"] == "true", claims["C44"]
    assert figures["rto_far_ms"] > figures["rto_near_ms"]
    assert figures["rto_far_ms"] > figures["rtt_far_ms"]
    assert figures["least_growth"] > 1, "twice, on a machine where timers are not late"
    assert claims["C57"]["verdict"] == "false", claims["C57"]
    assert claims["C57"]["figures"]["segments_at_an_expiry"] < claims["C57"]["figures"]["segments_in_flight"]


def test_giving_up(command, user):
    claim = lab_claims.run(command, "giving-up", prefix=user)["C45"]
    figures = claim["figures"]
    assert claim["verdict"] == "false", claim
    assert 0 < figures["sent_again_1"] <= figures["sent_again_2"], "1 and 2, both over the short path"
    assert figures["sent_again_3"] < figures["sent_again_2"], "2, over the long path and the short one"
    for number, retries in (1, 1), (2, 2), (3, 2):
        least = (2 ** (retries + 1) - 1) * 200  # what so many doublings of the least timeout come to
        assert figures[f"given_up_after_ms_{number}"] > least
    assert figures["syns"] >= 2


def test_congestion(command):
    text = lab_claims.text(command, "congestion")
    usable = pathlib.Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control").read_text(encoding="ascii").split()
    for name in usable:
        assert name in text
    assert "Mbit/s" in text


def largest_datagram():
    """By our own means, over loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        receiver.bind(("127.0.0.1", 0))
        sender.connect(receiver.getsockname())
        low, high = 1, 70000
        while low < high:
            middle = (low + high + 1) // 2
            try:
                sender.send(bytes(middle))
                low = middle
            except OSError:
                high = middle - 1
        return low


def test_datagrams(command, user):
    claims = lab_claims.run(command, "datagrams", prefix=user)
    assert claims["C67"]["verdict"] == "true"
    assert claims["C67"]["figures"]["largest_bytes"] == largest_datagram()
    assert claims["C67"]["figures"]["received_bytes"] == claims["C67"]["figures"]["largest_bytes"]
    assert claims["C24"]["figures"]["received_of_10"] == 10
    assert claims["C24"]["figures"]["received_of_10_with_2_lost"] == 8
    assert claims["C24"]["verdict"] == "it depends"
    assert claims["C23"]["verdict"] == "false", claims["C23"]
    assert claims["C23"]["figures"]["checksum"] != 0


def test_two_paths(command, user):
    claim = lab_claims.run(command, "two-paths", prefix=user)["C25"]
    assert claim["verdict"] == "false", claim
    assert claim["figures"]["segments_first_path"] > 0 and claim["figures"]["segments_second_path"] > 0
    assert claim["figures"]["rounds_answered"] == 20
