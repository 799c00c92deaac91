# SPDX-License-Identifier: MIT
"""Run a command where no name is ever resolved and none is ever refused: in name spaces of its own, whose only name
server is a socket that takes every question and answers none.

    unshare --user --net --mount --map-root-user python3 silent_dns.py COMMAND [ARGUMENT...]
"""

import os
import socket
import subprocess
import sys
import tempfile

if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 53))
    os.set_inheritable(silent.fileno(), True)
    descriptor, name = tempfile.mkstemp()
    os.write(descriptor, b"nameserver 127.0.0.1\noptions timeout:30 attempts:1\n")
    os.close(descriptor)
    subprocess.run(["mount", "--bind", name, "/etc/resolv.conf"], check=True)
    os.unlink(name)
    os.execvp(sys.argv[1], sys.argv[1:])
