# SPDX-License-Identifier: MIT
"""The documents say what is there, and all of it."""
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


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60, check=True).stdout


def without_markup(line):
    """A line of scdoc as it reads on paper."""
    return re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)[*]|(?<![\\\w])_|_(?!\w)", "", line))


def options_of_page(page):
    """The options that have an entry of their own, with their values: "-q SECS", "-C, --crlf"."""
    entries = re.findall(r"(?<=\n\n)(\*-.*)(?=\n\t)", read("man", page + ".scd"))
    return [without_markup(entry) for entry in entries]


def options_of_help(verb):
    """The same, from --help; without those that are only known from other tools."""
    found = []
    for line in run(SONDE, verb, "--help").split("\nOptions:\n")[1].split("\nKnown from other tools")[0].splitlines():
        match = re.match(r"(?:  | {6})(-.*?)(?:\s{2,}|$)", line)  # two blanks or more end the column
        if match:
            found.append(match.group(1))
    return found


def services_of_page():
    section = read("man", "sonde-serve.1.scd").split("\n# SERVICES\n")[1].split("\n# ")[0]
    return re.findall(r"^\*([a-z]+)\*$", section, re.MULTILINE)


def services_of_help():
    return re.findall(r"^  ([a-z]+)\b", run(SONDE, "serve", "--help").split("\nServices:\n")[1].split("\n\n")[0],
                      re.MULTILINE)


def exported():
    lines = run("nm", "-D", "--defined-only", os.path.join(BUILD, "lib", "libsonde.so")).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines}


def declared():
    names = set()
    folder = os.path.join(ROOT, "include", "sonde")
    for name in sorted(os.listdir(folder)):
        for declaration in re.findall(r"^SONDE_API\b[^;]*;", read("include", "sonde", name), re.MULTILINE):
            names.add(re.search(r"\b(sonde_\w+)\(", declaration).group(1))
    return names


def verbs_of_help():
    verbs = re.findall(r"^  ([a-z]+)  +\S", run(SONDE, "--help"), re.MULTILINE)
    assert {"serve", "connect", "version"} <= set(verbs), "the help was not understood"
    return verbs


def url_options_of_page():
    """The options of addresses, each with whether it is for listening (L) and for connecting (C)."""
    found = {}
    section = read("man", "sonde-url.7.scd").split("\n# OPTIONS\n")[1].split("\n# ")[0]
    for entry, marks in re.findall(r"^(\*\w+=\*.*) \(([LCU, ]+)\)$", section, re.MULTILINE):
        for name in re.findall(r"\*(\w+)=\*", entry):
            found[name] = set(marks.split(", ")) & {"L", "C"}
    return found


def url_options_of_command():
    """The same as completion offers them, from the table that sonde_url_options returns."""
    found = {}
    script = run(SONDE, "completion", "bash")
    for verb, mark in (("serve", "L"), ("connect", "C")):
        names = re.search(rf"\n    {verb}\)\n(?:        .*\n)*?        url=1 url_options=\((.*)\)\n", script).group(1)
        for name in re.findall(r"'(\w+)'", names):
            found.setdefault(name, set()).add(mark)
    return found


def test_help_and_man_page_have_the_same_options():
    """With their values. What has no page of its own is told in sonde(1), and has little to tell."""
    pages = {verb: f"sonde-{verb}.1" for verb in verbs_of_help()}
    with_page = [verb for verb in pages if os.path.exists(os.path.join(ROOT, "man", pages[verb] + ".scd"))]
    assert {"serve", "connect", "trace", "watch"} <= set(with_page)
    for verb in with_page:
        assert len(options_of_help(verb)) > 10, "the help was not understood"
        assert sorted(options_of_page(pages[verb])) == sorted(options_of_help(verb)), verb
    for verb in set(pages) - set(with_page):
        entry = re.search(rf"\n\*{verb}\*.*\n((?:\t.*\n)+)", read("man", "sonde.1.scd"))
        assert entry, f"sonde(1) does not tell of {verb}"
        names = set(re.findall(r"(?<![\w-])--?\w[\w-]*", " ".join(options_of_help(verb)))) - {"-h", "--help"}
        assert names == set(re.findall(r"\*(--?\w[\w-]*)\*", entry.group(1))), verb


def test_every_verb_is_in_the_man_page_and_the_readme():
    verbs = verbs_of_help()
    page, readme = read("man", "sonde.1.scd"), read("README.md")
    assert [verb for verb in verbs if f"\n*{verb}*\n" not in page] == []
    assert [verb for verb in verbs if f"| `sonde {verb}" not in readme] == []


def test_help_and_man_page_have_the_same_services():
    assert len(services_of_help()) >= 7, "the help was not understood"
    assert services_of_page() == services_of_help()


def test_every_option_of_a_url_is_in_the_man_page():
    rows = re.findall(r"^    SONDE_OPT_(\w+),", read("include", "sonde", "url.h"), re.MULTILINE)
    assert len(rows) > 10
    assert {name.lower() for name in rows} == set(url_options_of_page())
    assert url_options_of_command() == url_options_of_page()


def test_the_library_exports_what_its_headers_declare():
    assert exported() == declared()


def test_every_function_is_in_the_man_page():
    page = read("man", "libsonde.3.scd")
    assert [name for name in sorted(exported()) if f"*{name}*()" not in page] == []
    assert [name for name in re.findall(r"\*(sonde_\w+)\*\(\)", page) if name not in exported()] == []


def test_every_public_header_is_in_the_one_for_all_and_is_installed():
    headers = {name for name in os.listdir(os.path.join(ROOT, "include", "sonde"))}
    assert {f"#include <sonde/{name}>" for name in headers - {"sonde.h"}} <= set(
        read("include", "sonde", "sonde.h").splitlines())
    assert [name for name in sorted(headers) if f"'include/sonde/{name}'" not in read("meson.build")] == []


def test_the_versions_agree():
    version = re.search(r'SONDE_VERSION_STRING "(.*)"', read("include", "sonde", "version.h")).group(1)
    assert f"version: '{version}'" in read("meson.build")
    assert run(SONDE, "--version") == f"sonde {version}\n"
    assert f"\n## {version} " in read("CHANGELOG.md")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/decisions.md"])
def test_relative_links_lead_somewhere(document):
    folder = os.path.join(ROOT, os.path.dirname(document))
    links = [link for link in re.findall(r"\]\(([^)]+)\)", read(document)) if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in links if not os.path.exists(os.path.join(folder, link.split("#")[0]))] == []


def test_the_paths_that_the_architecture_names_exist():
    names = re.findall(r"`((?:lib|src|include|tests|tools|man|docs)/[\w./*-]+)`", read("docs", "architecture.md"))
    assert len(names) > 10
    missing = [name for name in names if "*" not in name and not os.path.exists(os.path.join(ROOT, name))]
    assert missing == []
