# SPDX-License-Identifier: MIT
"""Names: which records are asked for, which of the addresses gets the connection, and what is said when none does. Each
command runs in a network of its own with a name server of its own (helpers/name_server.py)."""

import json
import pathlib
import re
import signal
import subprocess
import sys

import pytest

import harness
from harness import hint, one_sentence, wait_until

PORT = 7007
IPV4, IPV6 = "192.0.2.1", "2001:db8:1::1"  # an echo server
REFUSES4, REFUSES6 = "192.0.2.2", "2001:db8:1::2"  # nobody listens
SILENT4, SILENT6 = "203.0.113.1", "2001:db8:dead::1"  # nothing ever comes back
NETWORK = {
    "listen": [IPV4, IPV6],
    "refuse": [REFUSES4, REFUSES6],
    "swallow": ["203.0.113.0/24", "2001:db8:dead::/48"],
}


class World:
    """`prefix` goes before a command; `asked` is what its name server was asked so far."""

    def __init__(self, folder, prefix, entries):
        self._log = folder / "asked"
        description = {**NETWORK, "log": str(self._log), **entries}
        (folder / "world.json").write_text(json.dumps(description), encoding="utf-8")
        self.prefix = [*prefix, str(folder / "world.json")]

    @property
    def asked(self):
        return self._log.read_text(encoding="ascii").split("\n")[:-1] if self._log.exists() else []


@pytest.fixture
def world(tool, place):
    unshare = [tool("unshare"), "--user", "--net", "--mount", "--map-root-user"]
    tool("nft")
    helper = [sys.executable, str(harness.HERE / "helpers" / "name_server.py")]

    def make(names=None, **entries):
        made = World(place, [*unshare, *helper], {"names": names or {}, **entries})
        tried = subprocess.run([*made.prefix, "true"], check=False, capture_output=True, text=True)
        if tried.returncode != 0:
            pytest.skip(f"no such network can be made here: {tried.stderr.strip()[-200:]}")
        return made

    return make


def url(name="name.test", port=PORT):
    return f"tcp://{name}:{port}"


def kernel_patience():
    """Seconds until the kernel itself gives up to connect."""
    retries = int(pathlib.Path("/proc/sys/net/ipv4/tcp_syn_retries").read_text())
    return 2 ** (retries + 1) - 1


def connected_to(sonde, world, *options, name="name.test"):
    """Say something to the echo server of that name, and return the address that answered."""
    result = sonde.connect("-v", *options, url(name), input=b"hello", prefix=world.prefix)
    assert (result.status, result.out) == (0, b"hello"), result.process
    return re.search(r"^connected \S+ -> (\S+)$", result.err, re.M)[1]


def refusal(sonde, world, *options, name="name.test"):
    """The sentence of a connection that fails."""
    result = sonde.connect(*options, url(name), stdin=subprocess.DEVNULL, prefix=world.prefix)
    assert (result.status, result.out) == (1, b""), result.process
    sentence = one_sentence(result.err)
    assert url(name) in sentence
    hint(sentence)
    return sentence


# --- which address -----------------------------------------------------------------------------------------------


def test_ipv6_comes_first(sonde, world):
    made = world({"name.test": {"A": [IPV4], "AAAA": [IPV6], "ordered": True}})
    assert connected_to(sonde, made) == f"[{IPV6}]:{PORT}"
    assert sorted(made.asked) == ["udp A name.test", "udp AAAA name.test"]


@pytest.mark.parametrize("records", [{"A": [IPV4]}, {"A": [IPV4], "AAAA": [REFUSES6]}], ids=["alone", "refused"])
def test_ipv4_where_ipv6_is_not_to_be_had(sonde, world, records):
    made = world({"name.test": records})
    assert connected_to(sonde, made) == f"{IPV4}:{PORT}"


def test_ipv6_alone(sonde, world):
    assert connected_to(sonde, world({"name.test": {"AAAA": [IPV6]}})) == f"[{IPV6}]:{PORT}"


def test_an_ipv6_that_swallows_everything(sonde, world):
    """The connection stands long before the kernel would have given up on the first address."""
    if kernel_patience() < 2 * harness.DEADLINE:
        pytest.skip("the kernel is not patient enough to tell the difference")
    made = world({"name.test": {"A": [IPV4], "AAAA": [SILENT6]}})
    assert connected_to(sonde, made) == f"{IPV4}:{PORT}"


def test_several_that_swallow_everything(sonde, world):
    if kernel_patience() < 2 * harness.DEADLINE:
        pytest.skip("the kernel is not patient enough to tell the difference")
    made = world({"name.test": {"A": [SILENT4, IPV4], "AAAA": [SILENT6, "2001:db8:dead::2"]}})
    assert connected_to(sonde, made) == f"{IPV4}:{PORT}"


def test_an_address_without_a_route(sonde, world):
    made = world({"name.test": {"A": [IPV4], "AAAA": ["2001:db8:2::1"]}})
    assert connected_to(sonde, made) == f"{IPV4}:{PORT}"


@pytest.mark.parametrize("entry", [{"delay": {"AAAA": 2}}, {"silent": ["AAAA"]}], ids=["late", "never"])
def test_an_ipv6_answer_is_not_waited_for(sonde, world, entry):
    made = world({"name.test": {"A": [IPV4], "AAAA": [IPV6], **entry}})
    assert connected_to(sonde, made) == f"{IPV4}:{PORT}"


@pytest.mark.parametrize("entry", [{"delay": {"A": 2}}, {"silent": ["A"]}], ids=["late", "never"])
def test_an_ipv4_answer_is_not_waited_for(sonde, world, entry):
    made = world({"name.test": {"A": [IPV4], "AAAA": [IPV6], **entry}})
    assert connected_to(sonde, made) == f"[{IPV6}]:{PORT}"


def test_a_late_ipv6_answer_is_used_when_ipv4_has_failed(sonde, world):
    made = world({"name.test": {"A": [REFUSES4], "AAAA": [IPV6], "delay": {"AAAA": 0.3}}})
    assert connected_to(sonde, made) == f"[{IPV6}]:{PORT}"


def test_ipv6_whose_answer_is_a_failure(sonde, world):
    """A server that knows no AAAA and says SERVFAIL to it: the name has its IPv4 address all the same."""
    made = world({"name.test": {"A": [IPV4], "rcode": {"AAAA": 2}}})
    assert connected_to(sonde, made) == f"{IPV4}:{PORT}"


# --- which names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option, kind, address", [("-4", "A", IPV4), ("-6", "AAAA", f"[{IPV6}]")])
def test_one_family_asks_for_one_record(sonde, world, option, kind, address):
    made = world({"name.test": {"A": [IPV4], "AAAA": [IPV6]}})
    assert connected_to(sonde, made, option) == f"{address}:{PORT}"
    assert made.asked == [f"udp {kind} name.test"]


def test_a_local_address_chooses_the_family(sonde, world):
    made = world({"name.test": {"A": [IPV4], "AAAA": [IPV6]}})
    assert connected_to(sonde, made, "-s", "127.0.0.1") == f"{IPV4}:{PORT}"
    assert made.asked == ["udp A name.test"]


def test_n_asks_nothing(sonde, world):
    made = world({"name.test": {"A": [IPV4]}})
    assert "numeric" in refusal(sonde, made, "-n")
    assert made.asked == []


def test_a_chain_of_aliases(sonde, world):
    made = world(
        {
            "name.test": {"CNAME": "one.test"},
            "one.test": {"CNAME": "two.test"},
            "two.test": {"A": [IPV4]},
        }
    )
    assert connected_to(sonde, made) == f"{IPV4}:{PORT}"


def test_an_answer_too_long_for_udp(sonde, world):
    made = world({"name.test": {"A": [REFUSES4] * 30 + [IPV4], "AAAA": [REFUSES6], "truncate": True}})
    assert connected_to(sonde, made) == f"{IPV4}:{PORT}"
    assert "udp A name.test" in made.asked and "tcp A name.test" in made.asked


@pytest.mark.parametrize("lines", [[IPV4], [IPV6], [REFUSES4, IPV4], [IPV4, REFUSES6]], ids=", ".join)
def test_the_hosts_file_comes_first(sonde, world, lines):
    """And is all there is: no server is asked for the family that it lacks."""
    hosts = "".join(f"{address}\tother.test name.test # a comment\n" for address in lines)
    made = world({"name.test": {"A": [SILENT4], "AAAA": [SILENT6]}}, hosts=hosts)
    answered = connected_to(sonde, made)
    assert answered in (f"{IPV4}:{PORT}", f"[{IPV6}]:{PORT}")
    assert made.asked == []


def test_localhost_is_never_looked_up(sonde, world):
    made = world(listen=["::1", "127.0.0.1"], hosts="")
    assert connected_to(sonde, made, name="localhost") == f"[::1]:{PORT}"
    assert connected_to(sonde, made, "-4", name="localhost") == f"127.0.0.1:{PORT}"
    assert made.asked == []


def test_the_search_list(sonde, world):
    """Both records are asked of one full name before the next: they never belong to two hosts."""
    made = world(
        {
            "host.one.test": {"A": [IPV4]},
            "host.two.test": {"A": [REFUSES4], "AAAA": [REFUSES6]},
            "host": {"AAAA": [REFUSES6]},
        },
        resolv="search none.test one.test two.test\n",
    )
    assert connected_to(sonde, made, name="host") == f"{IPV4}:{PORT}"
    assert sorted(made.asked) == [f"udp {kind} host.{domain}.test" for kind in ("A", "AAAA") for domain in ("none", "one")]


def test_a_name_with_dots_is_asked_for_as_it_is(sonde, world):
    made = world({"name.test": {"A": [IPV4]}, "name.test.one.test": {"A": [REFUSES4]}}, resolv="search one.test\n")
    assert connected_to(sonde, made) == f"{IPV4}:{PORT}"
    assert sorted(made.asked) == ["udp A name.test", "udp AAAA name.test"]


# --- what is said ------------------------------------------------------------------------------------------------


def test_every_address_is_named_with_its_reason(sonde, world):
    made = world({"name.test": {"A": [SILENT4, REFUSES4], "AAAA": [SILENT6, "2001:db8:2::1"], "ordered": True}})
    sentence = refusal(sonde, made, "-w", "3")
    for address in (f"[{SILENT6}]", SILENT4):
        assert re.search(rf"{re.escape(address)}:{PORT} timed out after \d+\.\d s\b", sentence), sentence
    assert f"{REFUSES4}:{PORT} connection refused" in sentence
    assert re.search(rf"\[2001:db8:2::1\]:{PORT} [\w ]+ unreachable", sentence), sentence
    assert sentence.index(SILENT6) < sentence.index(SILENT4) < sentence.index("2001:db8:2::1") < sentence.index(REFUSES4)


def test_one_address_has_the_usual_sentence(sonde, world):
    made = world({"name.test": {"A": [REFUSES4]}})
    assert refusal(sonde, made).startswith(f"{url()} ({REFUSES4}:{PORT}) refused the connection: nothing listens there.")
    made = world(hosts=f"{SILENT4}\tname.test\n")  # the time is for connecting, none of it for the name
    assert refusal(sonde, made, "-w", "1").startswith(f"{url()} ({SILENT4}:{PORT}) did not answer: connecting timed out.")


def test_twenty_addresses(sonde, world):
    four = [f"198.51.100.{n}" for n in range(1, 11)]
    six = [f"2001:db8:3::{n}" for n in range(1, 11)]
    made = world({"name.test": {"A": four, "AAAA": six}}, refuse=four + six)
    sentence = refusal(sonde, made)
    assert len(re.findall(rf":{PORT} connection refused", sentence)) == 8
    assert ", and 12 more" in sentence
    result = sonde.connect("-v", url(), stdin=subprocess.DEVNULL, prefix=made.prefix)
    for address in [*four, *(f"[{address}]" for address in six)]:
        assert re.search(rf"^sonde: {re.escape(address)}:{PORT}: connection refused", result.err, re.M), result.err


def test_more_addresses_than_are_tried(sonde, world):
    four = [f"198.51.100.{n}" for n in range(1, 41)]
    made = world({"name.test": {"A": four, "truncate": True}}, refuse=four)
    sentence = refusal(sonde, made)
    assert ", and 24 more (8 more addresses were not tried)" in sentence


def test_v_tells_of_those_that_were_slower(sonde, world):
    made = world({"name.test": {"A": [IPV4], "AAAA": [SILENT6], "ordered": True}})
    result = sonde.connect("-v", url(), input=b"hello", prefix=made.prefix)
    assert re.search(rf"^sonde: \[{SILENT6}\]:{PORT}: no answer after \d+\.\d+ s\.$", result.err, re.M), result.err


def test_a_port_scan_names_the_addresses(sonde, world):
    made = world({"name.test": {"A": [REFUSES4], "AAAA": [REFUSES6], "ordered": True}})
    result = sonde.run("connect", "--engine", sonde.engine, "-z", "-v", "name.test", "20-21", prefix=made.prefix)
    assert result.status == 1
    lines = result.err.splitlines()
    assert len(lines) == 2, result.err
    for line, port in zip(lines, (20, 21)):
        assert line.startswith(
            f"closed tcp://name.test:{port} [{REFUSES6}]:{port} connection refused, {REFUSES4}:{port} connection refused, "
        )


def test_a_port_scan_of_a_name_that_fails(sonde, world):
    made = world({"name.test": {"rcode": 2}})
    result = sonde.run("connect", "--engine", sonde.engine, "-z", "name.test", "20-29", prefix=made.prefix)
    assert result.status == 1
    assert "SERVFAIL" in one_sentence(result.err)


def test_a_name_that_is_not_there(sonde, world):
    sentence = refusal(sonde, world())
    assert "does not resolve" in sentence and "name.test" in sentence


def test_a_name_without_addresses(sonde, world):
    assert "does not resolve" in refusal(sonde, world({"name.test": {}}))


@pytest.mark.parametrize("rcode, word", [(2, "SERVFAIL"), (5, "REFUSED"), (4, "NOTIMP")])
def test_a_server_that_fails(sonde, world, rcode, word):
    sentence = refusal(sonde, world({"name.test": {"rcode": rcode}}))
    assert re.search(rf"\b{word}\b.*127\.0\.0\.1", sentence), sentence
    assert "again" in sentence


def test_a_server_that_is_not_there(sonde, world):
    sentence = refusal(sonde, world(server=False))
    assert "no name server can be reached at 127.0.0.1" in sentence


def test_no_answer_at_all(sonde, world):
    made = world({"name.test": {"silent": ["A", "AAAA"]}})
    sentence = refusal(sonde, made, "-w", "1")
    assert "looking up its name timed out" in sentence and "127.0.0.1" in sentence


@pytest.mark.parametrize("garbage", ["id", "random"])
def test_a_server_that_sends_garbage(sonde, world, garbage):
    made = world({"name.test": {"garbage": garbage}})
    refusal(sonde, made, "-w", "2")


def test_a_server_that_sends_garbage_to_one_of_two(sonde, world):
    made = world({"name.test": {"A": [IPV4], "rcode": {"AAAA": 15}}})
    assert connected_to(sonde, made) == f"{IPV4}:{PORT}"


def test_interrupt_while_looking_up(sonde, world):
    made = world({"name.test": {"silent": ["A", "AAAA"]}})
    process = sonde.start_connect(url(), prefix=made.prefix)
    wait_until(lambda: len(made.asked) >= 2, "it asks for the name")
    process.signal(signal.SIGINT)
    assert process.wait() == 130


def test_interrupt_while_connecting(sonde, world):
    made = world({"name.test": {"A": [SILENT4], "AAAA": [SILENT6]}})
    process = sonde.start_connect("-v", "--calls", url(), prefix=made.prefix)
    process.err.wait_match(r"\bsocket\(.*\n(.*\n)*.*\bsocket\(")  # both are under way
    process.signal(signal.SIGINT)
    assert process.wait() == 130


def test_retry_looks_up_again(sonde, world):
    made = world({"name.test": {"A": [REFUSES4], "AAAA": [REFUSES6]}})
    refusal(sonde, made, "--retry=1")
    assert sorted(made.asked) == ["udp A name.test"] * 2 + ["udp AAAA name.test"] * 2
