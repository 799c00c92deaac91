#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Make sockets in every state, and record what sock_diag says of them: unshare -n tests/unit/dumps/record.py FOLDER"""
import os
import socket
import struct
import subprocess
import sys
import time

DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
LOCAL = "127.0.0.1"
ATTACH, DETACH = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER
DEAF = bytearray(struct.pack("HBBI", 0x06, 0, 0, 0))  # a classic BPF program: return 0
keep = []


def ask(family, protocol):
    if family == socket.AF_UNIX:
        body = struct.pack("=BBHIIIII", family, 0, 0, 0xffffffff, 0, 0x7d, 0, 0)
    else:
        body = struct.pack("=BBBBI", family, protocol, 0x4a, 0, 0xffffffff) + bytes(48)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as netlink:
        netlink.send(struct.pack("=IHHII", 16 + len(body), 20, DUMP, 1, 0) + body)
        while True:
            data = netlink.recv(1 << 16)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == 3:
                    return
                yield data[:(length + 3) & ~3]
                data = data[(length + 3) & ~3:]


def messages(ports, protocol):
    for family in (socket.AF_INET, socket.AF_INET6):
        for message in ask(family, protocol):
            source, destination = struct.unpack_from(">HH", message, 20)
            if source in ports or destination in ports:
                yield message


def state(message):
    return message[17]


def until(condition):
    for _ in range(1000):
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    sys.exit("this did not happen")


def record(folder, name, ports, protocol=socket.IPPROTO_TCP, ready=lambda found: found):
    def look():
        found = list(messages(ports, protocol))
        return ready(found) and found
    with open(os.path.join(folder, name + ".bin"), "wb") as out:
        out.write(b"".join(until(look)))


def listen(port, backlog=16, host=LOCAL, family=socket.AF_INET):
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(backlog)
    keep.append(listener)
    return listener


def pair(port):
    listener = listen(port)
    client = socket.create_connection((LOCAL, port))
    server, _ = listener.accept()
    listener.close()
    keep.extend((client, server))
    return client, server


def deaf(sock, is_deaf=True):
    import ctypes
    program = (ctypes.c_char * len(DEAF)).from_buffer(DEAF)
    sock.setsockopt(socket.SOL_SOCKET, ATTACH if is_deaf else DETACH,
                    struct.pack("@HP", 1, ctypes.addressof(program)))


def has(wanted):
    return lambda found: wanted in [state(message) for message in found]


def backlog(folder):
    listen(2001, 1)
    for _ in range(2):
        keep.append(socket.create_connection((LOCAL, 2001)))
    late = socket.socket()
    late.setblocking(False)
    late.connect_ex((LOCAL, 2001))
    keep.append(late)
    record(folder, "full-backlog", {2001}, ready=lambda found: has(2)(found) and len(found) == 6)


def half_open(folder):
    listener = listen(2002)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
    keep.append(socket.create_connection((LOCAL, 2002)))
    record(folder, "half-open", {2002}, ready=has(3))


def established(folder):
    client, _ = pair(2003)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    client.sendall(b"hello, world")
    record(folder, "established", {2003}, ready=lambda found: len(found) == 2)


def half_closed(folder):
    client, _ = pair(2004)
    client.sendall(b"hello, world")
    client.shutdown(socket.SHUT_WR)
    record(folder, "half-closed", {2004}, ready=has(5))
    client, server = pair(2005)
    client.shutdown(socket.SHUT_WR)
    record(folder, "half-closed-empty", {2005}, ready=has(5))
    server.recv(1)
    record(folder, "half-closed-told", {2005}, ready=has(5))


def time_wait(folder):
    client, server = pair(2006)
    client.close()
    server.close()
    record(folder, "time-wait", {2006}, ready=lambda found: len(found) == 1 and has(6)(found))


def again(message):
    return message[18] == 1 and message[19] >= 2


def unanswered(folder):
    client, server = pair(2007)
    deaf(server)
    client.sendall(b"hello")
    record(folder, "retransmitting", {2007}, ready=lambda found: any(map(again, found)))
    client.shutdown(socket.SHUT_WR)
    record(folder, "fin-wait-1", {2007}, ready=has(4))
    client, server = pair(2008)
    client.shutdown(socket.SHUT_WR)
    until(lambda: any(state(m) == 8 for m in messages({2008}, socket.IPPROTO_TCP)))
    deaf(client)
    server.sendall(b"bye")
    server.recv(1)
    server.close()
    record(folder, "last-ack", {2008}, ready=has(9))
    client, server = pair(2009)
    deaf(client)
    deaf(server)
    client.sendall(b"abc")
    client.shutdown(socket.SHUT_WR)
    server.shutdown(socket.SHUT_WR)
    deaf(client, False)
    record(folder, "closing", {2009}, ready=has(11))


def closed_window(folder):
    client, _ = pair(2010)
    client.setblocking(False)
    try:
        while True:
            client.send(bytes(4096))
    except BlockingIOError:
        pass
    # More than the first interval until the next probe: one was sent, and it filled what the window had left.
    record(folder, "closed-window", {2010},
           ready=lambda found: any(m[18] == 4 and struct.unpack_from("=I", m, 68)[0] > 300 for m in found))


def others(folder):
    listen(2011, host="::1", family=socket.AF_INET6)
    dual = listen(2012, host="::", family=socket.AF_INET6)
    keep.append(socket.create_connection((LOCAL, 2012)))
    keep.append(dual.accept()[0])
    bound = socket.socket()
    bound.bind((LOCAL, 2013))
    keep.append(bound)
    record(folder, "families", {2011, 2012, 2013}, ready=lambda found: len(found) >= 4)
    bare = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bare.bind((LOCAL, 2014))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect((LOCAL, 2014))
    sender.send(b"datagram")
    keep.extend((bare, sender))
    record(folder, "udp", {2014}, socket.IPPROTO_UDP, lambda found: len(found) == 2)


def unix(folder):
    path = os.path.join(folder, "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(3)
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(path)
    server, _ = listener.accept()
    client.sendall(b"unread")
    abstract = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    abstract.bind(b"\0a\0b")
    with open(os.path.join(folder, "unix.bin"), "wb") as out:
        inodes = {os.fstat(s.fileno()).st_ino for s in (listener, client, server, waiting, abstract)}
        out.write(b"".join(m for m in ask(socket.AF_UNIX, 0) if struct.unpack_from("=I", m, 20)[0] in inodes))
    os.unlink(path)


def main():
    folder = sys.argv[1]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for scenario in (backlog, half_open, established, half_closed, time_wait, unanswered, closed_window, others, unix):
        scenario(folder)


main()
