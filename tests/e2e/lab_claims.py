"""What `sonde lab` says of its claims, for the tests of single experiments."""

import json
import os
import shutil

# Experiments are tried as each of them: nobody has no right but to make a user namespace.
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
USERS = {"as we are": (), "as nobody": NOBODY} if os.geteuid() == 0 and shutil.which("setpriv") else {"as we are": ()}
VERDICTS = {"true", "false", "it depends", "not shown here"}


def run(command, name, *options, prefix=()):
    """`sonde lab NAME --json`: {claim: its line}."""
    result = command.run("lab", name, "--json", *options, prefix=prefix, deadline=180)
    assert result.status == 0, (result.out, result.err)
    rows = [json.loads(line) for line in result.out.decode().splitlines()]
    for row in rows:
        assert row["verdict"] in VERDICTS and row["evidence"], row
    return {row["claim"]: row for row in rows if row.get("claim")}


def text(command, name, *options, prefix=()):
    """`sonde lab NAME`: what is printed."""
    result = command.run("lab", name, *options, prefix=prefix, deadline=180)
    assert result.status == 0, (result.out, result.err)
    return result.out.decode()
