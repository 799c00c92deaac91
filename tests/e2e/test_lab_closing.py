"""The lab's chapter on closing, against what this machine does when it is asked in other ways."""

import ctypes
import os
import socket

import harness
import lab_claims
import pytest


@pytest.fixture(params=sorted(lab_claims.USERS))
def user(request):
    return lab_claims.USERS[request.param]


def test_ways_to_close(command, user):
    claims = lab_claims.run(command, "ways-to-close", prefix=user)
    four, holder = claims["C47"], claims["C51"]
    assert four["figures"]["segments_server_late"] == 4
    assert 3 <= four["figures"]["segments_server_at_once"] <= 4
    assert four["verdict"] == ("it depends" if four["figures"]["segments_server_at_once"] == 3 else "true")
    assert holder["verdict"] == "true", holder
    assert holder["figures"]["held_by_who_closed_first"] == holder["figures"]["orderly_closes"]


def test_the_ladder_of_a_simultaneous_close(command):
    """Two FINs cross: both ends pass through CLOSING, and both wait."""
    text = lab_claims.text(command, "ways-to-close")
    ladder = text[text.index("other's FIN"):]
    ladder = ladder[:ladder.index("\nVerdict")]
    assert ladder.count("CLOSING") == 2
    assert ladder.count("FIN_WAIT_1") == 2
    assert "LAST_ACK" not in ladder.split("\n\n")[0]


def time_wait_seconds():
    """Of a connection of our own: what /proc/net/tcp says its entry has still to wait."""
    with harness.listener() as listening:
        client = socket.create_connection(listening.getsockname())
        local, peer = client.getsockname(), client.getpeername()
        server, _ = listening.accept()
        client.close()
        assert server.recv(1) == b""
        server.close()

    def row():
        with open("/proc/net/tcp", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                words = line.split()
                ports = tuple(int(words[i].split(":")[1], 16) for i in (1, 2))
                if ports == (local[1], peer[1]) and words[3] == "06":
                    return words
        return None

    harness.wait_until(lambda: row() is not None, "our end is in TIME_WAIT")
    return int(row()[5].split(":")[1], 16) / os.sysconf("SC_CLK_TCK")


def test_time_wait(command, user):
    claim = lab_claims.run(command, "time-wait", prefix=user)["C48"]
    here = time_wait_seconds()
    assert claim["verdict"] == "it depends"
    assert abs(claim["figures"]["time_wait_s"] - here) < 3
    assert abs(claim["figures"]["time_wait_with_fin_timeout_5_s"] - here) < 3, "tcp_fin_timeout is another's"


def test_last_ack_lost(command, user):
    claim = lab_claims.run(command, "last-ack-lost", prefix=user)["C59"]
    assert claim["verdict"] == "true", claim
    assert claim["figures"]["fins_of_the_server"] >= 2
    assert claim["figures"]["acks_dropped"] >= 1


def test_left_open(command, user):
    claim = lab_claims.run(command, "left-open", prefix=user)["C60"]
    assert claim["verdict"] == "false", claim
    assert claim["figures"]["first_send"] == 8, "the kernel takes it all the same"
    assert claim["figures"]["second_send"] < 0
    assert claim["figures"]["received_after_shutdown"] == 10


def connect_again():
    """The results of connect() after AF_UNSPEC, and after a refusal, as names."""
    libc = ctypes.CDLL(None, use_errno=True)

    def outcome(sock, port):
        import errno
        error = sock.connect_ex(("127.0.0.1", port))
        return errno.errorcode[error] if error else "0"

    with harness.listener() as one, harness.listener() as two, socket.socket() as sock:
        sock.connect(one.getsockname())
        nowhere = (0).to_bytes(16, "little")
        libc.connect(sock.fileno(), nowhere, len(nowhere))
        dissolved = outcome(sock, two.getsockname()[1])
        with socket.socket() as refused, socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            assert outcome(refused, nobody.getsockname()[1]) == "ECONNREFUSED"
            return dissolved, outcome(refused, two.getsockname()[1])


def test_closed_socket(command, user):
    claim = lab_claims.run(command, "closed-socket", prefix=user)["C50"]
    figures = claim["figures"]
    assert figures["closed"] == "EBADF"
    assert (figures["dissolved_and_connected_again"], figures["refused_and_connected_again"]) == connect_again()
    assert claim["verdict"] == "it depends"
