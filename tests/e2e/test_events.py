# SPDX-License-Identifier: MIT
"""sonde-events(7) and the program say the same."""
import json
import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SONDE_BUILD", os.path.join(ROOT, "build"))
SONDE = os.environ.get("SONDE", os.path.join(BUILD, "sonde"))


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


PAGE = read("man", "sonde-events.7.scd")
# scdoc takes one of two backslashes for itself.
EXAMPLES = [line.replace("\\\\", "\\") for line in re.findall(r"^{.*}$", PAGE, re.MULTILINE)]
HEADER = read("src", "observe", "event", "event.h")


def words_of(table):
    """Second column of an X-macro table of event.h: the names in JSON."""
    body = HEADER.split(f"#define {table}(X)")[1].split("\n\n")[0]
    return re.findall(r'X\(\w+,\s*"([^"]+)"', body)


def trace_json(lines):
    return subprocess.run([SONDE, "trace", "-r", "-", "--json"], input=lines, capture_output=True, text=True, timeout=60,
                          check=False)


def test_each_kind_has_an_example():
    assert [json.loads(line)["event"] for line in EXAMPLES] == words_of("EVENT_KINDS")


@pytest.mark.parametrize("line", EXAMPLES, ids=lambda line: json.loads(line)["event"])
def test_an_example_is_read_and_written_as_it_stands(line):
    result = trace_json(line + "\n")
    assert (result.returncode, result.stdout, result.stderr) == (0, line + "\n", "")


def keys_of(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_of(inner)
    if isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


def test_every_member_is_described():
    prose = re.sub(r"^{.*}$", "", PAGE, flags=re.MULTILINE)
    described = set(re.findall(r"[*]([a-z_0-9]+)[*]", prose)) | {"text", "base64"}
    source = read("src", "observe", "event", "event_json_write.c")
    written = set(re.findall(r'(?:json|put)_\w+\((?:&?json), "(\w+)"', source))
    written |= set(re.findall(r"^    X\((\w+)\)", read("src", "observe", "event", "event_json_internal.h"), re.MULTILINE))
    assert len(written) > 60
    assert written - described == set()
    assert {key for line in EXAMPLES for key in keys_of(json.loads(line))} - described == set()


@pytest.mark.parametrize("table", ["SEGMENT_NOTES", "EVENT_VALUES", "EVENT_SOURCES"])
def test_every_word_is_described(table):
    words = words_of(table)
    assert len(words) >= 4
    assert [word for word in words if f"*{word}*" not in PAGE] == []


@pytest.mark.parametrize("line", ["", "\n\n", '{"event":"segment"}', "{", '{"event":"call","t_ns":1e999}', "{}\n" * 3])
def test_bad_events_end_with_a_sentence(line):
    result = trace_json('{"event":"loss","source":"wire","t_ns":1,"what":"packets","n":1,"why":"x"}\n' + line)
    if line.strip():
        assert result.returncode == 1
        assert re.match(r"sonde: standard input cannot be read any further: line 2: .+\.\n$", result.stderr)
    else:
        assert result.returncode == 0
    assert result.stdout.count("\n") == 1, "what came before is kept"


def test_views_of_packets_say_that_they_need_them():
    for option in ("--layers", "--follow"):
        result = subprocess.run([SONDE, "trace", "-r", "-", option], input=EXAMPLES[0], capture_output=True, text=True,
                                timeout=60, check=False)
        assert result.returncode == 2
        assert result.stderr == f"sonde: standard input holds recorded events, and {option} needs packets.\n"
