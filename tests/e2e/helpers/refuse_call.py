# SPDX-License-Identifier: MIT
"""Run a command to which the kernel refuses one system call, as a container's seccomp profile does.

    python3 refuse_call.py CALL EPERM|ENOSYS|... COMMAND [ARGUMENT...]
"""

import errno
import os
import platform
import sys

from no_io_uring import refuse

X86_64 = {"unshare": 272, "setns": 308, "memfd_create": 319}
GENERIC = {"unshare": 97, "setns": 268, "memfd_create": 279}
EVERYWHERE = {"pidfd_open": 434}

if __name__ == "__main__":
    numbers = {**(X86_64 if platform.machine() == "x86_64" else GENERIC), **EVERYWHERE}
    refuse(getattr(errno, sys.argv[2]), numbers[sys.argv[1]])
    os.execvp(sys.argv[3], sys.argv[3:])
