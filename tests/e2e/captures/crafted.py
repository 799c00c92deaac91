# SPDX-License-Identifier: MIT
"""Captures put together by hand, or made of others: what kernels don't do on request, and other programs' files."""

import pathlib
import struct

from captures import pcap
from captures.pcap import MSS, SACK_OK, WSCALE, Talk, sack

CRAFTED = {}  # name: function(path)
DERIVED = {}  # name: (name of the capture that it is made of, function(path, linktype, records))


def crafted(function):
    CRAFTED[function.__name__] = function
    return function


def derived(source):
    def register(function):
        DERIVED[function.__name__] = (source, function)
        return function

    return register


def whole(**keywords):
    """A conversation in order: handshake, a message each way, four-segment close."""
    return Talk(**keywords).open().say("a", b"hello").say("b", b"hello yourself").close()


# --- sequence numbers ------------------------------------------------------------------------------------------------


@crafted
def wrap(path):
    """Both sequence numbers pass 2^32: one in the handshake, one amid data; the last data is sent again."""
    talk = Talk(isn=(0xFFFFFFFF, 0xFFFFFFF0)).open()
    for _ in range(3):
        talk.say("a", b"x" * 100).say("b", b"y" * 10)
    talk.segment("b", "P.", b"y" * 10, seq=talk.next["b"] - 10, after_us=300_000, window=502)
    talk.segment("a", ".", window=502).close()
    pcap.write(path, talk.records)


@crafted
def wrap_hole(path):
    """A hole right at 2^32, reported by SACK over it, then filled."""
    talk = Talk(isn=(0xFFFFFFFE - 1000, 5000)).open()
    start = talk.next["a"]
    talk.segment("a", ".", b"1" * 900, window=502)
    talk.segment("b", ".", window=502)
    talk.next["a"] += 300  # over the edge
    talk.segment("a", "P.", b"3" * 500, window=502)
    block = sack((start + 1200, start + 1700))
    talk.segment("b", ".", ack=start + 900, window=502, options=block)
    talk.segment("a", ".", b"2" * 300, seq=start + 900, after_us=30_000, window=502)
    talk.segment("b", ".", window=502).close()
    pcap.write(path, talk.records)


@crafted
def wrap_four_gib(path):
    """More than 4 GiB in 70 jumps of 64 MiB whose bytes the capture does not have: acknowledged, never derailed."""
    talk = Talk().open(MSS(1460) + WSCALE(14) + SACK_OK, 14)  # windows of 1 GiB, so that such jumps are possible
    talk.say("a", b"first", window=65535)
    for _ in range(70):
        talk.next["a"] += 64 << 20
        talk.segment("b", ".", after_us=50_000)
        talk.say("a", b"mark", window=65535)
    talk.close()
    pcap.write(path, talk.records)


# --- ends, retries, oddities -----------------------------------------------------------------------------------------


@crafted
def odd_syns(path):
    """A SYN without MSS; a scale of 15 (14 is the most); a scale that only one end has."""
    Talk().segment("a", "S")
    talk = Talk()
    for number, (one, other) in enumerate(
        ((b"", b""), (MSS(1460) + WSCALE(15), MSS(1460) + WSCALE(2)), (MSS(536), MSS(1460) + WSCALE(7)))
    ):
        part = Talk(a=("10.0.0.1", 41000 + number), start_s=1_700_000_000 + number)
        part.segment("a", "S", options=one).segment("b", "S.", options=other).segment("a", ".", window=1000)
        talk.records += part.say("a", b"hello").close().records
    pcap.write(path, talk.records)


@crafted
def after_the_end(path):
    """Data and a reset after a close; a stray ACK out of the blue answered by a reset."""
    talk = whole()
    talk.segment("b", "P.", b"late", seq=talk.next["b"], window=502, after_us=5000)
    talk.segment("a", "R", seq=talk.next["a"], window=0)
    stray = Talk(a=("10.0.0.1", 41001), start_s=1_700_000_001)
    stray.segment("a", ".", seq=77, ack=88).segment("b", "R", seq=88, window=0)
    pcap.write(path, talk.records + stray.records)


@crafted
def urgent_and_sacks(path):
    """Urgent data; four SACK blocks; options nobody knows; malformed options."""
    talk = Talk().open()
    talk.segment("a", "P.U", b"!", window=502).segment("b", ".", window=502)
    base = talk.next["a"]
    for number in range(4):
        talk.segment("a", ".", b"x" * 100, seq=base + 100 + 200 * number, window=502)
        blocks = [(base + 100 + 200 * n, base + 200 + 200 * n) for n in reversed(range(number + 1))]
        talk.segment("b", ".", ack=base, window=502, options=sack(*blocks))
    talk.next["a"] = base + 800
    for number in range(4):
        talk.segment("a", ".", b"y" * 100, seq=base + 200 * number, window=502, after_us=20_000)
    talk.segment("b", ".", window=502)
    talk.segment("a", "P.", b"odd", window=502, options=b"\xfd\x06\x12\x34\x56\x78" + b"\x01\x01")
    talk.segment("b", ".", window=502).close()
    pcap.write(path, talk.records)


@crafted
def malformed_options(path):
    """An option that is longer than what is left, and one of length 0: the segment is shown all the same."""
    talk = Talk().open()
    talk.segment("a", "P.", b"one", window=502, options=b"\x08\x28\x00\x00")
    talk.segment("b", ".", window=502)
    talk.segment("a", "P.", b"two", window=502, options=b"\x05\x00\x01\x01")
    talk.segment("b", ".", window=502).close()
    pcap.write(path, talk.records)


@crafted
def bad_checksums(path):
    """One segment whose checksum is wrong; it is sent again."""
    talk = Talk().open()
    start = talk.next["a"]
    talk.segment("a", "P.", b"hello", window=502, bad=True)
    talk.segment("a", "P.", b"hello", seq=start, window=502, after_us=210_000)
    talk.segment("b", ".", window=502).close()
    pcap.write(path, talk.records)


@crafted
def seen_twice(path):
    """Each packet two times, as a mirror port or a bridge gives them: the same IP identification, 3 us apart."""
    records = []
    for number, record in enumerate(whole().records, 1):
        data = bytearray(record.data)
        data[18:20] = struct.pack("!H", number)
        data[24:26] = b"\0\0"
        data[24:26] = struct.pack("!H", pcap.checksum(bytes(data[14:34])))
        records += [pcap.Record(record.t_ns, bytes(data)), pcap.Record(record.t_ns + 3000, bytes(data))]
    pcap.write(path, records)


@crafted
def fast_open(path):
    """Data in the SYN, acknowledged by the SYN-ACK."""
    talk = Talk()
    talk.segment("a", "S", b"early", options=MSS(1460) + b"\x22\x0a" + b"cookie!!" + WSCALE(7)[:4] + SACK_OK)
    talk.segment("b", "S.", options=MSS(1460) + WSCALE(7)).segment("a", ".", window=502)
    pcap.write(path, talk.say("b", b"answer").close().records)


# --- link types and packets ------------------------------------------------------------------------------------------


@crafted
def link_raw(path):
    pcap.write(path, whole(frame=lambda packet: packet).records, pcap.RAW)


@crafted
def link_raw6(path):
    records = whole(a=("2001:db8::1", 40488), b=("2001:db8::2", 7007), frame=lambda packet: packet).records
    pcap.write(path, records, pcap.RAW)


@crafted
def link_null(path):
    pcap.write(path, whole(frame=pcap.null).records, pcap.NULL)


@crafted
def link_loop(path):
    pcap.write(path, whole(frame=lambda packet: pcap.null(packet, order=">")).records, pcap.LOOP)


@crafted
def link_sll(path):
    pcap.write(path, whole(frame=pcap.sll).records, pcap.SLL)


@crafted
def vlan(path):
    pcap.write(path, whole(frame=lambda packet: pcap.ethernet(packet, vlan=(42,))).records)


@crafted
def vlan_stacked(path):
    """An outer tag (802.1ad) and an inner one."""
    pcap.write(path, whole(frame=lambda packet: pcap.ethernet(packet, vlan=(7, 42))).records)


@crafted
def extension_headers(path):
    """Hop-by-hop options and destination options before TCP over IPv6."""
    ends = {"a": ("2001:db8::1", 40488), "b": ("2001:db8::2", 7007)}

    def extended(packet):
        hop = b"\x00" + b"\x3c\x00\x01\x04\x00\x00\x00\x00"  # 0: hop-by-hop comes next; then 60, destination options
        destination = b"\x06\x00\x01\x04\x00\x00\x00\x00"
        head = bytearray(packet[:40])
        head[6] = 0
        head[4:6] = struct.pack("!H", len(packet) - 40 + 16)
        return pcap.ethernet(bytes(head) + hop[1:] + destination + packet[40:])

    pcap.write(path, whole(a=ends["a"], b=ends["b"], frame=extended).records)


@crafted
def padded(path):
    """Ethernet's padding behind short packets is no payload."""
    pcap.write(path, whole(frame=lambda packet: pcap.ethernet(packet).ljust(60, b"\xaa")).records)


@crafted
def icmp_about_tcp(path):
    """A router says "fragmentation needed" of a data segment; the data follows in smaller ones."""
    talk = Talk().open()
    start = talk.next["a"]
    talk.segment("a", "P.", b"x" * 1400, window=502)
    quoted = talk.records[-1].data[14 : 14 + 28]
    message = struct.pack("!BBHHH", 3, 4, 0, 0, 1280) + quoted
    message = message[:2] + struct.pack("!H", pcap.checksum(message)) + message[4:]
    talk.add(pcap.ethernet(pcap.ip(("10.0.0.254", 0), ("10.0.0.1", 0), message, 1)))
    talk.segment("a", ".", b"x" * 1200, seq=start, window=502)
    talk.segment("a", "P.", b"x" * 200, seq=start + 1200, window=502)
    talk.segment("b", ".", window=502).close()
    pcap.write(path, talk.records)


@crafted
def no_tcp(path):
    """ARP, an unknown protocol, a packet cut within its header, UDP: and a TCP conversation amid them."""
    arp = bytes.fromhex("ffffffffffff020000000001080600010800060400010200000000010a0000010000000000000a000002")
    talk = Talk()
    talk.add(arp).add(pcap.ethernet(pcap.ip(talk.address["a"], talk.address["b"], b"what is this", 200)))
    talk.open().add(arp, 10)
    ask = pcap.udp(("10.0.0.1", 5000), ("10.0.0.2", 5001), b"question")
    talk.add(pcap.ethernet(pcap.ip(("10.0.0.1", 0), ("10.0.0.2", 0), ask, 17)))
    talk.add(talk.records[2].data[:30], length=74).say("a", b"hello").close()
    pcap.write(path, talk.records)


@crafted
def hostile_names(path):
    """Control bytes, markup and broken UTF-8 in payloads of both ends, in the first and later segments."""
    talk = Talk().open()
    for data in (
        b"\x1b]0;owned\x07\x1b[2J",
        b"\xff\xfe\xc2\x9b31m\x00",
        "\u202etxt.exe\u2028\u2066".encode(),
        b"]]></text>&<svg onload='x'>",
    ):
        talk.say("a", data).say("b", data)
    pcap.write(path, talk.close().records)


# --- of others -------------------------------------------------------------------------------------------------------


@derived("close4")
def microseconds(path, linktype, records):
    pcap.write(path, records, linktype, nanoseconds=False)


@derived("close4")
def big_endian(path, linktype, records):
    pcap.write(path, records, linktype, order=">")


@derived("close4")
def next_generation(path, linktype, records):
    pcap.write_ng(path, records, linktype, comments={1: b"\x1b[31m hostile comment", 4: "\u202e gnp.\u00e9".encode()})


@derived("close4")
def clock_back(path, linktype, records):
    """The clock is set back by an hour in the middle."""
    middle = len(records) // 2
    back = [pcap.Record(r.t_ns - 3600 * 10**9, r.data) for r in records[middle:]]
    pcap.write(path, records[:middle] + back, linktype)


@derived("port_reuse")
def clock_back_reuse(path, linktype, records):
    """Three connections on one tuple, and the clock goes back by ten seconds amid the second."""
    middle = len(records) // 2
    back = [pcap.Record(r.t_ns - 10 * 10**9, r.data) for r in records[middle:]]
    pcap.write(path, records[:middle] + back, linktype)


@derived("close4")
def midway(path, linktype, records):
    """Without the handshake: begins at the first data."""
    pcap.write(path, records[3:], linktype)


@derived("many_bytes")
def midway_bulk(path, linktype, records):
    """Begins amid the data, at an ACK that goes back."""
    first = next(n for n, r in enumerate(records) if n > 60 and r.data[:6] == records[1].data[:6])
    pcap.write(path, records[first:], linktype)


@derived("many_bytes")
def holes(path, linktype, records):
    """Every seventh packet is missing from the capture, after the handshake."""
    pcap.write(path, [r for n, r in enumerate(records) if n < 3 or n % 7], linktype)


@derived("close4")
def one_direction(path, linktype, records):
    """Only what the client sent."""
    pcap.write(path, [r for r in records if r.data[6:12] == records[0].data[6:12]], linktype)


@derived("many_bytes")
def cut(path, linktype, records):
    """Only the first 68 bytes of each packet."""
    pcap.write(path, [pcap.Record(r.t_ns, r.data[:68], r.length) for r in records], linktype, snaplen=68)


def make(name, folder, sources):
    """Make a capture by hand, of those in sources ({name: path}) if need be; returns its path."""
    path = pathlib.Path(folder) / f"{name}.pcap"
    if name in CRAFTED:
        CRAFTED[name](path)
    else:
        source, function = DERIVED[name]
        function(path, *pcap.read(sources[source]))
    return path
