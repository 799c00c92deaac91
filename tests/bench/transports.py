"""Datagrams, WebSocket and TLS: sonde's servers beside others that do the same.

Messages go round as in the other workloads, made by the same generator (modes ws and datagram). What counts is the
server's processor time per message, and the rate, each beside every peer's in the same round. TLS handshakes are made by
`openssl s_time`, a new session each; bulk is what curl downloads in a fixed time.
"""

import contextlib
import dataclasses
import os
import re
import socket
import statistics
import subprocess
import tempfile
import time

import measure

HERE = os.path.dirname(os.path.abspath(__file__))
NODE = {"NODE_PATH": "/usr/share/nodejs"}
WS = (
    measure.Workload("ws-64", "WebSocket, 64 connections x 64 B", "messages", ("--mode=ws", "--connections=64")),
    measure.Workload("ws-16k", "WebSocket, 64 connections x 16 KiB", "messages",
                     ("--mode=ws", "--connections=64", "--size=16384")),
)  # fmt: skip
RAW = (
    measure.Workload("raw-64", "TCP, 64 connections x 64 B", "messages", ("--connections=64",)),
    measure.Workload("raw-16k", "TCP, 64 connections x 16 KiB", "messages", ("--connections=64", "--size=16384")),
)
UDP = (measure.Workload("udp-64", "UDP, 64 peers x 64 B", "messages", ("--mode=datagram", "--connections=64")),)
BULK_SECONDS = 2


@dataclasses.dataclass
class Found:
    samples: list = dataclasses.field(default_factory=list)
    handshakes: dict = dataclasses.field(default_factory=dict)  # by server: handshakes a second, of each round
    bulk: dict = dataclasses.field(default_factory=dict)  # by server: (bytes a second, CPU ns per byte)
    notes: list = dataclasses.field(default_factory=list)
    error: str = ""


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _servers(bench, sonde):
    """(server, workloads)"""
    serve = (sonde, "serve", "echo", "--quiet")
    for engine in ("uring", "epoll"):
        yield measure.Server(f"sonde-{engine}", (*serve, "ws://127.0.0.1:0", "--engine", engine), ""), WS
        yield measure.Server(f"sonde-{engine}", (*serve, "tcp://127.0.0.1:0", "--engine", engine), ""), RAW
        yield measure.Server(f"sonde-{engine}", (*serve, "udp://127.0.0.1:0", "--engine", engine), ""), UDP
    env = ("env", *(f"{name}={value}" for name, value in NODE.items()))
    peers = os.path.join(HERE, "peers")
    yield measure.Server("libwebsockets", (bench.program("peer-lws"), str(_free_port())), ""), WS
    yield measure.Server("node ws", (*env, "node", os.path.join(peers, "ws_node.js"), "0"), ""), WS
    yield measure.Server("python websockets", ("/usr/bin/python3", os.path.join(peers, "ws_python.py"), "0"), ""), WS
    yield (
        measure.Server(
            "websocketd", ("websocketd", "--address=127.0.0.1", f"--port={_free_port()}", "--binary=true", "cat"), ""
        ),
        WS[:1],
    )
    yield measure.Server("bare recvmmsg", (bench.program("peer-bare_udp"), "0"), ""), UDP


# --- TLS ------------------------------------------------------------------------------------------------------------


def _certificate(folder):
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
               "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{folder}/key.pem",
               "-out", f"{folder}/cert.pem"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    os.chmod(f"{folder}/key.pem", 0o600)
    with open(f"{folder}/zeros", "wb") as file:
        file.truncate(4 << 30)


NGINX = """
worker_processes 1; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile off; keepalive_requests 1000000;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4;
  scgi_temp_path {folder}/5;
  server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    ssl_session_cache off; ssl_session_tickets off; root {folder}; }} }}
daemon off;
"""


def _tls_servers(sonde, folder):
    """(name, command, whether the port has to be waited for, the path to load)"""
    pair = ("--cert", f"{folder}/cert.pem", "--key", f"{folder}/key.pem")
    port = _free_port()
    yield "sonde", (sonde, "serve", "chargen", "--quiet", *pair, f"any://127.0.0.1:{port}"), port, "/"
    port = _free_port()
    s_server = ("openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", f"{folder}/cert.pem", "-key",
                f"{folder}/key.pem", "-WWW", "-quiet")  # fmt: skip
    yield "openssl s_server", s_server, port, "/zeros"
    port = _free_port()
    with open(f"{folder}/nginx.conf", "w", encoding="utf-8") as file:
        file.write(NGINX.format(folder=folder, port=port))
    yield "nginx", ("/usr/sbin/nginx", "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error"), port, "/zeros"


def _cpu_ns(pid):
    """Of the process and its children."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            total += sum(_cpu_ns(int(child)) for child in file.read().split())
    return total


def _await(process, port):
    end = time.monotonic() + measure.START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise measure.Failed(f"nobody listens on {port}: {process.args[0]}")


def _handshakes(bench, port, seconds):
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30,
                          preexec_fn=lambda: bench.prepare(bench.load_cpu))  # fmt: skip
    # Wall-clock time, in whole seconds; the line before it counts the client's own processor time.
    told = re.search(r"(\d+) connections in (\d+) real seconds", done.stdout)
    if not told or int(told.group(1)) == 0:
        raise measure.Failed(f"s_time: {(done.stderr or done.stdout).strip()[-200:]}")
    return int(told.group(1)) / max(int(told.group(2)), 1)


def _bulk(bench, pid, port, path):
    before = _cpu_ns(pid)
    command = ["curl", "-sk", "-m", str(BULK_SECONDS), "-o", "/dev/null", "-w", "%{size_download} %{time_total}",
               f"https://127.0.0.1:{port}{path}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=BULK_SECONDS + 30,
                          preexec_fn=lambda: bench.prepare(bench.load_cpu))  # fmt: skip
    n_bytes, seconds = (float(word) for word in done.stdout.split())
    if n_bytes < 1 << 20:
        raise measure.Failed(f"curl got {n_bytes:.0f} bytes: {done.returncode}")
    return n_bytes / seconds, (_cpu_ns(pid) - before) / n_bytes


def _tls_round(bench, sonde, found, quick):
    with tempfile.TemporaryDirectory() as folder:
        _certificate(folder)
        for name, command, port, path in _tls_servers(sonde, folder):
            try:
                process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL,
                                           preexec_fn=lambda: bench.prepare(bench.server_cpu))  # fmt: skip
            except OSError as error:
                found.notes.append(f"{name}: {error}")
                continue
            try:
                _await(process, port)
                found.handshakes.setdefault(name, []).append(_handshakes(bench, port, 1 if quick else 2))
                found.bulk[name] = found.bulk.get(name, []) + [_bulk(bench, process.pid, port, path)]
            except (measure.Failed, subprocess.TimeoutExpired, OSError) as error:
                found.notes.append(f"{name}: {error}")
            finally:
                measure._stop(process)


# --- all of it ------------------------------------------------------------------------------------------------------


def take(bench, sonde, quick, say):
    found = Found()
    for number in range(2 if quick else 8):
        for server, workloads in _servers(bench, sonde):
            for workload in workloads:
                try:
                    sample = measure.take(bench, server, workload, number)
                except measure.Unavailable as error:
                    found.notes.append(str(error))
                    continue
                found.samples.append(sample)
                result = sample.result
                told = f"{result['rate']:,.0f}/s {result['server_cpu_us']:.2f} us" if "rate" in result else result["error"]
                say(f"{number + 1} {workload.name:8} {server.name:18} {told} {sample.dropped}")
        _tls_round(bench, sonde, found, quick)
    for name, rates in found.handshakes.items():
        say(f"TLS {name}: {statistics.median(rates):,.0f} handshakes/s")
    for name, runs in found.bulk.items():
        say(f"TLS {name}: {statistics.median(rate for rate, _ in runs) / 1e6:,.0f} MB/s")
    for server in ("sonde-uring", "sonde-epoll"):
        if not any(s.server == server and "rate" in s.result for s in found.samples):
            found.error = f"{server} was not measured"
    return found


def failed(found):
    return found is not None and bool(found.error)


def _median(values):
    values = sorted(values)
    return f"{statistics.median(values):,.2f} ({values[0]:,.2f} to {values[-1]:,.2f})" if values else "not measured"


def _kept(found, workload, server):
    """Samples that were not disturbed; if all were, all of them: beside each other in one round they still compare."""
    those = [s for s in found.samples if s.workload == workload and s.server == server and "rate" in s.result]
    return [s for s in those if not s.dropped] or those


def _ratios(found, one, other, key):
    """One (workload, server) beside another, round by round."""
    theirs = {s.round: s.result[key] for s in _kept(found, *other)}
    return [s.result[key] / theirs[s.round] for s in _kept(found, *one) if theirs.get(s.round)]


def verdicts(found, verdict):
    if found is None:
        return []
    rows = []

    def judge(target, values, limit, below):
        met = (statistics.median(values) <= limit if below else statistics.median(values) >= limit) if values else None
        rows.append(verdict(target, "", met, _median(values)))

    for size in ("64", "16k"):
        ours = (f"ws-{size}", "sonde-uring")
        judge(f"WebSocket {size}: CPU per message at most 1.5 x raw TCP echo",
              _ratios(found, ours, (f"raw-{size}", "sonde-uring"), "server_cpu_us"), 1.5, True)  # fmt: skip
        for peer in ("libwebsockets", "node ws", "python websockets", "websocketd"):
            if _kept(found, f"ws-{size}", peer):
                judge(f"WebSocket {size}: messages/s ahead of {peer}",
                      _ratios(found, ours, (f"ws-{size}", peer), "rate"), 1, False)  # fmt: skip
    judge("UDP 64: messages/s beside a bare recvmmsg loop",
          _ratios(found, ("udp-64", "sonde-uring"), ("udp-64", "bare recvmmsg"), "rate"), 0.9, False)  # fmt: skip
    for peer in ("openssl s_server", "nginx"):
        pairs = list(zip(found.handshakes.get("sonde", []), found.handshakes.get(peer, [])))
        judge(f"TLS handshakes/s beside {peer}", [one / other for one, other in pairs], 0.9, False)
        pairs = list(zip(found.bulk.get("sonde", []), found.bulk.get(peer, [])))
        judge(f"TLS bulk, bytes/s beside {peer}", [one[0] / other[0] for one, other in pairs], 0.9, False)
    return rows


def section(found):
    if found is None:
        return []
    lines = ["", "## Transports", "", "Medians of the rounds, with the lowest and the highest. Nobody compresses.", "",
             "| workload | server | messages/s | CPU per message, us | p99, us | n |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for workload in (*WS, *RAW, *UDP):
        servers = dict.fromkeys(s.server for s in found.samples if s.workload == workload.name)
        for server in servers:
            kept = _kept(found, workload.name, server)
            if kept:
                columns = (_median([s.result[key] for s in kept]) for key in ("rate", "server_cpu_us", "p99_us"))
                lines.append(f"| {workload.title} | {server} | {' | '.join(columns)} | {len(kept)} |")
    lines += ["", "| TLS 1.3, ECDSA P-256 | handshakes/s | bulk, MB/s | server CPU, ns per byte | n |",
              "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for name, rates in found.handshakes.items():
        runs = found.bulk.get(name, [])
        lines.append(f"| {name} | {_median(rates)} | {_median([rate / 1e6 for rate, _ in runs])} | "
                     f"{_median([cpu for _, cpu in runs])} | {len(rates)} |")  # fmt: skip
    lines += ["", *(f"- {note}" for note in dict.fromkeys(found.notes))]
    return lines
