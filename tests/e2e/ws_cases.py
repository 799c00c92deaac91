# SPDX-License-Identifier: MIT
"""What an endpoint has to do with the frames that it gets: RFC 6455 and RFC 7692 as tables of cases, by the groups in
which the Autobahn test suite has them. How a case is written is said in ws_suite.py."""

import zlib

from ws_suite import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Await,
    Case,
    Chop,
    Closes,
    Done,
    F,
    Fails,
    Raw,
    binary_of,
    close_frame,
    close_payload,
    fragments,
    text_of,
)

PROTOCOL, NOT_UTF8, TOO_BIG = Fails((1002,)), Fails((1007,)), Fails((1009,))
HELLO = "Grüße, κόσμε, 𝄞 und ein Rest".encode()
MIB = 1 << 20
LIMIT = 16 * MIB  # the longest message that is taken


def text(payload):
    return F(TEXT, payload)


def shapes(frames):
    """The three ways in which the same frames may arrive."""
    frames = tuple(frames)
    return {
        "one write": (Chop(1 << 20, frames),),
        "frame by frame": (Chop(0, frames),),
        "by octets": (Chop(1, frames),),
    }


def each_shape(name, frames, *rest, **keywords):
    return [Case(f"{name}, {how}", steps, *rest, **keywords) for how, steps in shapes(frames).items()]


# --- 1: framing --------------------------------------------------------------------------------------------------


def framing():
    cases = []
    for kind, opcode, make in (("text", TEXT, text_of), ("binary", BINARY, binary_of)):
        for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 65537):
            payload = make(size)
            cases.append(Case(f"1 {kind} of {size}", (F(opcode, payload),), ((kind, payload),)))
        for size, chop in ((0, 1), (125, 1), (126, 1), (127, 1), (300, 1), (65535, 997), (65536, 997), (65536, 8191)):
            payload = make(size)
            steps = (Chop(chop, (F(opcode, payload),)),)
            cases.append(Case(f"1 {kind} of {size} in octets of {chop}", steps, ((kind, payload),)))
    many = tuple(text(text_of(size)) for size in (0, 125, 0, 126, 1, 65536, 0))
    cases.append(Case("1 seven in one write", (Chop(1 << 20, many),), tuple(("text", one.payload) for one in many)))
    zero = F(BINARY, b"\x01\x02\x03\x04" * 8)
    cases.append(Case("1 a payload that masks to anything", (zero,), (("binary", zero.payload),)))
    for wide, size in ((16, 0), (16, 125), (64, 0), (64, 125), (64, 126), (64, 65535)):
        # RFC 6455, 5.2: the shortest form must be used. What becomes of another one is not said.
        payload = text_of(size)
        also = (((), PROTOCOL),)
        cases.append(
            Case(f"1 length {size} in {wide} bits", (F(TEXT, payload, wide=wide),), (("text", payload),), also=also)
        )
    return cases


def lengths_that_cannot_be():
    return [
        Case("1 length with the highest bit", (F(TEXT, b"", wide=64, length=1 << 63),), (), Fails((1002, 1009))),
        Case("1 length of all ones", (F(BINARY, b"", wide=64, length=(1 << 64) - 1),), (), Fails((1002, 1009))),
        Case("1 length of 2^62 is not waited for", (F(BINARY, b"", wide=64, length=1 << 62),), (), TOO_BIG),
    ]


# --- 2: pings and pongs ------------------------------------------------------------------------------------------


def pings():
    long = binary_of(125)
    cases = [
        Case("2 ping", (F(PING),), (("pong", b""),)),
        Case("2 ping with text", (F(PING, HELLO),), (("pong", HELLO),)),
        Case(
            "2 ping with octets",
            (F(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),),
            (("pong", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),),
        ),
        Case("2 ping with 125", (F(PING, long),), (("pong", long),)),
        Case("2 ping with 125 in octets", (Chop(1, (F(PING, long),)),), (("pong", long),)),
        Case("2 ping with 126", (F(PING, binary_of(126)),), (), PROTOCOL),
        Case("2 ping with 126, its head alone", (F(PING, b"", length=126),), (), PROTOCOL),
        Case("2 ping with 65536, its head alone", (F(PING, b"", length=65536),), (), PROTOCOL),
        Case("2 ping with 5 in 16 bits", (F(PING, b"hello", wide=16),), (("pong", b"hello"),), also=(((), PROTOCOL),)),
        Case("2 pong with 126, its head alone", (F(PONG, b"", length=126),), (), PROTOCOL),
        Case("2 pong that nobody asked for", (F(PONG), text(HELLO)), (("text", HELLO),)),
        Case("2 pong with text that nobody asked for", (F(PONG, HELLO), text(HELLO)), (("text", HELLO),)),
        Case("2 pong, then ping", (F(PONG, b"unsolicited"), F(PING, b"ping")), (("pong", b"ping"),)),
    ]
    ten = [F(PING, b"payload-%d" % n) for n in range(10)]
    return cases + each_shape("2 ten pings", ten, tuple(("pong", one.payload) for one in ten))


# --- 3: reserved bits --------------------------------------------------------------------------------------------


def reserved_bits():
    cases = [Case(f"3 text with RSV {rsv}", (F(TEXT, HELLO, rsv=rsv),), (), PROTOCOL) for rsv in range(1, 8)]
    cases += [Case(f"3 binary with RSV {rsv}", (F(BINARY, HELLO, rsv=rsv),), (), PROTOCOL) for rsv in (4, 5)]
    cases += [Case(f"3 ping with RSV {rsv}", (F(PING, HELLO, rsv=rsv),), (), PROTOCOL) for rsv in (1, 2, 4, 6)]
    cases += [Case("3 pong with RSV 3", (F(PONG, b"", rsv=3),), (), PROTOCOL)]
    cases += [Case("3 Close with RSV 7", (F(8, close_payload(1000), rsv=7),), (), PROTOCOL)]
    cases += [Case("3 continuation with RSV 4", (F(TEXT, b"a", fin=False), F(CONTINUATION, b"b", rsv=4)), (), PROTOCOL)]
    for rsv in (2, 4):
        frames = (text(HELLO), F(TEXT, HELLO, rsv=rsv), F(PING))
        cases += each_shape(f"3 RSV {rsv} between text and ping", frames, (("text", HELLO),), PROTOCOL)
    return cases


# --- 4: reserved opcodes -----------------------------------------------------------------------------------------


def reserved_opcodes():
    cases = []
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        cases.append(Case(f"4 opcode {opcode}", (F(opcode),), (), PROTOCOL))
        cases.append(Case(f"4 opcode {opcode} with a payload", (F(opcode, HELLO),), (), PROTOCOL))
        frames = (text(HELLO), F(opcode, b"reserved"), F(PING))
        cases += each_shape(f"4 opcode {opcode} between text and ping", frames, (("text", HELLO),), PROTOCOL)
    cases.append(Case("4 opcode 3 inside a message", (F(TEXT, b"a", fin=False), F(3), F(CONTINUATION)), (), PROTOCOL))
    return cases


# --- 5: fragmentation --------------------------------------------------------------------------------------------


def fragmentation():
    one, two = F(TEXT, b"fragment1", fin=False), F(CONTINUATION, b"fragment2")
    whole = ("text", b"fragment1fragment2")
    ping, pong = F(PING, b"between"), ("pong", b"between")
    lost = F(CONTINUATION, b"non-continuation payload")
    lost_on = F(CONTINUATION, b"non-continuation payload", fin=False)
    cases = [
        Case("5 ping in two", (F(PING, b"a", fin=False), F(CONTINUATION, b"b")), (), PROTOCOL),
        Case("5 pong in two", (F(PONG, b"a", fin=False), F(CONTINUATION, b"b")), (), PROTOCOL),
        Case("5 Close in two", (F(8, b"\x03", fin=False), F(CONTINUATION, b"\xe8")), (), PROTOCOL),
        Case("5 a ping is answered before the message is whole", (one, ping, Await(1), two), (pong, whole)),
        Case("5 Close inside a message", (one, close_frame(1000), two), (), Closes((1000,))),
        Case("5 a text inside a text, at once", (one, F(TEXT, b"x")), (), PROTOCOL),
        Case("5 a binary inside a text", (one, F(BINARY, b"x"), two), (), PROTOCOL),
    ]
    cases += each_shape("5 text in two", (one, two), (whole,))
    cases += each_shape("5 a ping in the middle", (one, ping, two), (pong, whole))
    cases += each_shape("5 a pong in the middle", (one, F(PONG, b"x"), two), (whole,))
    cases += each_shape("5 end of nothing, then text", (lost, text(HELLO)), (), PROTOCOL)
    cases += each_shape("5 continuation of nothing, then text", (lost_on, text(HELLO)), (), PROTOCOL)
    cases += each_shape(
        "5 a message, continuation of nothing, then text", (one, two, lost_on, text(HELLO)), (whole,), PROTOCOL
    )
    cases += each_shape("5 twice continuation of nothing, then text in two", (lost_on, one, two) * 2, (), PROTOCOL)
    cases += each_shape("5 twice end of nothing, then text in two", (lost, one, two) * 2, (), PROTOCOL)
    cases += each_shape("5 both fragments are text", (one, F(TEXT, b"fragment2")), (), PROTOCOL)
    parts = fragments(TEXT, b"".join(b"fragment%d" % n for n in range(1, 6)), 9)
    pings = [F(PING, b"pongme %d!" % n) for n in (1, 2)]
    frames = (*parts[:2], pings[0], *parts[2:4], pings[1], parts[4])
    pongs = tuple(("pong", one.payload) for one in pings)
    message = ("text", b"fragment1fragment2fragment3fragment4fragment5")
    cases += each_shape("5 five fragments and two pings", frames, (*pongs, message))
    stops = (*frames[:3], Await(1), *frames[3:6], Await(2), frames[6])
    cases.append(Case("5 five fragments and two pings, each answered meanwhile", stops, (*pongs, message)))
    for kind, opcode in (("text", TEXT), ("binary", BINARY)):
        payload = text_of(1000)
        cases.append(
            Case(f"5 {kind} in 1000", (Chop(1 << 20, tuple(fragments(opcode, payload, 1))),), ((kind, payload),))
        )
        empty = [F(opcode, b"", fin=False), *[F(CONTINUATION, b"", fin=False)] * 50]
        frames = tuple([*empty, F(CONTINUATION, b"x"), F(opcode, b"y")])
        cases.append(Case(f"5 {kind} with 51 empty fragments", (Chop(1 << 20, frames),), ((kind, b"x"), (kind, b"y"))))
    return cases


# --- 6: UTF-8 ----------------------------------------------------------------------------------------------------

KOSME = bytes.fromhex("cebae1bdb9cf83cebcceb5")  # "κόσμε"
LONE = bytes.fromhex("eda080")  # a surrogate
BEYOND = bytes.fromhex("f4908080")  # above U+10FFFF
EDITED = b"edited"


def sequences():
    """Markus Kuhn's stress test for decoders, and then some: byte strings, sorted out by name."""
    rows = {"zero": b"\x00", "kosme": KOSME, "plain": b"Hello", "lone surrogate": KOSME + LONE + EDITED}
    firsts = {1: b"\x00", 2: "c280", 3: "e0a080", 4: "f0908080", 5: "f888808080", 6: "fc8480808080"}
    lasts = {1: b"\x7f", 2: "dfbf", 3: "efbfbf", 4: "f7bfbfbf", 5: "fbbfbfbfbf", 6: "fdbfbfbfbfbf"}
    for what, table in (("first", firsts), ("last", lasts)):
        for length, data in table.items():
            rows[f"{what} of {length}"] = data if isinstance(data, bytes) else bytes.fromhex(data)
    others = "ed9fbf ee8080 efbfbd f48fbfbf f4908080 f0bfbfbf f18080ff"
    rows.update({f"boundary {data}": bytes.fromhex(data) for data in others.split()})
    rows.update({f"unexpected {n} continuations": (b"\x80\xbf" * 4)[:n] for n in range(1, 8)})
    rows["unexpected bf"] = b"\xbf"
    rows["all continuations"] = bytes(range(0x80, 0xC0))
    rows["a continuation behind text"] = "Grüße".encode() + b"\x80"
    for low, high in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD)):
        rows[f"lonely starts {low:x} to {high:x}"] = b"".join(bytes([n]) + b" " for n in range(low, high + 1))
    missing = "c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf".split()
    rows.update({f"last octet missing of {data}": bytes.fromhex(data) for data in missing})
    rows["all of these"] = bytes.fromhex("".join(missing))
    rows.update({"fe": b"\xfe", "ff": b"\xff", "fe fe ff ff": b"\xfe\xfe\xff\xff"})
    overlong = "c0af e080af f08080af f8808080af fc80808080af c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf"
    overlong += " c080 e08080 f0808080 f880808080 fc8080808080"
    rows.update({f"overlong {data}": bytes.fromhex(data) for data in overlong.split()})
    surrogates = "eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf"
    surrogates += (
        " eda080edb080 eda080edbfbf edadbfedb080 edadbfedbfbf edae80edb080 edae80edbfbf edafbfedb080 edafbfedbfbf"
    )
    rows.update({f"surrogates {data}": bytes.fromhex(data) for data in surrogates.split()})
    for plane in range(0x11):
        for low in (0xFFFE, 0xFFFF):
            rows[f"noncharacter U+{(plane << 16) + low:04X}"] = chr((plane << 16) + low).encode()
    rows["noncharacter U+FDD0"], rows["noncharacter U+FDEF"] = "\ufdd0".encode(), "\ufdef".encode()
    rows["byte order mark"] = "\ufeffhello".encode()
    for cut in range(1, len(KOSME)):
        rows[f"kosme up to {cut}"] = KOSME[:cut]
    for first, second in (
        (0xE0, 0x9F),
        (0xED, 0xA0),
        (0xF0, 0x8F),
        (0xF4, 0x90),
        (0xC2, 0x7F),
        (0xE1, 0xC0),
        (0xF1, 0x7F),
    ):
        rows[f"second octet {first:x} {second:x}"] = bytes([first, second]) + b"\x80\x80"
    # What a decoder that looks at many bytes at once may overlook: the mistake at every place of a long text.
    for place in (0, 1, 7, 8, 15, 16, 31, 32, 33, 63, 64, 127, 1000, 1021, 1022, 1023):
        long = bytearray(text_of(1024))
        long[place] = 0xFF
        rows[f"ff at {place} of 1024"] = bytes(long)
        rows[f"a cut at {place} of 1024"] = text_of(place) + "𝄞".encode()[:3] + text_of(1021 - place)
        rows[f"𝄞 at {place} of 1028"] = text_of(place) + "𝄞".encode() + text_of(1024 - place)
    return rows


def is_utf8(data):
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def utf8():
    cases = []
    for name, data in sequences().items():
        outcome = ((("text", data),), Done()) if is_utf8(data) else ((), NOT_UTF8)
        cases.append(Case(f"6 {name}", (text(data),), *outcome))
        if len(data) < 100:
            cases.append(Case(f"6 {name}, in octets", (Chop(1, (text(data),)),), *outcome))
        if 1 < len(data) < 100:
            frames = tuple(fragments(TEXT, data, 1))
            cases.append(Case(f"6 {name}, a fragment an octet", (Chop(1 << 20, frames),), *outcome))
    return cases


def utf8_messages():
    big = ("Grüße, κόσμε, 𝄞 " * 10000).encode()
    cases = [
        Case("6 empty", (text(b""),), (("text", b""),)),
        Case("6 three empty fragments", tuple(fragments(TEXT, b"", [0, 0])), (("text", b""),)),
        Case("6 text between two empty fragments", tuple(fragments(TEXT, HELLO, [0, len(HELLO)])), (("text", HELLO),)),
        Case("6 cut between code points", tuple(fragments(TEXT, KOSME, [5])), (("text", KOSME),)),
        Case("6 cut inside code points", tuple(fragments(TEXT, KOSME, [1, 3, 3])), (("text", KOSME),)),
        Case("6 not UTF-8, but binary", (F(BINARY, KOSME + LONE),), (("binary", KOSME + LONE),)),
        Case("6 each begins anew", (F(BINARY, b"\xce"), text(b"\xba")), (("binary", b"\xce"),), NOT_UTF8),
        Case("6 the end inside a code point", tuple(fragments(TEXT, KOSME[:-1], [4])), (), NOT_UTF8),
        Case(
            "6 a ping inside a code point",
            (F(TEXT, KOSME[:1], fin=False), F(PING, b"\xff"), F(CONTINUATION, KOSME[1:])),
            (("pong", b"\xff"), ("text", KOSME)),
        ),
    ]
    for sizes in (1, 2, 3, 1000, 1001, 1002, 65537):
        frames = tuple(fragments(TEXT, big if sizes > 999 else big[: 17 * 100], sizes))
        payload = b"".join(one.payload for one in frames)
        outcome = ((("text", payload),), Done()) if is_utf8(payload) else ((), NOT_UTF8)
        cases.append(Case(f"6 long text in fragments of {sizes}", (Chop(1 << 20, frames),), *outcome))
    return cases


def fail_fast():
    """6.4: said as soon as it can be known, with the message still open. The peer closes without waiting for more."""
    begun = F(TEXT, KOSME + BEYOND, fin=False)
    whole = KOSME + BEYOND + EDITED
    return {
        "a fragment of it": (begun,),
        "the second octet of it": (F(TEXT, KOSME, fin=False), F(CONTINUATION, BEYOND[:2], fin=False)),
        "octets of a frame, all but the last": (F(TEXT, whole[:-1], length=len(whole)),),
        "octets of a frame, up to the mistake": (F(TEXT, KOSME + BEYOND[:2], length=len(whole)),),
        "the first octet of a frame": (F(TEXT, b"\xff", length=100000),),
        "behind a good fragment": (F(TEXT, HELLO, fin=False), F(PING), F(CONTINUATION, b"\xc0", fin=False)),
    }


# --- 7: closing --------------------------------------------------------------------------------------------------

VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
INVALID_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32768, 65535)


def closing():
    answered = Closes((1000,))
    large = text_of(256 * 1024)
    cases = [
        Case("7 Close", (close_frame(1000),), (), answered),
        Case("7 Close twice", (close_frame(1000), close_frame(1000)), (), answered),
        Case("7 a ping behind Close", (close_frame(1000), F(PING)), (), answered),
        Case("7 text behind Close", (close_frame(1000), text(HELLO)), (), answered),
        Case("7 nonsense behind Close", (close_frame(1000), Raw(b"\xff" * 100)), (), answered),
        Case(
            "7 rest of a message behind Close",
            (F(TEXT, b"one", fin=False), close_frame(1000), F(CONTINUATION, b"two")),
            (),
            answered,
        ),
        Case("7 256 KiB, Close, ping", (text(large), close_frame(1000), F(PING)), (("text", large),), answered),
        Case(
            "7 100 messages, then Close", (*[text(HELLO)] * 100, close_frame(1000)), (("text", HELLO),) * 100, answered
        ),
        Case("7 Close without a code", (close_frame(),), (), Closes((1005, 1000))),
        Case("7 Close with one octet", (F(8, b"\x03"),), (), PROTOCOL),
        Case("7 Close with a reason", (close_frame(1000, HELLO),), (), answered),
        Case("7 Close with a reason of 123", (close_frame(1000, b"*" * 123),), (), answered),
        Case("7 Close with a reason of 124", (close_frame(1000, b"*" * 124),), (), PROTOCOL),
        Case("7 Close with a reason in octets", (Chop(1, (close_frame(1000, HELLO),)),), (), answered),
        Case("7 reason with a surrogate", (close_frame(1000, KOSME + LONE + EDITED),), (), Fails((1007, 1002))),
        Case("7 reason cut inside a code point", (close_frame(1000, KOSME[:-1]),), (), Fails((1007, 1002))),
        Case("7 reason that begins with ff", (close_frame(1000, b"\xff"),), (), Fails((1007, 1002))),
    ]
    cases += [Case(f"7 code {code}", (close_frame(code),), (), Closes((code, 1000))) for code in VALID_CODES]
    cases += [
        Case(f"7 code {code} and a reason", (close_frame(code, HELLO),), (), Closes((code, 1000)))
        for code in VALID_CODES
    ]
    cases += [Case(f"7 code {code}", (close_frame(code),), (), PROTOCOL) for code in INVALID_CODES]
    cases += [Case(f"7 code {code} and a reason", (close_frame(code, b"x"),), (), PROTOCOL) for code in INVALID_CODES]
    return cases


# --- 9: limits ---------------------------------------------------------------------------------------------------


def sizes_up_to(most):
    return [size for size in (64 << 10, 256 << 10, MIB, 4 * MIB, 8 * MIB, 16 * MIB) if size <= most]


def limits(most=LIMIT):
    """{name: what makes the case}: they are large."""
    made = {}

    def add(name, opcode, size, step):
        def make():
            payload = (text_of if opcode == TEXT else binary_of)(size)
            kind = "text" if opcode == TEXT else "binary"
            return Case(name, (step(payload),), ((kind, payload),))

        made[name] = make

    for kind, opcode in (("text", TEXT), ("binary", BINARY)):
        for size in sizes_up_to(most):
            add(f"9 {kind} of {size >> 10} KiB", opcode, size, lambda payload, opcode=opcode: F(opcode, payload))
        for cut in (64, 256, 1024, 4096, 16384, 65536, 262144, MIB):
            size = min(most, 4 * MIB) // (1 if cut > 256 else 8)

            def cut_up(payload, opcode=opcode, cut=cut):
                return Chop(1 << 20, tuple(fragments(opcode, payload, cut)))

            add(f"9 {kind} of {size >> 10} KiB in fragments of {cut}", opcode, size, cut_up)
        for chop in (64, 128, 256, 512, 1024, 2048):

            def chop_up(payload, opcode=opcode, chop=chop):
                return Chop(chop, (F(opcode, payload),))

            add(f"9 {kind} in writes of {chop}", opcode, min(most, MIB) // 2, chop_up)
    return made


def beyond_the_limit():
    """Refused as soon as it is known, without the rest."""

    def begun():
        return Chop(0, tuple(fragments(BINARY, binary_of(LIMIT + 1), LIMIT // 4)))

    steps = {
        "a frame of 16 MiB and one, its head alone": lambda: (F(BINARY, b"", length=LIMIT + 1),),
        "the fragment that is too much, its head alone": lambda: (
            F(TEXT, b"x" * 1000, fin=False),
            F(CONTINUATION, b"", length=LIMIT - 999),
        ),
        "a frame of 16 MiB and one": lambda: (F(BINARY, binary_of(LIMIT + 1)),),
        "fragments of 16 MiB and one": lambda: (begun(),),
    }
    return {f"9 {name}": lambda name=name, make=make: Case(name, make(), (), TOO_BIG) for name, make in steps.items()}


# --- 12, 13: compression -----------------------------------------------------------------------------------------

# What may be asked of a server, and what of it has to be in its answer.
OFFERS = {
    "nothing more": ("permessage-deflate", {}),
    "client_max_window_bits": ("permessage-deflate; client_max_window_bits", {}),
    "client_max_window_bits=9": ("permessage-deflate; client_max_window_bits=9", {}),
    "client_max_window_bits=15": ("permessage-deflate; client_max_window_bits=15", {}),
    "server_no_context_takeover": (
        "permessage-deflate; server_no_context_takeover",
        {"server_no_context_takeover": None},
    ),
    "client_no_context_takeover": ("permessage-deflate; client_no_context_takeover", {}),
    "both without context": (
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        {"server_no_context_takeover": None},
    ),
    **{
        f"server_max_window_bits={bits}": (
            f"permessage-deflate; server_max_window_bits={bits}",
            {"server_max_window_bits": bits},
        )
        for bits in range(9, 16)
    },
    "9 bits without context": (
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
        {"server_max_window_bits": 9, "server_no_context_takeover": None},
    ),
    "all four": (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11",
        {"server_max_window_bits": 12, "server_no_context_takeover": None},
    ),
    "quoted": ('permessage-deflate; server_max_window_bits="10"', {"server_max_window_bits": 10}),
    "two, the first is good": (
        "permessage-deflate; server_max_window_bits=11, permessage-deflate",
        {"server_max_window_bits": 11},
    ),
    "an unknown extension first": (
        "x-unknown; a=1, permessage-deflate; server_no_context_takeover",
        {"server_no_context_takeover": None},
    ),
    "an unknown parameter first": (
        "permessage-deflate; x=1, permessage-deflate; server_max_window_bits=10",
        {"server_max_window_bits": 10},
    ),
    "a bad value first": ("permessage-deflate; server_max_window_bits=16, permessage-deflate", {}),
    "a doubled parameter first": (
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover, permessage-deflate",
        {},
    ),
}

# Offers that RFC 7692 (5.1, 7.1) has declined: the connection stands without compression.
DECLINED = {
    "an unknown parameter": "permessage-deflate; unknown",
    "a value too small": "permessage-deflate; server_max_window_bits=7",
    "a value too large": "permessage-deflate; server_max_window_bits=16",
    "a value too large, of the client": "permessage-deflate; client_max_window_bits=16",
    "a leading zero": "permessage-deflate; server_max_window_bits=09",
    "a value that is no number": "permessage-deflate; server_max_window_bits=a",
    "a sign": "permessage-deflate; server_max_window_bits=+9",
    "no value": "permessage-deflate; server_max_window_bits",
    "a value where none belongs": "permessage-deflate; server_no_context_takeover=1",
    "a value where none belongs, of the client": "permessage-deflate; client_no_context_takeover=true",
    "a parameter twice": "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
    "another extension": "x-webkit-deflate-frame",
    "a name that begins like it": "permessage-deflate2",
}

# Offers that break the grammar: the request may be refused with 400 as well.
MALFORMED = {
    "an empty value": 'permessage-deflate; server_max_window_bits=""',
    "a quote that does not end": 'permessage-deflate; server_max_window_bits="10',
    "no name": "; server_max_window_bits=10",
    "nothing": ",",
    "two words": "permessage-deflate server_max_window_bits=10",
    "an equals sign alone": "permessage-deflate; =",
    "a value without end": "permessage-deflate; server_max_window_bits=" + "1" * 5000,
    "five hundred": ", ".join(["permessage-deflate; server_max_window_bits=7"] * 100),
}

SIZES = (0, 1, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072)


def count_for(size):
    return 8 if size <= 8192 else 3


def content(kind, size, n):
    """The n-th message of that size: numbered, so that no two are the same."""
    if not size:
        return b""
    if kind == "text":
        row = b'{"number": %d, "names": ["Anna", "Boris", "Carla"], "open": true, "ratio": 0.%d}, '
        rows = [row % (n * 1000 + line, line * 7919 % 1000) for line in range(size // 60 + 1)]
        return b"".join(rows)[:size]
    state, out = n * 2654435761 + size, bytearray()
    while len(out) < size:  # what does not compress
        state = zlib.crc32(state.to_bytes(8, "big")) * 65539 + n
        out += (state & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(out[:size])


def deflated(*data):
    """A compressed message by itself, in blocks."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = b""
    for piece in data:
        out += packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    return out[:-4]


HELLO_PACKED = bytes.fromhex("f248cdc9c90700")  # RFC 7692, 7.2.3.1


def compressed():
    """With permessage-deflate agreed on and no parameters."""
    hello = ("text", b"Hello")
    one = F(TEXT, HELLO_PACKED, rsv=4)
    long = text_of(5000)
    packed = deflated(long)
    halves = fragments(TEXT, packed, [len(packed) // 2], rsv=4)
    cases = [
        Case("12 RFC 7692, 7.2.3.1", (one,), (hello,)),
        Case("12 RFC 7692, 7.2.3.1, in two", tuple(fragments(TEXT, HELLO_PACKED, [3], rsv=4)), (hello,)),
        Case("12 RFC 7692, 7.2.3.1, in octets", (Chop(1, (one,)),), (hello,)),
        Case("12 RFC 7692, 7.2.3.1, a fragment an octet", tuple(fragments(TEXT, HELLO_PACKED, 1, rsv=4)), (hello,)),
        Case("12 RFC 7692, 7.2.3.2", (one, F(TEXT, bytes.fromhex("f200110000"), rsv=4)), (hello, hello)),
        Case(
            "12 RFC 7692, 7.2.3.3, a block without compression",
            (F(TEXT, bytes.fromhex("000500faff48656c6c6f00"), rsv=4),),
            (hello,),
        ),
        Case("12 RFC 7692, 7.2.3.4, BFINAL", (F(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4),), (hello,)),
        Case("12 BFINAL, and on", (F(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4), one, one), (hello,) * 3),
        Case(
            "12 RFC 7692, 7.2.3.5, two blocks",
            (F(TEXT, bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", "")), rsv=4),),
            (hello,),
        ),
        Case("12 an empty message", (F(TEXT, b"\x00", rsv=4),), (("text", b""),)),
        Case("12 an empty message, then another", (F(BINARY, b"\x02\x00", rsv=4), one), (("binary", b""), hello)),
        Case(
            "12 one that is not compressed",
            (text(HELLO), one, F(BINARY, binary_of(300)), one),
            (("text", HELLO), hello, ("binary", binary_of(300)), hello),
        ),
        Case("12 an empty last fragment", (F(TEXT, HELLO_PACKED, rsv=4, fin=False), F(CONTINUATION, b"")), (hello,)),
        Case("12 an empty first fragment", (F(TEXT, b"", rsv=4, fin=False), F(CONTINUATION, HELLO_PACKED)), (hello,)),
        Case("12 a ping between", (halves[0], F(PING, b"p"), Await(1), halves[1]), (("pong", b"p"), ("text", long))),
        Case("12 RSV1 on a continuation", (halves[0], F(CONTINUATION, halves[1].payload, rsv=4)), (), PROTOCOL),
        Case(
            "12 RSV1 on a continuation of what is not compressed",
            (F(TEXT, b"a", fin=False), F(CONTINUATION, HELLO_PACKED, rsv=4)),
            (),
            PROTOCOL,
        ),
        Case("12 RSV1 on a ping", (F(PING, b"", rsv=4),), (), PROTOCOL),
        Case("12 RSV1 on Close", (F(8, close_payload(1000), rsv=4),), (), PROTOCOL),
        Case("12 RSV2", (F(TEXT, HELLO_PACKED, rsv=6),), (), PROTOCOL),
        Case("12 RSV3", (F(TEXT, HELLO_PACKED, rsv=5),), (), PROTOCOL),
        Case("12 not UTF-8 inside", (F(TEXT, deflated(KOSME + LONE), rsv=4),), (), NOT_UTF8),
        Case("12 a code point over two blocks", (F(TEXT, deflated(KOSME[:1], KOSME[1:]), rsv=4),), (("text", KOSME),)),
        Case("12 the end inside a code point", (F(TEXT, deflated(KOSME[:-1]), rsv=4),), (), NOT_UTF8),
        Case("12 not UTF-8, but binary", (F(BINARY, deflated(LONE), rsv=4),), (("binary", LONE),)),
        Case("12 what is no deflate", (F(TEXT, b"\x07" * 20, rsv=4),), (), Fails((1002, 1003, 1007))),
        Case("12 a block of the reserved type", (F(BINARY, b"\x06", rsv=4),), (), Fails((1002, 1003, 1007))),
        Case(
            "12 back before the beginning",
            (F(BINARY, bytes.fromhex("f200110000"), rsv=4),),
            (),
            Fails((1002, 1003, 1007)),
        ),
        Case("12 many blocks", (F(BINARY, deflated(*[b"x"] * 2000), rsv=4),), (("binary", b"x" * 2000),)),
    ]
    for size in SIZES:
        for level in (0, 1, 9):
            packer = zlib.compressobj(level, zlib.DEFLATED, -15)
            payload = content("text", size, level)
            data = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
            cases.append(Case(f"12 {size} at level {level}", (F(TEXT, data, rsv=4),), (("text", payload),)))
    return cases


def compressed_beyond_the_limit():
    """A small frame that is a large message: refused with 1009 while it grows."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(LIMIT)) + packer.compress(b"x") + packer.flush(zlib.Z_SYNC_FLUSH)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    whole = packer.compress(bytes(LIMIT // 8)) + packer.flush(zlib.Z_SYNC_FLUSH)
    return [
        Case("12 16 MiB and one in 16 KiB", (F(BINARY, bomb[:-4], rsv=4),), (), TOO_BIG),
        Case("12 2 MiB in 2 KiB", (F(BINARY, whole[:-4], rsv=4),), (("binary", bytes(LIMIT // 8)),)),
    ]
