# SPDX-License-Identifier: MIT
"""docs/claims.md has the shape that "sonde lab all --markdown" gives it now: claims, experiments, systems, columns. Its
figures are those of the machine that it was made on, and are not compared."""
import json
import os
import re
import subprocess

import harness

SONDE = os.path.abspath(os.environ.get("SONDE", harness.ROOT / "build" / "sonde"))
VERDICTS = {"true", "false", "it depends", "not shown here"}


def document():
    return (harness.ROOT / "docs" / "claims.md").read_text(encoding="utf-8")


def table(text, heading):
    """The rows of the first table below a heading, without its two first lines, and those."""
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in section.splitlines() if line.startswith("|")]
    return rows[0], rows[2:]


def lab(*arguments):
    return subprocess.run([SONDE, "lab", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60).stdout


def experiments():
    return [json.loads(line) for line in lab("--list", "--json").splitlines()]


def test_every_claim_is_there_with_its_experiments():
    heads, rows = table(document(), "Claims")
    assert heads == ["claim", "as commonly stated", "verdict here", "evidence", "experiment"]
    expected = sorted((claim, f"`{row['experiment']}`") for row in experiments() for claim in row["claims"])
    assert sorted((row[0], row[4]) for row in rows) == expected
    assert {row[0] for row in rows} == {f"C{n}" for n in range(1, 68)}
    numbers = [int(row[0][1:]) for row in rows]
    assert numbers == sorted(numbers)
    for row in rows:
        assert row[1] and row[2] in VERDICTS and row[3], row


def test_claims_are_stated_as_the_experiments_state_them():
    """Run for one claim, the others need no time."""
    row = min((row for row in experiments() if row["claims"]), key=lambda row: row["milliseconds"])
    fresh = {cells[0]: cells[1] for cells in table(lab("--markdown", row["experiment"]), "Claims")[1]}
    known = {(cells[0], cells[4]): cells[1] for cells in table(document(), "Claims")[1]}
    assert fresh
    for claim, stated in fresh.items():
        assert known[claim, f"`{row['experiment']}`"] == stated


def test_systems_are_those_of_the_program():
    row = min((row for row in experiments() if row["claims"]), key=lambda row: row["milliseconds"])
    now = lab("--markdown", row["experiment"])
    heads, rows = table(document(), "Systems")
    assert heads == ["system", "what it is", "run it"]
    assert [row[0] for row in rows] == [f"S{n}" for n in range(1, 24)]
    assert all(row[1] and row[2] for row in rows)
    assert document().split("\n## Systems\n")[1] == now.split("\n## Systems\n")[1]


def test_commands_of_systems_are_verbs():
    verbs = re.findall(r"^  ([a-z]+)  +\S", subprocess.run([SONDE, "--help"], stdout=subprocess.PIPE, text=True).stdout,
                       re.MULTILINE)
    names = {row["experiment"] for row in experiments()}
    for cells in table(document(), "Systems")[1]:
        for verb, argument in re.findall(r"`sonde ([a-z]+) ?([^` ]*)", cells[2]):
            assert verb in verbs, cells
            assert verb != "lab" or argument in names, cells
