# SPDX-License-Identifier: MIT
"""Run a command with sockets passed to it, as systemd does (sd_listen_fds(3)).

    python3 activate.py [KIND...] [NAME=VALUE...] -- COMMAND [ARGUMENT...]

The kinds become descriptors 3, 4, ... in order:
    tcp tcp6          listening on a port that the kernel chooses
    unix:PATH         listening there, or at unix:@NAME
    bound             bound, but not listening
    connection        one end of a connection
    dgram             a UDP socket
    file              no socket at all
    hole              not open
NAME=VALUE goes into the environment, over what is usual there: LISTEN_PID, LISTEN_FDS.
"""

import os
import socket
import sys

FIRST = 3


def stream(family, host):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.bind((host, 0))
    return sock


def opened(kind):
    """A descriptor, and what has to stay open beside it."""
    if kind in ("tcp", "tcp6"):
        sock = stream(socket.AF_INET6, "::1") if kind == "tcp6" else stream(socket.AF_INET, "127.0.0.1")
        sock.listen(128)
    elif kind.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(kind[len("unix:") :].replace("@", "\0", 1))
        sock.listen(128)
    elif kind == "bound":
        sock = stream(socket.AF_INET, "127.0.0.1")
    elif kind == "connection":
        ours, sock = socket.socketpair()
        os.set_inheritable(ours.detach(), True)
    elif kind == "dgram":
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
    elif kind == "file":
        return os.open("/dev/null", os.O_RDONLY)
    else:
        raise SystemExit(f"activate.py: what is {kind}?")
    return sock.detach()


def main():
    words, command = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    kinds = [word for word in words if "=" not in word]
    high = 100  # out of the way first
    for number, kind in enumerate(kinds):
        if kind != "hole":
            fd = opened(kind)
            os.dup2(fd, high + number)
            os.close(fd)
    for number, kind in enumerate(kinds):
        if kind != "hole":
            os.dup2(high + number, FIRST + number, inheritable=True)
            os.close(high + number)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(kinds))
    os.environ.update(word.split("=", 1) for word in words if "=" in word)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
