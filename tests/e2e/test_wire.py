# SPDX-License-Identifier: MIT
"""sonde wire: two real programs, a wire between them, and what is told of it."""
import json
import os
import re
import shutil
import signal
import subprocess
import xml.dom.minidom

import pytest

import harness

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]


@pytest.fixture(autouse=True)
def utf8(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(params=["root", "nobody"])
def user(request):
    if request.param == "root":
        return []
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    return NOBODY


@pytest.fixture(scope="session")
def why_no_wire(binary):
    """None: there is one to be had."""
    probe = subprocess.run([binary, "wire", "--quiet", "--", "true", "---", "true"], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=harness.DEADLINE,
                           check=False)
    return f"no wire here: {probe.stderr}" if probe.returncode else None


@pytest.fixture
def wire(command, why_no_wire):
    if why_no_wire:
        pytest.skip(why_no_wire)

    def run(*arguments, server, client, **keywords):
        return command.run("wire", *arguments, "--", *server, "---", *client, **keywords)

    return run


def shell(text):
    return ["sh", "-c", text]


def numbers(err, direction):
    """The report's line of a direction: {"packets": 12, "lost": 3}."""
    line = re.search(rf"^sonde: {direction}: (.*)\.$", err, re.M).group(1)
    found = {"packets": int(re.match(r"([\d,]+) packets?", line).group(1).replace(",", ""))}
    for part in re.sub(r"\([^)]*\)", "", line).split(", ")[1:]:
        count, what = part.split(" ", 1)
        found[what] = int(count.replace(",", ""))
    return found


def copy_through(wire, tmp_path, *options, size=200_000, **keywords):
    """A file through the wire; it must come out as it was."""
    source, target = tmp_path / "in", tmp_path / "out"
    data = bytes(range(256)) * (size // 256)
    source.write_bytes(data)
    result = wire(*options, server=["socat", "-u", "TCP-LISTEN:7007", f"CREATE:{target}"],
                  client=["socat", "-u", f"FILE:{source}", "TCP:10.0.0.2:7007"], **keywords)
    assert result.status == 0, result.err
    assert target.read_bytes() == data
    return result


# ---- programs


def test_our_own_programs(command, wire, user):
    url = "tcp://10.0.0.2:7007"
    result = wire("--delay", "2ms", server=[command.binary, "serve", "echo", url],
                  client=[command.binary, "connect", url], input=b"hello\n", prefix=user)
    assert result.status == 0, result.err
    assert b"hello\n" in result.out
    assert numbers(result.err, "a to b")["packets"] >= 4
    assert numbers(result.err, "b to a")["packets"] >= 3


def test_curl(wire, tmp_path):
    (tmp_path / "page").write_text("a page\n")
    result = wire("--delay", "2ms", "--ready-timeout", f"{harness.DEADLINE:.0f}s", server=["python3", "-m", "http.server", "-d", str(tmp_path), "8000"],
                  client=["curl", "-s", "http://10.0.0.2:8000/page"])
    assert result.status == 0
    assert result.out.endswith(b"a page\n")


@pytest.mark.parametrize("tool", ["ncat", "nc"])
def test_netcats(wire, tool):
    if not shutil.which(tool):
        pytest.skip(f"no {tool}")
    # `hello` reaches the server's standard output.
    send = "echo hello | nc -N 10.0.0.2 7007" if tool == "nc" else "echo hello | ncat --send-only 10.0.0.2 7007"
    result = wire(server=[tool, "-l", "7007"], client=shell(send))
    assert result.status == 0, result.err
    assert result.out == b"hello\n"


def test_ipv6(wire):
    result = wire("--trace", server=["nc", "-6", "-l", "7007"], client=shell("echo hello | nc -N $SONDE_B6 7007"))
    assert result.status == 0, result.err
    assert result.out == b"hello\n"
    assert "[fd00::2]:7007" in result.err


def test_udp(wire):
    result = wire("--delay", "1ms", server=["socat", "-u", "UDP-RECVFROM:7007", "STDOUT"],
                  client=shell("echo hello | socat -u STDIN UDP:10.0.0.2:7007"))
    assert result.status == 0, result.err
    assert result.out == b"hello\n"


def test_the_client_has_the_input(wire):
    result = wire(server=shell("cat; exec nc -l 7007"), client=shell("cat; echo $SONDE_A $SONDE_B $SONDE_B6"),
                  input=b"typed\n")
    assert result.out == b"typed\n10.0.0.1 10.0.0.2 fd00::2\n"


# ---- how it ends


@pytest.mark.parametrize("client, status", [("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)])
def test_exit_status(wire, client, status):
    assert wire(server=["true"], client=shell(client)).status == status


def test_not_found(wire, tmp_path):
    result = wire(server=["true"], client=["/no/such/program"])
    assert result.status == 127
    assert "sonde: /no/such/program cannot be executed: no such file or directory." in result.err
    result = wire(server=["/no/such/program"], client=["echo", "started"])
    assert result.status == 127
    assert result.out == b""
    (tmp_path / "text").write_text("no program")
    assert wire(server=["true"], client=[str(tmp_path / "text")]).status == 126


def test_server_that_never_listens(wire):
    result = wire("--ready-timeout", "100ms", server=["sleep", "1000"], client=["echo", "started"])
    assert result.status == 0
    assert result.out == b"started\n"
    assert "sonde: nothing listens after 100ms; the client starts all the same." in result.err


def test_server_on_loopback_only(wire):
    result = wire(server=["nc", "-l", "127.0.0.1", "7007"],
                  client=["nc", "-z", "10.0.0.2", "7007"])
    assert result.status == 1
    assert "the server listens on 127.0.0.1:7007 only, where the client cannot reach it" in result.err


def test_server_ends_first(wire):
    result = wire(server=shell("exit 3"), client=["echo", "started"])
    assert result.status == 0
    assert result.out == b"started\n"
    assert "the server has ended (status 3) before anything listened" in result.err


def marked_processes(mark):
    out = subprocess.run(["ps", "-eo", "pid,stat,args"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line for line in out.splitlines() if mark in line and " Z" not in line.split(None, 2)[1]]


def sleeping(seconds):
    """A program that is easy to find: it starts another two, one of which hides in a session of its own."""
    return shell(f"setsid sleep {seconds} & sleep {seconds} & echo here; wait")


def test_nothing_stays(wire, tmp_path):
    mark = f"86399.{os.getpid()}25"
    result = wire("--ready-timeout", "50ms", server=sleeping(mark), client=shell(f"setsid sleep {mark} & true"))
    assert result.status == 0
    assert marked_processes(f"sleep {mark}") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_killed(command, wire, number):
    mark = f"86399.{os.getpid()}{int(number):02}"
    process = command.start([command.binary, "wire", "--ready-timeout", "50ms", "--", *sleeping(mark), "---",
                             *sleeping(mark)], stdin=subprocess.DEVNULL)
    harness.wait_until(lambda: process.out.text.count("here\n") == 2, "both run")
    process.signal(number)
    status = process.wait()
    assert status == 128 + (signal.SIGTERM if number in (signal.SIGINT, signal.SIGHUP) else number)
    harness.wait_until(lambda: marked_processes(f"sleep {mark}") == [], "nothing is left")


def test_a_server_that_ignores_sigterm(wire):
    mark = f"86399.{os.getpid()}5"
    result = wire("--ready-timeout", "50ms",
                  server=shell(f"trap '' TERM; sleep {mark} & while :; do wait; sleep 0.1; done"), client=["true"])
    assert result.status == 0
    assert marked_processes(f"sleep {mark}") == []


def test_misuse(command):
    for arguments, words in [
        (["--", "true"], "a wire has two ends"),
        (["true", "true"], 'behind "--"'),
        (["--", "---", "true"], "the server is missing"),
        (["--", "true", "---"], "the client is missing"),
        (["--loss", "much", "--", "true", "---", "true"], "--loss:"),
        (["--a-to-b", "drop data #x", "--", "true", "---", "true"], "--a-to-b:"),
        (["--jitter", "1ms", "--", "true", "---", "true"], "--jitter belongs to --delay"),
    ]:
        result = command.run("wire", *arguments)
        assert result.status == 2, result
        assert words in harness.one_sentence(result.err)


# ---- what the wire does


def test_dropped_and_repaired(wire, user):
    result = wire("--trace", "--delay", "2ms", "--a-to-b", "drop data #1", server=["nc", "-l", "7007"],
                  client=shell("echo hello | nc -N 10.0.0.2 7007"), prefix=user)
    assert result.status == 0, result.err
    assert result.out == b"hello\n"
    lost = re.search(r"─(\d+)─ P\. 1:7\(6\) .*×", result.err)
    assert lost, result.err
    assert re.search(rf"again #{lost.group(1)}\b", result.err)
    assert "wire: delay 2ms each way, a→b drop data #1" in result.err
    assert "It was lost on the way" in result.err
    assert numbers(result.err, "a to b")["dropped by name"] == 1


def test_a_copy_is_intact(wire, tmp_path):
    # Of 700 segments it is certain, with such shares, that each thing is done to some.
    result = copy_through(wire, tmp_path, "--delay", "1ms", "--loss", "3%", "--duplicate", "3%", "--reorder",
                          "3% by 3ms", "--corrupt", "3%", size=1_000_000)
    counts = numbers(result.err, "a to b")
    assert {"lost", "duplicated", "held back to be overtaken", "corrupted"} <= set(counts)
    assert re.search(r"--seed \d+ repeats", result.err)


def test_what_the_client_left_to_its_kernel_arrives(wire, tmp_path):
    """It has ended long before all is there: with so much loss, timers have to repair some of it."""
    for seed in range(1, 21):
        (tmp_path / str(seed)).mkdir()
        copy_through(wire, tmp_path / str(seed), "--delay", "1ms", "--loss", "8%", "--corrupt", "1%", "--seed", str(seed),
                     size=1_000_000)


TURNS = ("import socket\n"
         "c = socket.create_connection(('10.0.0.2', 7007))\n"
         "for _ in range(100):\n"
         "    c.sendall(bytes(500))\n"
         "    n = 0\n"
         "    while n < 500: n += len(c.recv(500 - n))\n")


def test_a_seed_repeats(command, wire, tmp_path):
    """One message after the other, so that the segments are the same each time: so is what becomes of them."""
    def lost(seed, name):
        path = tmp_path / name
        url = "tcp://10.0.0.2:7007"
        result = wire("--loss", "5%", "--seed", seed, "--trace-json", path,
                      server=[command.binary, "serve", "echo", url], client=["python3", "-c", TURNS])
        assert result.status == 0, result.err
        assert re.search(rf"--seed {seed} repeats", result.err)
        events = [json.loads(line) for line in path.read_text().splitlines()]
        return {(event["from"], event["seq"]) for event in events
                if event.get("fate") == "lost" and event["len"] > 0 and "retransmission" not in event.get("notes", [])}

    first = lost(42, "first")
    assert first and first == lost(42, "again") and first != lost(43, "other")


def test_rate(wire, tmp_path):
    """The copy cannot take less than its bytes do at that rate, however fast the machine; nor more than the machine needs,
    however slow."""
    def seconds(rate):
        path = tmp_path / "events"
        copy_through(wire, tmp_path, "--rate", rate, "--trace-json", path, size=200_000)
        times = [event["t_ns"] for event in map(json.loads, path.read_text().splitlines())
                 if event["event"] == "segment" and event["len"] > 0]
        return (max(map(int, times)) - min(map(int, times))) / 1e9

    least = 200_000 * 8 / 5e6 / 2  # some is let through at once
    assert seconds("5Mbit") > least
    harness.wait_until(lambda: seconds("40Mbit") < least, "it is faster than that")


def test_black_hole(command, wire):
    result = wire("--a-to-b", "stop", "--ready-timeout", "2s", server=["nc", "-l", "7007"],
                  client=[command.binary, "connect", "-w", "0.3", "10.0.0.2:7007"])
    assert result.status == 1
    assert numbers(result.err, "a to b")["stopped"] >= 1


def test_sysctls(wire):
    name = "net.ipv4.tcp_retries2"
    show = "cat /proc/sys/net/ipv4/tcp_retries2"
    result = wire("--a-sysctl", f"{name}=3", "--b-sysctl", f"{name}=4", server=shell(show), client=shell(show))
    assert sorted(result.out.split()) == [b"3", b"4"]
    result = wire("--a-sysctl", "no.such=1", server=["true"], client=["true"])
    assert result.status == 2
    assert "there is no such setting" in result.err


def test_report_as_json(wire):
    result = wire("--json", "--seed", "7", server=["nc", "-l", "7007"], client=shell("echo x | nc -N 10.0.0.2 7007"))
    lines = [json.loads(line) for line in result.err.splitlines() if line.startswith("{")]
    assert len(lines) == 1
    assert lines[0]["event"] == "wire" and lines[0]["seed"] == 7
    assert lines[0]["a_to_b"]["packets"] >= 4 and lines[0]["a_to_b"]["lost"] == 0


# ---- what is shown


def test_files(wire, tmp_path):
    pcapng, svg, events = tmp_path / "w.pcapng", tmp_path / "w.svg", tmp_path / "w.jsonl"
    result = wire("--delay", "2ms", "--a-to-b", "drop data #1", "--write", pcapng, "--svg", svg, "--trace-json", events,
                  server=["nc", "-l", "7007"], client=shell("echo hello | nc -N 10.0.0.2 7007"))
    assert result.status == 0, result.err
    names = {element.tagName for element in xml.dom.minidom.parse(str(svg)).getElementsByTagName("*")}
    assert "svg" in names
    assert 'class="lost"' in svg.read_text()
    kinds = [json.loads(line) for line in events.read_text().splitlines()]
    segments = [event for event in kinds if event["event"] == "segment"]
    assert {event["fate"] for event in segments} == {"arrived", "lost"}
    for event in segments:
        if event["fate"] == "arrived":
            assert int(event["arrived_ns"]) - int(event["t_ns"]) >= 1_900_000
    if shutil.which("tshark"):
        check_pcapng(pcapng)


def check_pcapng(path):
    fields = ["frame.interface_name", "frame.comment", "tcp.len", "tcp.checksum.status"]
    rows = subprocess.run(["tshark", "-r", path, "-o", "tcp.check_checksum:TRUE", "-T", "fields", "-E", "separator=|",
                           *[word for field in fields for word in ("-e", field)], "-Y", "tcp.len > 0"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout.splitlines()
    rows = [row.split("|") for row in rows]
    at_a, at_b = [row for row in rows if row[0] == "A"], [row for row in rows if row[0] == "B"]
    assert len(at_a) == len(at_b) + 1  # the one that never arrived
    assert [row for row in at_a if "never arrived: dropped" in row[1]]
    assert not [row for row in at_b if "never arrived" in row[1]]
    assert {row[3] for row in rows} <= {"1", "Good"}


def segments_of(text):
    """What was told of each segment, but for the clock and the number that its packet has."""
    events = [json.loads(line) for line in text.splitlines()]
    segments = [event for event in events if event["event"] == "segment"]
    first_ns = int(segments[0]["t_ns"])
    for segment in segments:
        for name in ("t_ns", "arrived_ns"):
            if name in segment:
                segment[name] = int(segment[name]) - first_ns
        del segment["packet"]
    return segments, {event["name"]: event["sentence"] for event in events if event["event"] == "sentence"}


def originals(segments):
    return [segment for segment in segments if "seen-twice" not in segment["notes"]]


@pytest.mark.parametrize("rules", ["--loss 5%", "--loss 20%", "--duplicate 20%", "--corrupt 5%", "--reorder 20%",
                                   "--mtu 900"])
def test_read_back(wire, command, tmp_path, rules):
    """What was written tells the same story as the wire itself did: what was under way, lost, made twice."""
    pcapng, events = tmp_path / "w.pcapng", tmp_path / "w.jsonl"
    result = copy_through(wire, tmp_path, "--delay", "5ms", "--seed", "3", *rules.split(), "--write", pcapng,
                          "--trace-json", events, size=100_000)
    assert result.status == 0, result.err
    told, verdicts = segments_of(events.read_text())
    read, read_verdicts = segments_of(command.run("trace", "-r", pcapng, "--json").out)
    assert len(told) > 50 and {segment["fate"] for segment in told} >= {"arrived"}
    assert read == told
    assert read_verdicts == verdicts
    row = json.loads(command.run("trace", "-r", pcapng, "--summary", "--json").out)
    again = re.search(r"(\d+) retransmissions?", verdicts["summary"])
    assert row["retransmissions"] == (int(again.group(1)) if again else 0)
    # Once more through a file, and the beginning of it: what has not arrived by then is still not lost.
    assert command.run("trace", "-r", pcapng, "--write", tmp_path / "again.pcapng", "--summary").status == 0
    assert segments_of(command.run("trace", "-r", tmp_path / "again.pcapng", "--json").out)[0] == told
    begun = segments_of(command.run("trace", "-r", pcapng, "-c", "40", "--json").out)[0]
    assert 10 < len(begun) < 40
    # A copy that comes behind the beginning is not in it.
    for one, whole in zip(originals(begun), originals(told)):
        for name in ("seq", "fate", "arrived_ns"):
            assert one.get(name) == whole.get(name)


def test_one_end_of_what_was_written(wire, command, tmp_path):
    """Whoever keeps the packets of one end has a capture of that end: nothing in it is lost, or there twice."""
    if not shutil.which("tshark"):
        pytest.skip("tshark is not here")
    copy_through(wire, tmp_path, "--delay", "5ms", "--write", tmp_path / "w.pcapng", size=50_000)
    subprocess.run(["tshark", "-r", tmp_path / "w.pcapng", "-Y", "frame.interface_id == 0", "-w", tmp_path / "a.pcapng"],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    segments, verdicts = segments_of(command.run("trace", "-r", tmp_path / "a.pcapng", "--json").out)
    assert len(segments) > 30
    assert not [one for one in segments if "arrived_ns" in one or one.get("fate") == "lost" or "seen-twice" in one["notes"]]
    assert "retransmission" not in verdicts["summary"]


def test_both_close_at_once(wire):
    """Their FINs cross, though one end may be slow: each shuts down as soon as the connection stands there, and the
    client's FIN is held back, by less than the server's FIN and its acknowledgement need."""
    talk = ("import socket, sys\n"
            "c = socket.socket()\n"
            "if sys.argv[1] == 'b':\n"
            "    s = c; s.bind(('10.0.0.2', 7007)); s.listen(); c = s.accept()[0]\n"
            "else:\n"
            "    c.connect(('10.0.0.2', 7007))\n"
            "c.shutdown(socket.SHUT_WR)\n"
            "assert c.recv(1) == b''\n")
    result = wire("--trace", "--delay", "400ms", "--a-to-b", "reorder fin by 700ms", server=["python3", "-c", talk, "b"],
                  client=["python3", "-c", talk, "a"])
    assert result.status == 0, result.err
    assert result.err.count("CLOSING") == 2, result.err
    assert result.err.count("TIME_WAIT") >= 2
    assert "closed by both ends at once" in result.err
    assert re.search(r"─(\d+)─ F\. .*╴", result.err) and re.search(r"╶─ F\. .*─(\d+)─", result.err)


def test_many_at_once(command, wire):
    client = shell("echo hello | nc -N 10.0.0.2 7007")
    running = [command.start([command.binary, "wire", "--delay", "1ms", "--quiet", "--", "nc", "-l", "7007", "---", *client],
                             stdin=subprocess.DEVNULL) for _ in range(20)]
    for process in running:
        assert process.wait(harness.DEADLINE * 3) == 0, str(process)
        assert process.out.text == "hello\n"
