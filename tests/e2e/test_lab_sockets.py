# SPDX-License-Identifier: MIT
"""`sonde lab`, chapters Sockets and Layers: each verdict against what Python measures of the same kernel, as the same
user. What holds on every kernel is demanded; the rest has to agree."""

import ctypes
import errno
import json
import os
import re
import socket
import struct
import subprocess
import sys

import pytest

import harness

VERDICTS = ("true", "false", "it depends", "not shown here")
CLAIMS = {
    "families": ["C12", "C13", "C14", "C49", "C64"],
    "addresses": ["C15", "C16", "C30", "C31", "C65", "C66"],
    "ports": ["C27", "C62"],
    "layers": ["C28", "C52", "C63"],
    "web-page": ["C26"],
}
FAMILIES = {
    "UNIX": 1, "INET": 2, "INET6": 10, "NETLINK": 16, "PACKET": 17, "VSOCK": 40, "XDP": 44, "BLUETOOTH": 31, "X25": 9,
    "CAN": 29, "TIPC": 30, "ALG": 38,
}  # fmt: skip
TYPES = {"STREAM": 1, "DGRAM": 2, "SEQPACKET": 5, "RAW": 3, "RDM": 4, "PACKET": 10}
PROTOCOLS = {"0": 0, "TCP": 6, "UDP": 17, "SCTP": 132, "ICMP": 1, "IGMP": 2, "UDPLITE": 136, "MPTCP": 262, "RAW": 255}

# Run as the user in question: what socket(2) gives, or the name of its errno.
ASK = """
import ctypes, errno, json, sys
libc = ctypes.CDLL(None, use_errno=True)
def ask(family, kind, protocol):
    fd = libc.socket(family, kind, protocol)
    if fd < 0:
        return errno.errorcode[ctypes.get_errno()]
    libc.close(fd)
    return "yes"
print(json.dumps([ask(*question) for question in json.load(sys.stdin)]))
"""


class Lab:
    """`sonde lab`, by root or by nobody."""

    def __init__(self, command, prefix, binary):
        self.prefix = list(prefix)
        self._command = command
        self._binary = binary

    def run(self, *arguments, prefix=()):
        process = self._command.start([*prefix, *self.prefix, self._binary, "lab", *arguments])
        process.end_input()
        status = process.wait()
        return harness.Result(status, process.out.data, process.err.text, process)

    def claims(self, *arguments, prefix=()):
        """{"C12": its line of JSON}"""
        result = self.run(*arguments, "--json", prefix=prefix)
        rows = [json.loads(line) for line in result.out.decode().splitlines()]
        assert rows, str(result.process)
        return {row["claim"]: row for row in rows}


@pytest.fixture(params=["as_is", "nobody"])
def lab(request, command, binary, nobody):
    if request.param == "nobody":
        return Lab(command, nobody.prefix, nobody.binary)
    return Lab(command, [], binary)


def shown(row):
    return row["verdict"] != "not shown here"


def is_false(row):
    assert row["verdict"] == "false", row


def is_true(row):
    assert row["verdict"] == "true", row


def wire_works(lab):
    """Whether this user can have a wire: unshare(1) is asked, not the product."""
    if not lab.prefix and os.geteuid() == 0:
        argv = ["unshare", "-n", "true"]
    else:
        argv = ["unshare", "-Urn", "true"]
    return subprocess.run([*lab.prefix, *argv], check=False, capture_output=True).returncode == 0


# --- every experiment -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_has_a_verdict(lab, name):
    rows = lab.claims(name)
    assert list(rows) == CLAIMS[name]
    for row in rows.values():
        assert row["experiment"] == name
        assert row["verdict"] in VERDICTS
        assert row["evidence"].strip()
        if wire_works(lab):
            assert shown(row), row


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("name", CLAIMS)
def test_text(lab, name, columns):
    """All heads in their order, and the verdict's words; nothing runs into the margin but pictures and commands."""
    result = lab.run(name, prefix=["env", f"COLUMNS={columns}", "LC_ALL=C.UTF-8"])
    text = result.out.decode()
    heads = [line.split("  ")[0] for line in text.splitlines() if re.match(r"[A-Z]", line)]
    order = ["Claim", "What is done", "Question", "Evidence", "Verdict", "Settings", "By hand", "Read"]
    assert [head for head in (re.match("|".join(order), head) for head in heads) if head], text
    assert [head for head in order if re.search(rf"^{head}", text, re.M)] == order, text
    positions = [re.search(rf"^{head}", text, re.M).start() for head in order]
    assert positions == sorted(positions), text
    for claim in CLAIMS[name]:
        assert claim in text
    verdict = text[text.index("\nVerdict") : text.index("\nSettings")]
    assert re.search(r"TRUE|FALSE|IT DEPENDS|NOT SHOWN HERE", verdict)
    for line in verdict.splitlines():
        assert len(line) <= int(columns), line


@pytest.mark.parametrize("name", ["families", "addresses", "ports", "web-page"])
def test_without_namespaces(command, nobody, name):
    """What needs no wire is shown without one. A user namespace may have limits of its own for those inside of it."""
    limits = "cd /proc/sys/user && echo 0 >max_user_namespaces && echo 0 >max_net_namespaces && cd /"
    refuse = ["unshare", "-Ur", "sh", "-c", f'{limits} && exec "$@"', "sh"]
    if subprocess.run([*nobody.prefix, *refuse, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no user namespace to refuse others in")
    rows = Lab(command, nobody.prefix, nobody.binary).claims(name, prefix=[])
    refused = Lab(command, [*nobody.prefix, *refuse], nobody.binary).claims(name)
    assert list(refused) == CLAIMS[name]
    for claim, row in refused.items():
        if claim == "C64":
            assert not shown(row), row
        else:
            assert row["verdict"] == rows[claim]["verdict"], (row, rows[claim])


# --- families ---------------------------------------------------------------------------------------------------------


def ask_kernel(prefix, questions):
    python = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
    answer = subprocess.run(
        [*prefix, python, "-c", ASK], input=json.dumps(questions), capture_output=True, text=True, check=True
    )
    return json.loads(answer.stdout)


def test_matrix_is_the_kernels(lab):
    """Every cell for this very user, asked by Python as the same user."""
    rows = lab.claims("families")
    for name, family in FAMILIES.items():
        expected = ask_kernel(lab.prefix, [(family, kind, 0) for kind in TYPES.values()])
        assert rows["C14"]["figures"][name].split() == expected, name
    inet_types = list(TYPES.values())[:4]
    for name, protocol in PROTOCOLS.items():
        expected = ask_kernel(lab.prefix, [(socket.AF_INET, kind, protocol) for kind in inet_types])
        assert rows["C12"]["figures"][name].split() == expected, name


def test_failures_are_minus_one(lab):
    row = lab.claims("families")["C14"]
    figures = row["figures"]
    assert figures["n_calls"] == len(FAMILIES) * len(TYPES) + 2 * len(PROTOCOLS) * 4
    assert 0 < figures["n_failed"] == figures["n_minus_one_with_errno"] < figures["n_calls"]
    is_false(row)
    assert str(int(figures["n_failed"])) in row["evidence"]


def test_default_protocols(lab):
    row = lab.claims("families")["C12"]
    for figure, kind in (("stream_0_protocol", socket.SOCK_STREAM), ("datagram_0_protocol", socket.SOCK_DGRAM)):
        with socket.socket(socket.AF_INET, kind, 0) as sock:
            assert row["figures"][figure] == sock.getsockopt(socket.SOL_SOCKET, 38)  # SO_PROTOCOL
    others = row["figures"]["n_other_protocols"]
    assert row["verdict"] == ("it depends" if others or row["figures"]["raw_0"] != "yes" else "true")
    [mptcp] = ask_kernel(lab.prefix, [(socket.AF_INET, socket.SOCK_STREAM, 262)])
    assert ("MPTCP" in row["figures"]["other_stream"]) == (mptcp == "yes")


def test_names(lab):
    rows = lab.claims("families")
    is_true(rows["C49"])
    assert rows["C49"]["figures"]["pf_inet"] == socket.AF_INET
    is_false(rows["C13"])
    assert rows["C13"]["figures"]["unix_records_kept"] == 3


def test_layers_left_out(lab):
    row = lab.claims("families")["C64"]
    if not wire_works(lab):
        assert row["figures"]["n_arrived"] <= row["figures"]["n_tried"]
        return
    is_false(row)
    assert row["figures"]["n_arrived"] == row["figures"]["n_tried"] == 3


# --- addresses --------------------------------------------------------------------------------------------------------


def test_sizes_and_orders(lab):
    rows = lab.claims("addresses")
    little = sys.byteorder == "little"
    assert rows["C15"]["figures"]["host_little_endian"] == little
    is_true(rows["C15"])
    assert rows["C30"]["figures"]["sockaddr_in_bytes"] == struct.calcsize("HH4s8s") == 16
    assert rows["C30"]["figures"]["sockaddr_in6_bytes"] == struct.calcsize("HHI16sI") == 28
    loopback = struct.unpack("=I", socket.inet_aton("127.0.0.1"))[0]
    assert rows["C30"]["figures"]["inet_addr_loopback"] == loopback
    assert rows["C30"]["verdict"] == ("true" if little else "it depends")
    is_false(rows["C65"])
    assert rows["C65"]["figures"]["sockaddr_un_bytes"] == 110
    assert rows["C65"]["figures"]["sockaddr_storage_bytes"] == 128


def test_cut_name(lab, ipv6):
    """Room for 16 bytes is filled with 16, and 28 are said to be needed."""
    del ipv6
    figures = lab.claims("addresses")["C65"]["figures"]
    assert (figures["given_bytes"], figures["needed_bytes"]) == (16, 28)


def test_types(lab):
    rows = lab.claims("addresses")
    size_t = ctypes.sizeof(ctypes.c_size_t)
    assert rows["C31"]["figures"]["size_t_bytes"] == size_t
    if size_t == 8:
        assert rows["C31"]["figures"]["size_t"] == "unsigned long"
        is_false(rows["C31"])
        assert rows["C66"]["figures"]["n_right"] == 1
        is_false(rows["C66"])
    assert rows["C66"]["figures"]["socklen_t"] == "unsigned int"


def test_any_address(lab):
    rows = lab.claims("addresses")
    is_true(rows["C16"])
    assert rows["C16"]["figures"]["n_reached"] == rows["C16"]["figures"]["n_addresses"] == 2
    if wire_works(lab):
        port = int(rows["C15"]["figures"]["wire_source_port"])
        assert rows["C15"]["figures"]["wire_bytes"].startswith(f"{port >> 8:02x} {port & 0xff:02x} ")


def unfolded(text):
    """ "00 x4 01" as bytes."""
    result = bytearray()
    for word in text.split():
        if word[0] == "x":
            result += result[-1:] * (int(word[1:]) - 1)
        else:
            result.append(int(word, 16))
    return bytes(result)


@pytest.mark.parametrize(
    "given, family",
    [
        ("::ffff:1.2.3.4", socket.AF_INET6),
        ("2001:DB8:0:0::1", socket.AF_INET6),
        ("::", socket.AF_INET6),
        ("2001:db8:1234:5678:9abc:def0:1234:5678", socket.AF_INET6),
        ("192.168.1.255", socket.AF_INET),
        ("255.255.255.255", socket.AF_INET),
    ],
)
def test_given(lab, given, family):
    figures = lab.claims("addresses", given)["C15"]["figures"]
    binary = socket.inet_pton(family, given)
    assert figures["given"] == given
    assert unfolded(figures["given_binary"]) == binary
    assert figures["given_text"] == socket.inet_ntop(family, binary)
    assert "given_wrong" not in figures


def test_given_with_zone_and_port(lab, ipv6):
    del ipv6
    assert lab.claims("addresses", "fe80::1%lo")["C15"]["figures"]["given_text"] == "fe80::1%lo"
    text = lab.run("addresses", "[::1]:7007").out.decode()
    assert re.search(r"port\s+7007: 1b 5f", text), text
    text = lab.run("addresses", "127.1").out.decode()
    assert re.search(r"back to text\s+127\.0\.0\.1", text) and "inet_pton refuses" in text, text


@pytest.mark.parametrize("given", ["1.2.3.4:65536", "256.0.0.1", "::1::", "1.2.3.4.5"])
def test_given_that_is_none(lab, given):
    result = lab.run("addresses", given)
    assert f'"{given}" is no address' in re.sub(r"\s+", " ", result.out.decode())
    figures = lab.claims("addresses", given)["C15"]["figures"]
    assert figures["given_wrong"] and "given_binary" not in figures


def test_given_that_a_terminal_would_obey(lab):
    """Wherever it is refused, it is shown with escapes."""
    result = lab.run("addresses", "1.2.3.4\x1b[31m")
    assert b"\x1b[31m" not in result.out and "\x1b[31m" not in result.err
    assert "\\x1b[31m" in result.out.decode() + result.err


# --- ports ------------------------------------------------------------------------------------------------------------


def sysctl(name):
    with open(f"/proc/sys/net/ipv4/{name}", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def test_range(lab):
    row = lab.claims("ports")["C27"]
    figures = row["figures"]
    is_false(row)
    assert figures["port_bits"] == 16
    assert figures["highest"] in (65535, -errno.EADDRINUSE)
    assert figures["range_first"] <= figures["from_65536"] <= figures["range_last"]
    assert str(int(figures["from_65536"])) in row["evidence"]
    assert 0 < figures["n_chosen"] == figures["n_chosen_within"]


def test_privileged_ports(lab):
    """Whoever runs it: an ordinary user is asked for this."""
    figures = lab.claims("ports")["C27"]["figures"]
    [start] = sysctl("ip_unprivileged_port_start")
    assert figures["unprivileged_start"] == start
    assert figures["ordinary_below_start"] == ("EACCES" if start > 1 else "bound")
    assert figures["ordinary_at_start"] == "bound"


def test_settings_are_followed(lab):
    """A wire of its own, with this machine's settings: here another machine's."""
    if lab.prefix or os.geteuid() != 0:
        pytest.skip("takes root, for a namespace with settings of its own")
    settings = "cd /proc/sys/net/ipv4; echo 20000 20099 >ip_local_port_range; echo 80 >ip_unprivileged_port_start; cd /"
    other = ["unshare", "-n", "sh", "-c", f'ip link set lo up; {settings}; exec "$@"', "sh"]
    figures = lab.claims("ports", prefix=other)["C27"]["figures"]
    assert figures["unprivileged_start"] == 80
    assert figures["ordinary_below_start"] == "EACCES" and figures["ordinary_at_start"] == "bound"
    assert figures["range_first"] <= figures["from_65536"] <= figures["range_last"]


def test_one_port_for_several(lab):
    row = lab.claims("ports")["C62"]
    figures = row["figures"]
    is_false(row)
    assert figures["plain"] == "EADDRINUSE"
    for way in ("other_address", "other_protocol", "reuse_port"):
        assert figures[way] == "bound", way
    assert figures["inherited"] == "accepted" and figures["n_accepted_on_port"] == 2
    assert figures["n_worked"] == figures["n_ways"] == 5
    assert figures["reuse_port_first"] + figures["reuse_port_second"] == 16


# --- layers -----------------------------------------------------------------------------------------------------------


def test_next_hop(lab):
    rows = lab.claims("layers")
    if not wire_works(lab):
        assert not any(shown(row) for row in rows.values())
        return
    is_false(rows["C28"])
    figures = rows["C28"]["figures"]
    assert figures["arrived"] == figures["is_next_hop"] == 1
    assert figures["first_destination"] != figures["peer"] == figures["second_destination"]
    assert figures["ttl_spent"] == 1
    is_true(rows["C52"])
    assert rows["C52"]["figures"]["near_in_table"] == rows["C52"]["figures"]["near_asked"] == 1
    assert rows["C52"]["figures"]["far_in_table"] == rows["C52"]["figures"]["far_asked"] == 0


def test_mac_is_changed(lab):
    row = lab.claims("layers")["C63"]
    if not wire_works(lab):
        assert not shown(row)
        return
    is_false(row)
    figures = row["figures"]
    assert figures["changed"] == figures["frames_carry_it"] == figures["loopback_has_none"] == 1


def test_opened_packet(lab):
    """Every layer of the one packet, outermost first, and the bytes that were sent."""
    if not wire_works(lab):
        pytest.skip("no wire for this user")
    text = lab.run("layers").out.decode()
    places = [text.index(layer) for layer in ("  Ethernet ", "  IPv4 ", "  TCP ", "  payload ")]
    assert places == sorted(places)
    assert "68 65 6c 6c 6f 2c 20 6c 61 79 65 72 73 0a" in text


def test_web_page(lab):
    row = lab.claims("web-page")["C26"]
    is_false(row)
    figures = row["figures"]
    assert figures["status"] == 200
    assert figures["body_bytes"] == figures["content_length"] > 0
    assert figures["response_bytes"] > figures["body_bytes"]
    text = lab.run("web-page").out.decode()
    page = re.search(r"(\d+)  (<!doctype html>.*)\\n$", text, re.M)
    assert int(page[1]) == len(page[2]) + 1 == figures["body_bytes"]


def test_leaves_nothing(lab):
    """The machine's own addresses and namespaces are as before."""

    def state():
        links = sorted(os.listdir("/sys/class/net"))
        macs = [open(f"/sys/class/net/{link}/address", encoding="ascii").read() for link in links
                if os.path.exists(f"/sys/class/net/{link}/address")]  # fmt: skip
        return links, macs, sysctl("ip_forward"), sysctl("conf/all/rp_filter"), sysctl("conf/all/accept_local")

    before = state()
    lab.claims("layers")
    lab.claims("families")
    assert state() == before
