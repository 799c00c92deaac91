# SPDX-License-Identifier: MIT
"""Bad input and refusals: the exit status, one sentence that names the address and says what to try, nothing else."""

import json
import os
import pathlib
import platform
import re
import socket
import subprocess

import pytest

import harness
from harness import hint, one_sentence, round_trip


# --- what cannot be understood -----------------------------------------------------------------------------------

UNPARSABLE = [
    "tcp://127.0.0.1:abc",
    "tcp://127.0.0.1:65536",
    "tcp://127.0.0.1:99999999999999999999",
    "tcp://127.0.0.1:-1",
    "tcp://[::1:7007",
    "tcp://::1]:7007",
    "tcp://[::g]:7007",
    "tcp://[127.0.0.1]:7007",
    "tcp://host name:7007",
    "tcp://127.0.0.1:7007?nosuchoption=1",
    "tcp://127.0.0.1:7007?nodelay=perhaps",
    "tcp://127.0.0.1:7007?ttl=0",
    "tcp://127.0.0.1:7007?ttl=256",
    "tcp://127.0.0.1:7007?dscp=64",
    "tcp://127.0.0.1:7007?sndbuf",
    "tcp://127.0.0.1:7007?nodelay=1&nosuchoption=1",
    "tcp:/127.0.0.1:7007",
    "nosuchscheme://127.0.0.1:7007",
    "unix:",
    "unix:@",
    "unix:" + "/x" * 60,
    "127.0.0.1:65536",
    "tcp://" + "a" * 5000 + ":7007",
    "",
]


@pytest.mark.parametrize("verb", ["serve", "connect"])
@pytest.mark.parametrize("url", UNPARSABLE, ids=lambda url: url[:40] or "nothing")
def test_a_url_that_cannot_be_parsed(command, verb, url):
    result = command.run(verb, *(["echo"] if verb == "serve" else []), url)
    assert (result.status, result.out) == (2, b""), result.process
    sentence = one_sentence(result.err)
    assert url[:20] in sentence
    if "?" in url:
        assert re.search("nosuchoption|nodelay|ttl|dscp|sndbuf", sentence), f"it does not name the option: {sentence!r}"


NOT_BUILT = ["http", "https"]


@pytest.mark.parametrize("verb", ["serve", "connect"])
@pytest.mark.parametrize("scheme", NOT_BUILT)
def test_a_scheme_that_is_not_built_says_so(command, verb, scheme):
    url = f"{scheme}://127.0.0.1:7007"
    result = command.run(verb, *(["echo"] if verb == "serve" else []), url)
    assert (result.status, result.out) == (2, b""), result.process
    sentence = one_sentence(result.err)
    assert scheme in sentence
    assert re.search(r"not built|not yet|coming|later", sentence), f"it does not say that it is not built: {sentence!r}"


@pytest.mark.parametrize("verb", ["serve", "connect"])
def test_an_argument_s_control_bytes_stay_harmless(command, verb):
    for argument in ("tcp://\x1b]0;owned\x07:7007", "\x1b[2J", "--\x1b[31m", "tcp://h:7007?\u202e=1", "tcp://\x9b:1"):
        result = command.run(verb, *(["echo"] if verb == "serve" else []), argument)
        assert result.status != 0
        harness.assert_printable(result.err.encode("utf-8", "surrogateescape"))
    result = command.run("\x1b[31mverb")
    assert result.status == 2
    harness.assert_printable(result.err.encode())


def test_an_argument_that_is_not_utf_8(command):
    result = command.run("connect", os.fsdecode(b"tcp://\xff\xfe:7007"))
    assert result.status != 0
    harness.assert_printable(result.process.err.data)


def test_serve_alone_lists_the_services(command):
    for arguments in ([], ["nosuchservice"], ["Echo"], ["tcp://127.0.0.1:0"]):
        result = command.run("serve", *arguments)
        assert (result.status, result.out) == (2, b""), result.process
        assert sum(line.startswith("sonde: ") for line in result.err.splitlines()) == 1, result.err
        for service in "echo discard chargen daytime time greet hold".split():
            assert re.search(rf"\b{service}\b", result.err), f"{service} is missing:\n{result.err}"
    assert "nosuchservice" in command.run("serve", "nosuchservice").err


@pytest.mark.parametrize(
    "arguments",
    [
        ["echo", "--no-such-option"],
        ["echo", "-Z"],
        ["echo", "--print", "colour"],
        ["echo", "--backlog", "many"],
        ["echo", "--backlog", "-1"],
        ["echo", "--max-clients", "0"],
        ["echo", "--max-clients", "-1"],
        ["echo", "--max-clients", "x"],
        ["echo", "--max-clients", "2", "--when-full", "explode"],
        ["echo", "--idle-timeout", "soon"],
        ["echo", "--idle-timeout", "-1"],
        ["echo", "--drain", "never"],
        ["echo", "--threads", "0"],
        ["echo", "--threads", "257"],
        ["echo", "--threads", "two"],
        ["echo", "--engine", "steam"],
        ["echo", "--print"],
        ["greet"],
    ],
    ids=" ".join,
)
def test_misuse_of_serve(command, arguments):
    result = command.run("serve", *arguments)
    assert (result.status, result.out) == (2, b""), result.process
    assert sum(line.startswith("sonde: ") for line in result.err.splitlines()) == 1, result.err


@pytest.mark.parametrize(
    "options", [["-l"], ["-k"], ["-p", "7007"], ["-u"], ["-e", "/bin/cat"], ["-c", "cat"]], ids=" ".join
)
def test_options_of_nc_that_serve_does_not_have_say_so(command, options):
    result = command.run("serve", *options, "echo", harness.LOOPBACK)
    assert (result.status, result.out) == (2, b""), result.process
    assert re.search(r"sonde \w+|address|coming|not built|serve", one_sentence(result.err))


def test_greet_without_its_file(command, tmp_path):
    result = command.run("serve", "greet", "--file", tmp_path / "no-such-file", harness.LOOPBACK)
    assert (result.status, result.out) == (1, b""), result.process
    assert str(tmp_path / "no-such-file") in one_sentence(result.err)


def test_greet_with_an_escape_that_does_not_exist(command):
    result = command.run("serve", "greet", r"bad \q escape", harness.LOOPBACK)
    assert (result.status, result.out) == (2, b""), result.process


# --- what the network refuses ------------------------------------------------------------------------------------


def refused(command, *arguments, url, prefix=(), deadline=None):
    """Exit 1, nothing on stdout, one sentence that names the URL and says what to try. Returns it."""
    result = command.run(*arguments, url, prefix=prefix, deadline=deadline)
    assert (result.status, result.out) == (1, b""), result.process
    sentence = one_sentence(result.err)
    assert url in sentence, f"it does not name {url}: {sentence!r}"
    hint(sentence)
    return sentence


def serve_refused(sonde, url, **keywords):
    return refused(sonde, "serve", "echo", "--engine", sonde.engine, url=url, **keywords)


def test_a_second_server_on_the_same_port(sonde):
    server = sonde.serve("echo")
    sentence = serve_refused(sonde, server.url)
    assert "in use" in sentence or "already" in sentence
    with server.connect() as sock:
        round_trip(sock, b"the first one is unharmed")


def test_a_port_that_another_program_listens_on(sonde, listen):
    serve_refused(sonde, harness.url_of(listen()))


def test_a_port_shared_by_reuseport_is_in_use_all_the_same(sonde):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        serve_refused(sonde, harness.url_of(other))
        serve_refused(sonde, f"tcp://127.0.0.1:{other.getsockname()[1]}")


def test_an_address_that_is_not_ours(sonde, foreign_address):
    serve_refused(sonde, f"tcp://{foreign_address}:0")
    serve_refused(sonde, f"tcp://{foreign_address}:{harness.free_port()}")


def test_port_80_without_permission(sonde, nobody):
    first = int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first <= 80:
        pytest.skip(f"ports from {first} on are everyone's here")
    sonde.binary = nobody.binary
    sentence = serve_refused(sonde, "tcp://127.0.0.1:80", prefix=nobody.prefix)
    assert re.search(r"permission|permitted|privilege|allowed", sentence)
    assert str(first) in sentence, f"from which port on would it work? {sentence!r}"


def test_a_unix_socket_where_none_can_be_made(sonde, place, nobody):
    serve_refused(sonde, f"unix:{place}/no/such/directory/x.sock")
    sonde.binary = nobody.binary
    sentence = serve_refused(sonde, "unix:/sonde-e2e.sock", prefix=nobody.prefix)
    assert re.search(r"permission|permitted|allowed|may not", sentence)


def test_a_name_that_does_not_resolve(sonde):
    serve_refused(sonde, "tcp://name.invalid:7007", deadline=60)


def test_an_option_that_the_kernel_refuses_is_named(sonde):
    for url, option in (
        ("tcp://127.0.0.1:0?cc=nosuchalgorithm", "cc"),
        ("tcp://127.0.0.1:0?device=nosuchdevice0", "device"),
    ):
        result = sonde.run("serve", "echo", "--engine", sonde.engine, url)
        assert (result.status, result.out) == (1, b""), result.process
        assert re.search(rf"\b{option}\b", one_sentence(result.err)), result.err


def test_an_option_that_the_kernel_refuses_is_named_by_connect(sonde, echo_peer):
    result = sonde.connect(f"{echo_peer.url}?cc=nosuchalgorithm", input=b"hello")
    assert (result.status, result.out) == (1, b""), result.process
    assert re.search(r"\bcc\b", one_sentence(result.err)), result.err


def test_one_of_several_urls_is_refused_then_none_is_served(sonde, listen, place):
    taken = harness.url_of(listen())
    result = sonde.run("serve", "echo", "--engine", sonde.engine, f"unix:{place}/x.sock", harness.LOOPBACK, taken)
    assert (result.status, result.out) == (1, b""), result.process
    assert taken in one_sentence(result.err)
    assert not os.path.exists(f"{place}/x.sock"), "it left its socket behind"


def test_connect_without_permission(sonde, nobody, place):
    path = place / "private.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        path.chmod(0o600)
        if os.geteuid() != 0:
            path.chmod(0)
        result = sonde.run("connect", "--engine", sonde.engine, f"unix:{path}", prefix=nobody.prefix)
    assert (result.status, result.out) == (1, b""), result.process
    assert str(path) in one_sentence(result.err)


def test_port_0_is_nothing_to_connect_to(command):
    result = command.run("connect", "tcp://127.0.0.1:0")
    assert result.status in (1, 2) and result.out == b""
    assert "tcp://127.0.0.1:0" in one_sentence(result.err)


# --- the command itself ------------------------------------------------------------------------------------------


def test_version(command):
    result = command.run("version")
    assert (result.status, result.err) == (0, "")
    lines = result.out.decode().splitlines()
    assert re.fullmatch(r"sonde \d+\.\d+\.\d+", lines[0])
    for engine in ("uring", "epoll"):
        found = re.search(rf"^engine {engine}  (available|not available: \S.*)$", result.out.decode(), re.M)
        assert found, result.out
    assert re.search(r"^engine epoll  available$", result.out.decode(), re.M)
    assert re.search(r"^default engine (uring|epoll)$", result.out.decode(), re.M)
    assert platform.release() in result.out.decode()
    assert "liburing" in result.out.decode()
    assert command.run("--version").out.decode() == lines[0] + "\n"


def test_version_as_json(command):
    result = command.run("version", "--json")
    assert result.status == 0
    json.loads(result.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_help(command):
    for arguments in ([], ["serve"], ["connect"]):
        for option in ("-h", "--help"):
            result = command.run(*arguments, option)
            assert (result.status, result.err) == (0, ""), result.process
            assert "sonde" in result.out.decode()
            harness.assert_printable(result.out)
    text = command.run("--help").out.decode()
    for verb in ("serve", "connect", "version"):
        assert re.search(rf"^\s*(sonde )?{verb}\b", text, re.M), f"{verb} is missing:\n{text}"
    alone = command.run()
    assert "serve" in alone.out.decode() + alone.err


def test_help_on_a_full_disk_is_no_success(command):
    with open("/dev/full", "wb") as full:
        process = command.start([command.binary, "--help"], stdin=subprocess.DEVNULL, stdout=full)
        assert process.wait() == 1


def test_an_unknown_verb(command):
    result = command.run("frobnicate")
    assert (result.status, result.out) == (2, b"")
    assert sum(line.startswith("sonde: ") for line in result.err.splitlines()) == 1, result.err
    assert "frobnicate" in result.err
