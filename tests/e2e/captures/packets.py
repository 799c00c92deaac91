# SPDX-License-Identifier: MIT
"""Scenarios: UDP, ICMP, and what tcpdump records on interfaces as they are."""

import socket

import harness
from captures import netns, pcap
from captures.netns import Wire
from captures.playing import (
    ACTIVE,
    PASSIVE_B,
    PORT,
    SCENARIOS,
    Scenario,
    first_end,
    ready,
    say,
    scenario,
)

# --- UDP and ICMP --------------------------------------------------------------------------------------------------


@scenario(n_connections=1)
def udp_fragments(wire):
    """A datagram of 3000 bytes each way, in fragments, and small ones between."""
    with wire.a.socket(kind=socket.SOCK_DGRAM) as client, wire.b.socket(kind=socket.SOCK_DGRAM) as server:
        server.bind((Wire.B4, 5353 + 2000))
        client.connect(server.getsockname())
        for size in (10, 3000, 0):
            client.send(b"?" * size)
            data, address = server.recvfrom(1 << 16)
            assert len(data) == size
            server.sendto(b"!" * size, address)
            assert len(client.recv(1 << 16)) == size


@scenario(n_connections=1, trouble="unreachable|[Rr]efused|nobody|nothing")
def icmp_port(wire):
    with wire.a.socket(kind=socket.SOCK_DGRAM) as client:
        client.connect((Wire.B4, 7999))
        client.send(b"anyone?")
        wire.arrived(lambda frame: frame.end == "b")


@scenario(n_connections=1, trouble="unreachable|[Rr]efused|nobody|nothing")
def icmp6_port(wire):
    with wire.a.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.connect((Wire.B6, 7999))
        client.send(b"anyone?")
        wire.arrived(lambda frame: frame.end == "b")


def _routed(wire, what):
    """192.0.2.0/24 is behind the server, which does with it what is said."""
    wire.b.sysctl("net/ipv4/ip_forward", 1)
    wire.b.ip(*what)
    wire.a.ip(f"route add 192.0.2.0/24 via {Wire.B4}")


@scenario(client=("SYN_SENT",), trouble="unreachable")
def icmp_unreachable(wire):
    """A router says that there is no such host, in answer to a SYN."""
    _routed(wire, ["route add unreachable 192.0.2.0/24"])
    with wire.a.socket() as client:
        assert client.connect_ex(("192.0.2.1", PORT)) == 113
        wire.arrived(lambda frame: frame.end == "b")


@scenario(client=("SYN_SENT",), trouble="prohibited|filtered|forbid|refuse")
def icmp_prohibited(wire):
    _routed(wire, ["route add prohibit 192.0.2.0/24"])
    with wire.a.socket() as client:
        assert client.connect_ex(("192.0.2.1", PORT)) == 113
        wire.arrived(lambda frame: frame.end == "b")


@scenario(n_connections=1, trouble=None)
def icmp_too_big(wire):
    """A datagram that must not be cut is too long for the next link."""
    _routed(
        wire,
        [
            "link add name d0 mtu 1280 type veth peer name d1",
            "link set d0 up",
            "link set d1 up",
            "address add 192.0.2.254/24 dev d0",
        ],
    )
    with wire.a.socket(kind=socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
        client.connect(("192.0.2.1", PORT))
        client.send(b"x" * 1400)
        wire.arrived(lambda frame: frame.end == "b" and frame.data[23] == 1)


# --- recorded by tcpdump -------------------------------------------------------------------------------------------


CHUNK = 30_000


def _talk_on(namespace, host, *, n_bytes=0, peer=None):
    """Handshake, hello, n_bytes, four-segment close between two sockets of these namespaces."""
    with (peer or namespace).listener(host, PORT) as listener, ready(namespace.socket()) as client:
        client.connect((host, PORT))
        with ready(listener.accept()[0]) as server:
            say(None, client, server, b"hello")
            if n_bytes:
                for _ in range(n_bytes // CHUNK):  # so that the window is never full, however slow this is
                    say(None, client, server, bytes(CHUNK))
            first_end(None, client)
            assert server.recv(1) == b""
            server.close()
            harness.wait_until(
                lambda: not any(row.state in ("LAST_ACK", "CLOSE_WAIT") for row in (peer or namespace).tcp_table(PORT)),
                "the last ACK is there",
            )


class _Alone:
    """One namespace, for what is recorded on its own interfaces."""

    def __enter__(self):
        self.namespace = netns.Namespace()
        return self.namespace

    def __exit__(self, *_):
        self.namespace.close()


def recorded(name, interface, options=(), n_bytes=0, **facts):
    def make(path):
        with _Alone() as namespace:
            recorder = netns.Recorder(namespace, interface, path, options=options)
            _talk_on(namespace, "127.0.0.1", n_bytes=n_bytes)
            recorder.stop()

    SCENARIOS[name] = Scenario(make, client=ACTIVE, server=PASSIVE_B, trouble="", ends="", **facts)


recorded("lo", "lo", linktype=pcap.ETHERNET)
recorded("lo_bulk", "lo", n_bytes=300_000, linktype=pcap.ETHERNET)
recorded("any_sll2", "any", ("-y", "LINUX_SLL2"), linktype=pcap.SLL2)
recorded("any_sll", "any", ("-y", "LINUX_SLL"), linktype=pcap.SLL)


def beside(name, setup, interface, host, n_bytes=0, **facts):
    """Two namespaces with nothing between them and offloads as they are; recorded at the client."""

    def make(path):
        with _Alone() as one, _Alone() as other:
            one.ip(f"link add name v0 type veth peer name v0 netns {other.path}")
            for namespace, number in ((one, 1), (other, 2)):
                namespace.sysctl("net/ipv6/conf/v0/addr_gen_mode", 1)
                namespace.ip("link set v0 up", *(line.format(n=number) for line in setup))
            recorder = netns.Recorder(one, interface, path, mark=(host, 9))
            _talk_on(one, host, n_bytes=n_bytes, peer=other)
            recorder.stop()

    SCENARIOS[name] = Scenario(make, client=ACTIVE, server=PASSIVE_B, trouble="", ends="", **facts)


beside(
    "offload",
    ["address add 10.0.0.{n}/24 dev v0"],
    "v0",
    "10.0.0.2",
    n_bytes=500_000,
    notes=("offload",),
    linktype=pcap.ETHERNET,
)
