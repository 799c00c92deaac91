"""How many connections one process holds: serve --direct against a crowd of idle clients, of whom some speak at random.

MILLION=1 in the environment makes it a million. Memory is looked at before, and all the time: the machine keeps
SPARE_BYTES, or the measure ends.
"""

import contextlib
import dataclasses
import os
import subprocess
import tempfile
import threading
import time

import measure

CONNECTIONS = 200000
ECHOES = 10000
# Both ends are on this machine: 4 KB of sockets for each, and what the ring keeps.
PAIR_BYTES = 10500
SPARE_BYTES = 4 << 30
OPEN_SECONDS = 900
# What other processes do meanwhile, and connections never.
NOT_OURS = ("proc_inode_cache", "eventpoll_", "ext4_", "vm_area", "anon_vma", "maple_", "radix_")


@dataclasses.dataclass
class Found:
    connections: int
    echoes: int
    rings: int = 0
    files: int = 0
    right: int = 0
    open_seconds: float = 0
    open_cpu: float = 0
    echo_seconds: float = 0
    user_bytes: float = 0
    kernel_bytes: float = 0
    ring_bytes: float = 0
    buffer_bytes: float = 0


def _memory():
    with open("/proc/meminfo", encoding="ascii") as file:
        return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file}


def _tcp_buffers():
    """Bytes in the buffers of all TCP sockets."""
    with open("/proc/net/sockstat", encoding="ascii") as file:
        for line in file:
            field = line.split()
            if field[0] == "TCP:":
                return int(field[field.index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _slabs():
    """Objects and their size, by cache; empty for who may not read it. Caches may be merged under any one name."""
    with contextlib.suppress(OSError), open("/proc/slabinfo", encoding="ascii") as file:
        rows = [line.split() for line in list(file)[2:]]
        return {row[0]: (int(row[1]), int(row[3])) for row in rows}
    return {}


def _kernel_end(before, after, connections):
    """Bytes of the server's end of a connection: half of what there are two of, and all that there is one of."""
    total = ring = 0
    for name, (number, size) in after.items():
        more = (number - before.get(name, (0, 0))[0]) / connections
        if name.startswith(NOT_OURS):
            continue
        if more > 1.8:
            total += size
        elif 0.9 < more < 1.1:
            total += size
            ring += size
    return total, ring


def _cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        field = file.read().rpartition(")")[2].split()
    return (int(field[11]) + int(field[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _watching_memory(process):
    """Ends the crowd when memory gets short."""
    over = threading.Event()

    def watch():
        while not over.wait(0.2):
            if _memory()["MemAvailable"] < SPARE_BYTES:
                process.kill()
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _read(process, word):
    line = process.stdout.readline().split()
    if not line or line[0] != word:
        short = _memory()["MemAvailable"] < SPARE_BYTES + (1 << 28)
        said = process.stderr.read().strip()[-300:] if process.poll() is not None else ""
        raise measure.Failed(f"the crowd: {said or ('memory got short' if short else 'it has ended')}")
    return [int(number) for number in line[1:]]


def _hold(bench, found, pid, port):
    slabs, memory, buffers, user = _slabs(), _memory(), _tcp_buffers(), measure.user_memory(pid)
    begin, cpu = time.monotonic(), _cpu_seconds(pid)
    process = subprocess.Popen([bench.program("crowd"), str(port), str(found.connections)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        with _watching_memory(process):
            _read(process, "READY")
            found.open_seconds = time.monotonic() - begin
            found.open_cpu = (_cpu_seconds(pid) - cpu) / found.connections
            found.files = len(os.listdir(f"/proc/{pid}/fd"))
            found.rings = len(os.listdir(f"/proc/{pid}/task"))
            begin = time.monotonic()
            process.stdin.write(f"{found.echoes}\n")
            process.stdin.flush()
            found.right, _ = _read(process, "ECHOED")
            found.echo_seconds = time.monotonic() - begin
            time.sleep(1)  # RCU and the missed ends' second look
            found.user_bytes = (measure.user_memory(pid) - user) / found.connections
            found.buffer_bytes = (_tcp_buffers() - buffers) / found.connections
            found.kernel_bytes, found.ring_bytes = _kernel_end(slabs, _slabs(), found.connections)
            if not found.kernel_bytes:
                found.kernel_bytes = (_memory()["Slab"] - memory["Slab"]) / found.connections / 2
    finally:
        process.stdin.close()
        process.wait()


def take(bench, sonde, quick, say):
    """What was found; None when there is no room for it."""
    million = os.environ.get("MILLION") == "1"
    found = Found(1000000 if million else 20000 if quick else CONNECTIONS, ECHOES)
    needed, free = found.connections * PAIR_BYTES + SPARE_BYTES, _memory()["MemAvailable"]
    say(f"direct: {found.connections:,} connections, both ends here, need {needed / 2**30:.1f} GiB; "
        f"{free / 2**30:.1f} GiB are free")  # fmt: skip
    if free < needed:
        say("direct: not measured")
        return None
    command = [sonde, "serve", "echo", "tcp://127.0.0.1:0", "--quiet", "--direct", "--drain", "0",
               "--max-clients", str(found.connections)]  # fmt: skip
    # Not measure.running: it runs the server on one processor, and ends it in five seconds.
    with tempfile.TemporaryFile("w+") as errors:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            port = server.stdout.readline().strip().rpartition(":")[2]
            if not port:
                errors.seek(0)
                raise measure.Failed(f"sonde: {errors.read().strip()[-300:]}")
            _hold(bench, found, server.pid, int(port))
        finally:
            server.terminate()
            try:
                server.wait(OPEN_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    say(f"direct: {found.right:,} of {found.echoes:,} echoes right, {found.user_bytes:.0f} B in user space and "
        f"{found.kernel_bytes:.0f} B in the kernel per connection")  # fmt: skip
    return found


def failed(found):
    return found is not None and found.right != found.echoes


def verdicts(found, verdict):
    if found is None:
        return []
    target = f"{found.connections:,} connections in one process, of which {found.echoes:,} at random echo"
    return [verdict(target, "", not failed(found), f"{found.right:,} right")]


def section(found):
    if found is None:
        return []
    return [
        "",
        "## Connections without descriptors (`serve echo --direct`)",
        "",
        f"{found.connections:,} idle connections in one process with {found.files} descriptors and {found.rings} rings. "
        f"Opened in {found.open_seconds:.1f} s, clients on the same processors; "
        f"{found.open_cpu * 1e6:.0f} us of the server's processor time each. "
        f"{found.echoes:,} messages on connections chosen at random came back right: {found.right:,}, in "
        f"{found.echo_seconds:.2f} s.",
        "",
        "| bytes per connection | |",
        "| --- | --- |",
        f"| user space | {found.user_bytes:,.0f} |",
        f"| kernel, the server's end: slab objects | {found.kernel_bytes:,.0f} |",
        f"| of these the ring's, which a descriptor and epoll would not have | {found.ring_bytes:,.0f} |",
        f"| kernel, socket buffers of both ends | {max(0, found.buffer_bytes):,.0f} |",
    ]
