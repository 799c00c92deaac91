# SPDX-License-Identifier: MIT
"""testssl.sh looks for holes in a tls:// server that has a certificate of a CA. It takes its time, so it runs once, and
on the build that people use."""

import json
import subprocess

import pytest

import harness

HARMLESS = ("OK", "INFO", "LOW", "DEBUG")
WARNINGS = ("engine_problem", "RC4")  # of the openssl that testssl.sh was given


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """As a CA would issue it: long enough from its end, and with a place to ask for revocation."""
    folder = tmp_path_factory.mktemp("testssl")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    (folder / "ext").write_text(
        "[e]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n"
        "extendedKeyUsage=serverAuth\nkeyUsage=critical,digitalSignature\n"
        "crlDistributionPoints=URI:http://127.0.0.1/ca.crl\n",
        encoding="ascii",
    )
    for argv in (
        ("req", "-x509", *key, "-subj", "/CN=Test CA", "-keyout", "ca.key", "-out", "ca.crt", "-days", "300"),
        ("req", "-new", *key, "-subj", "/CN=localhost", "-keyout", "key", "-out", "csr"),
        ("x509", "-req", "-in", "csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "crt", "-days",
         "200", "-extfile", "ext", "-extensions", "e"),
    ):
        subprocess.run(["openssl", *argv], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    (folder / "key").chmod(0o600)
    return folder


# Protocols, ciphers, forward secrecy; preferences and defaults; vulnerabilities. Side by side: most of it is waiting.
CHECKS = ("-p -s -f", "-P -S", "-U")


@pytest.mark.heavy
def test_nothing_above_low(command, certificate, tool, sanitized, place):
    if sanitized:
        pytest.skip("it is about what OpenSSL does, and takes minutes")
    server = command.serve("echo", "--cert", certificate / "crt", "--key", certificate / "key", url="tls://127.0.0.1:0")
    running = []
    for number, checks in enumerate(CHECKS):
        found = place / f"{number}.json"
        argv = [tool("testssl"), "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1",
                "--fast", "--add-ca", certificate / "ca.crt", "--jsonfile", found, *checks.split(),
                f"localhost:{server.port}"]
        running.append((command.start(argv, stdin=subprocess.DEVNULL), found))
    for process, found in running:
        process.wait(8 * harness.DEADLINE)
        rows = json.loads(found.read_text(encoding="utf-8"))
        assert len(rows) > 8, process
        wrong = [row for row in rows if row["severity"] not in HARMLESS and row["id"] not in WARNINGS]
        assert not wrong, wrong
    assert server.running
