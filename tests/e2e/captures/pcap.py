# SPDX-License-Identifier: MIT
"""Capture files, and packets made by hand. Nothing here captures; times are integers of nanoseconds."""

import dataclasses
import ipaddress
import struct

ETHERNET, NULL, RAW, LOOP, SLL, SLL2 = 1, 0, 101, 108, 113, 276

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
LETTERS = {"F": FIN, "S": SYN, "R": RST, "P": PSH, ".": ACK, "U": URG}


@dataclasses.dataclass
class Record:
    """A packet in a file."""

    t_ns: int
    data: bytes
    length: int = 0  # on the wire; 0: as much as there is

    def __post_init__(self):
        self.length = self.length or len(self.data)


def write(path, records, linktype=ETHERNET, *, nanoseconds=True, order="<", snaplen=262144):
    """A pcap file, of either byte order and precision."""
    unit = 1 if nanoseconds else 1000
    with open(path, "wb") as file:
        file.write(
            struct.pack(order + "IHHiIII", 0xA1B23C4D if nanoseconds else 0xA1B2C3D4, 2, 4, 0, 0, snaplen, linktype)
        )
        for record in records:
            seconds, rest = divmod(record.t_ns, 10**9)
            data = record.data[:snaplen]
            file.write(struct.pack(order + "IIII", seconds, rest // unit, len(data), record.length) + data)
    return path


def read(path):
    """(linktype, records) of a pcap file as libpcap writes it."""
    with open(path, "rb") as file:
        data = file.read()
    magic = data[:4]
    order = "<" if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    unit = 1 if struct.unpack(order + "I", magic)[0] == 0xA1B23C4D else 1000
    linktype = struct.unpack_from(order + "I", data, 20)[0]
    records, at = [], 24
    while at + 16 <= len(data):
        seconds, rest, n_bytes, length = struct.unpack_from(order + "IIII", data, at)
        records.append(Record(seconds * 10**9 + rest * unit, data[at + 16 : at + 16 + n_bytes], length))
        at += 16 + n_bytes
    return linktype, records


def _block(kind, body):
    body += bytes(-len(body) % 4)
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _option(code, value):
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def write_ng(path, records, linktype=ETHERNET, *, comments=(), simple=False, interfaces=()):
    """A pcapng file; comments: {number from 1: text}. With simple, packets without times. interfaces: of each packet the
    number of its interface."""
    comments = dict(comments)
    with open(path, "wb") as file:
        file.write(_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        for _ in range(max(interfaces, default=0) + 1):
            file.write(_block(1, struct.pack("<HHI", linktype, 0, 0) + _option(9, b"\x09") + struct.pack("<HH", 0, 0)))
        for number, record in enumerate(records, 1):
            if simple:
                file.write(_block(3, struct.pack("<I", record.length) + record.data))
                continue
            interface = interfaces[number - 1] if interfaces else 0
            body = struct.pack(
                "<IIIII", interface, record.t_ns >> 32, record.t_ns & 0xFFFFFFFF, len(record.data), record.length
            )
            body += record.data + bytes(-len(record.data) % 4)
            if number in comments:
                body += _option(1, comments[number]) + struct.pack("<HH", 0, 0)
            file.write(_block(6, body))
    return path


# --- packets by hand ---------------------------------------------------------------------------------------------


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _pseudo(source, destination, protocol, length):
    if source.version == 4:
        return source.packed + destination.packed + struct.pack("!BBH", 0, protocol, length)
    return source.packed + destination.packed + struct.pack("!IHBB", length, 0, 0, protocol)


def tcp(source, destination, flags, seq, ack=0, window=65535, data=b"", options=b"", *, bad=False):
    """A TCP segment: source and destination are (address, port); flags as tcpdump writes them ("S.")."""
    bits = sum(LETTERS[letter] for letter in flags)
    options += bytes(-len(options) % 4)
    offset = 5 + len(options) // 4
    ports = struct.pack("!HH", source[1], destination[1])
    rest = struct.pack("!IIBBH", seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, offset << 4, bits, window)
    one, other = ipaddress.ip_address(source[0]), ipaddress.ip_address(destination[0])
    segment = ports + rest + bytes(4) + options + data
    check = checksum(_pseudo(one, other, 6, len(segment)) + segment) ^ (0x5555 if bad else 0)
    return segment[:16] + struct.pack("!H", check) + segment[18:]


def udp(source, destination, data=b""):
    one, other = ipaddress.ip_address(source[0]), ipaddress.ip_address(destination[0])
    head = struct.pack("!HHH", source[1], destination[1], 8 + len(data))
    check = checksum(_pseudo(one, other, 17, 8 + len(data)) + head + bytes(2) + data) or 0xFFFF
    return head + struct.pack("!H", check) + data


def ip(source, destination, payload, protocol=6, *, ident=1, fragment=0, more=False, dont=True, extension=b""):
    """An IPv4 or IPv6 packet; fragment: offset in bytes (IPv4). extension (IPv6): headers already chained, the first
    byte of which is the protocol to be named in the fixed header."""
    one, other = ipaddress.ip_address(source[0]), ipaddress.ip_address(destination[0])
    if one.version == 6:
        first, extension = (extension[0], extension[1:]) if extension else (protocol, b"")
        payload = extension + payload
        return struct.pack("!IHBB", 6 << 28, len(payload), first, 64) + one.packed + other.packed + payload
    bits = fragment // 8 | (0x2000 if more else 0) | (0x4000 if dont and not more and not fragment else 0)
    head = (
        struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ident, bits, 64, protocol, 0) + one.packed + other.packed
    )
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ethernet(packet, *, vlan=(), swap=False):
    """vlan: tags from the outer one on."""
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    addresses = [bytes.fromhex("020000000001"), bytes.fromhex("020000000002")]
    tags = b"".join(
        struct.pack("!HH", 0x88A8 if len(vlan) > 1 and n == 0 else 0x8100, tag) for n, tag in enumerate(vlan)
    )
    return b"".join(reversed(addresses) if swap else addresses) + tags + struct.pack("!H", kind) + packet


def null(packet, *, order="<"):
    return struct.pack(order + "I", 30 if packet[0] >> 4 == 6 else 2) + packet


def sll(packet, kind=0):
    return (
        struct.pack("!HHH8sH", kind, 1, 6, b"\x02\0\0\0\0\x01\0\0", 0x86DD if packet[0] >> 4 == 6 else 0x0800) + packet
    )


MSS = lambda value: struct.pack("!BBH", 2, 4, value)  # noqa: E731
WSCALE = lambda shift: struct.pack("!BBBB", 1, 3, 3, shift)  # noqa: E731
SACK_OK = b"\x01\x01\x04\x02"


def timestamps(value, echo):
    return struct.pack("!BBBBII", 1, 1, 8, 10, value & 0xFFFFFFFF, echo & 0xFFFFFFFF)


def sack(*blocks):
    edges = [edge & 0xFFFFFFFF for block in blocks for edge in block]
    return struct.pack(f"!BBBB{len(edges)}I", 1, 1, 5, 2 + 4 * len(edges), *edges)


class Talk:
    """Two ends that exchange segments by hand: sequence numbers are kept, times are given. Ends are "a" and "b"."""

    def __init__(
        self, a=("10.0.0.1", 40488), b=("10.0.0.2", 7007), isn=(1000, 5000), frame=ethernet, start_s=1_700_000_000
    ):
        self.address = {"a": a, "b": b}
        self.next = {"a": isn[0], "b": isn[1]}
        self.frame = frame
        self.start_ns = start_s * 10**9
        self.now_ns = 0
        self.records = []

    def add(self, packet, after_us=100, length=0):
        self.now_ns += after_us * 1000
        self.records.append(Record(self.start_ns + self.now_ns, packet, length))
        return self

    def segment(self, end, flags, data=b"", *, after_us=100, seq=None, ack=None, window=65535, options=b"", bad=False):
        """One segment; seq and ack are raw, and what is expected when not given. It counts unless seq is given."""
        other = "b" if end == "a" else "a"
        mine = self.next[end] if seq is None else seq
        theirs = (self.next[other] if ack is None else ack) if "." in flags else 0
        packet = tcp(self.address[end], self.address[other], flags, mine, theirs, window, data, options, bad=bad)
        if seq is None:
            self.next[end] += len(data) + ("S" in flags) + ("F" in flags)
        return self.add(self.frame(ip(self.address[end], self.address[other], packet)), after_us)

    def open(self, options=MSS(1460) + WSCALE(7) + SACK_OK, scale=7):
        self.segment("a", "S", options=options, window=64240)
        self.segment("b", "S.", options=options, window=65160)
        return self.segment("a", ".", window=64256 >> scale)

    def say(self, end, data, **keywords):
        """Data and its acknowledgement."""
        keywords.setdefault("window", 502)
        self.segment(end, "P.", data, **keywords)
        return self.segment("b" if end == "a" else "a", ".", window=keywords["window"])

    def close(self, end="a"):
        other = "b" if end == "a" else "a"
        self.segment(end, "F.", window=502)
        self.segment(other, ".", window=502)
        self.segment(other, "F.", window=502)
        return self.segment(end, ".", window=502)
