# SPDX-License-Identifier: MIT
"""Run the command of a service unit as systemd would: what the unit's sandbox takes away is taken away here, with the
kernel's own means, since no systemd runs where tests do. As root:

    python3 activate.py tcp -- python3 as_service.py UNIT [without=@GROUP] [NAME=VALUE...] -- COMMAND [ARGUMENT...]

Of the unit: SystemCallFilter (what its groups hold is asked of systemd-analyze) and SystemCallErrorNumber,
RestrictAddressFamilies, MemoryDenyWriteExecute, NoNewPrivileges, CapabilityBoundingSet, DynamicUser (as nobody),
PrivateNetwork, ProtectSystem=strict, LimitNOFILE, UMask. Another setting that would need emulation is an error, unless
it is listed here as one that cannot matter to a program that has its sockets already.
"""

import ctypes
import errno
import os
import re
import resource
import struct
import subprocess
import sys

HARMLESS = {
    "Type", "NotifyAccess", "ExecStart", "WatchdogSec", "TimeoutStopSec", "Restart", "AmbientCapabilities",
    "PrivateDevices", "PrivateTmp", "PrivateUsers", "ProtectHome", "ProtectProc", "ProcSubset", "ProtectClock",
    "ProtectControlGroups", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables",
    "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "RemoveIPC", "LockPersonality",
    "SystemCallArchitectures",
}  # fmt: skip
EMULATED = {
    "SystemCallFilter", "SystemCallErrorNumber", "RestrictAddressFamilies", "MemoryDenyWriteExecute",
    "NoNewPrivileges", "CapabilityBoundingSet", "DynamicUser", "PrivateNetwork", "ProtectSystem", "LimitNOFILE",
    "UMask",
}  # fmt: skip
NOBODY = "65534"
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_MDWE = 38, 22, 65
SECCOMP_MODE_FILTER = 2
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD_WORD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER, FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data
UNISTD = "/usr/include/{}-linux-gnu/asm/unistd_64.h"


def read_unit(path):
    """The settings of [Service]: {name: [values]}."""
    settings, section = {}, None
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.strip()
            if line.startswith("["):
                section = line
            elif line and line[0] not in "#;" and section == "[Service]":
                name, value = line.split("=", 1)
                settings.setdefault(name, []).append(value)
    unknown = set(settings) - HARMLESS - EMULATED
    if unknown:
        raise SystemExit(f"as_service.py: {sorted(unknown)} of {path} is not emulated")
    return settings


def read_groups():
    """All groups of system calls: {"@aio": ["io_setup", ...]}; a group may name others."""
    command = ["systemd-analyze", "syscall-filter"]
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    groups, words = {}, []
    for indent, word in re.findall(r"^( *)(@?[\w-]+)$", text, re.M):
        if indent:
            words.append(word)
        else:
            words = groups[word] = []
    return groups


def members(groups, name):
    if not name.startswith("@"):
        return {name}
    return set().union(*(members(groups, word) for word in groups[name]))


def allowed_calls(filters):
    groups = read_groups()
    allowed = members(groups, "@default")  # the first setting is a list of what is allowed: these are always with it
    for line in filters:
        for name in line.lstrip("~").split():
            calls = members(groups, name)
            allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def numbers():
    with open(UNISTD.format(os.uname().machine), encoding="ascii") as file:
        return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", file.read())}


def call_filter(calls, families, error):
    """Instructions: socket(2) for these families alone, else these calls, else that error."""
    known = numbers()
    code = [(LOAD_WORD, 0, 0, NUMBER)]
    if families:
        code += [(JUMP_EQUAL, 0, len(families) + 3, known["socket"]), (LOAD_WORD, 0, 0, FIRST_ARGUMENT)]
        for left, family in zip(range(len(families), 0, -1), families):
            code.append((JUMP_EQUAL, left, 0, family))
        code += [(RETURN, 0, 0, ERRNO | errno.EAFNOSUPPORT), (RETURN, 0, 0, ALLOW)]
    for name in sorted(calls & set(known)):
        code += [(JUMP_EQUAL, 0, 1, known[name]), (RETURN, 0, 0, ALLOW)]
    return code + [(RETURN, 0, 0, ERRNO | error)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def prctl(*arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments[1:]]
    padded += [ctypes.c_ulong(0)] * (4 - len(padded))
    if libc.prctl(arguments[0], *padded) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {arguments[0]}")


def confine(settings, without):
    """The last step, as nobody: what stays over execve(2)."""
    filters = settings.get("SystemCallFilter", []) + [f"~{name}" for name in without]
    families = [
        {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}[name]
        for line in settings.get("RestrictAddressFamilies", [])
        for name in line.split()
    ]
    error = getattr(errno, settings.get("SystemCallErrorNumber", ["EPERM"])[0])
    instructions = call_filter(allowed_calls(filters), families, error)
    if settings.get("MemoryDenyWriteExecute") == ["yes"]:
        try:
            prctl(PR_SET_MDWE, 1)
        except OSError:  # before Linux 6.3
            pass
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in instructions))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Program(len(instructions), ctypes.addressof(code))))


def main():
    split = sys.argv.index("--")
    words, command = sys.argv[1:split], sys.argv[split + 1 :]
    inside = words[0] == "inside"
    unit, words = words[inside], words[inside + 1 :]
    settings = read_unit(unit)
    if inside:
        confine(settings, [word.split("=", 1)[1] for word in words if word.startswith("without=")])
        os.execv(command[0], command)
    os.environ.update(word.split("=", 1) for word in words if "=" in word and not word.startswith("without="))
    os.umask(int(settings.get("UMask", ["0022"])[0], 8))
    limit = int(settings["LimitNOFILE"][0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    names = ["--mount"] + (["--net"] if settings.get("PrivateNetwork") == ["yes"] else [])
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]
    drop += ["--bounding-set=-all"] if settings.get("CapabilityBoundingSet") == [""] else []
    again = [sys.executable, os.path.abspath(__file__), "inside", unit, *words, "--", *command]
    read_only = 'mount -o remount,bind,ro / && exec "$@"'
    os.execvp("unshare", ["unshare", *names, "sh", "-c", read_only, "sh", *drop, *again])


if __name__ == "__main__":
    main()
