# SPDX-License-Identifier: MIT
"""What `meson install` puts down is enough for another program: found by pkg-config, compiled, linked, run, talked to."""
import collections
import json
import os
import pathlib
import socket
import subprocess

import pytest

# The ordinary build is what gets installed.
pytestmark = pytest.mark.ordinary_build

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SONDE_BUILD", os.path.join(ROOT, "build"))

# A root file system with sonde in it, and where the build says that it goes there.
Tree = collections.namedtuple("Tree", "root prefix libdir")


def run(*command, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300, check=False, **more)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """What is installed is what was built and is tested: nothing is built anew."""
    options = {option["name"]: option["value"] for option in json.loads(run("meson", "introspect", "--buildoptions", BUILD))}
    root = tmp_path_factory.mktemp("install") / "root"
    run("meson", "install", "--no-rebuild", "-C", BUILD, env={**os.environ, "DESTDIR": str(root)})
    return Tree(root, options["prefix"], options["libdir"])


def installed(tree, *path):
    """Something under the prefix; "lib" is what the build calls it."""
    first, *rest = path
    return tree.root.joinpath(tree.prefix.lstrip("/"), tree.libdir if first == "lib" else first, *rest)


def environment(tree):
    return {**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(tree.root),
            "PKG_CONFIG_PATH": str(installed(tree, "lib", "pkgconfig")),
            "LD_LIBRARY_PATH": str(installed(tree, "lib"))}


def test_another_prefix_and_without_tests(tmp_path):
    """All goes where it is said to, and the files that hold places name them. That is clear once it is set up."""
    run("meson", "setup", str(tmp_path), ROOT, "--prefix=/opt/sonde", "--libdir=lib", "-Dtests=disabled", "-Dman=enabled")
    goes = {pathlib.Path(place) for place in json.loads(run("meson", "introspect", "--installed", str(tmp_path))).values()}
    assert all(place.is_relative_to("/opt/sonde") for place in goes), goes
    for path in ("bin/sonde", "libexec/sonde-capture", "lib/libsonde.so.0.1.0", "lib/pkgconfig/sonde.pc",
                 "include/sonde/sonde.h", "share/man/man1/sonde.1", "share/man/man3/libsonde.3",
                 "share/bash-completion/completions/sonde", "share/sonde/systemd/sonde-echo.service"):
        assert pathlib.Path("/opt/sonde", path) in goes, (path, goes)
    assert "\nExecStart=/opt/sonde/bin/sonde serve echo" in (tmp_path / "systemd" / "sonde-echo.service").read_text()
    assert "prefix=/opt/sonde\n" in (tmp_path / "meson-private" / "sonde.pc").read_text()
    commands = (tmp_path / "compile_commands.json").read_text()
    assert '"/opt/sonde/libexec' in commands.replace("\\", "")
    assert "/tests/unit/" not in commands


def test_the_files_are_where_they_belong(tree):
    for path in (["bin", "sonde"], ["libexec", "sonde-capture"],
                 ["lib", "libsonde.so"], ["lib", "libsonde.so.0"], ["lib", "pkgconfig", "sonde.pc"],
                 ["include", "sonde", "sonde.h"], ["include", "sonde", "stream.h"],
                 ["share", "man", "man1", "sonde.1"], ["share", "man", "man1", "sonde-serve.1"],
                 ["share", "man", "man1", "sonde-connect.1"], ["share", "man", "man7", "sonde-url.7"],
                 ["share", "man", "man3", "libsonde.3"],
                 ["share", "bash-completion", "completions", "sonde"], ["share", "zsh", "site-functions", "_sonde"]):
        assert installed(tree, *path).is_file(), "/".join(path)
    public = {name for name in os.listdir(os.path.join(ROOT, "include", "sonde"))}
    assert {path.name for path in installed(tree, "include", "sonde").iterdir()} == public


def test_the_completions_are_those_of_the_command(tree):
    for shell, path in (("bash", ["bash-completion", "completions", "sonde"]), ("zsh", ["zsh", "site-functions", "_sonde"])):
        script = run(str(installed(tree, "bin", "sonde")), "completion", shell, env={**os.environ, "LC_ALL": "C"})
        assert script.count("\n") > 50
        assert installed(tree, "share", *path).read_text() == script


def test_the_example_units_run_the_installed_command(tree):
    """They are there to be copied: installing them starts nothing."""
    folder = installed(tree, "share", "sonde", "systemd")
    assert {path.name for path in folder.iterdir()} == {"sonde-echo.service", "sonde-echo.socket"}
    assert f"\nExecStart={tree.prefix}/bin/sonde serve echo" in (folder / "sonde-echo.service").read_text()
    assert not [path for path in tree.root.rglob("*.service") if path.parent != folder]


def test_the_library_is_called_libsonde_so_0(tree):
    library = installed(tree, "lib", "libsonde.so.0")
    assert "[libsonde.so.0]" in run("readelf", "-d", str(library))
    assert library.resolve().name == "libsonde.so.0.1.0"


def test_the_command_needs_no_library_of_ours(tree):
    environment_without = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
    assert "libsonde" not in run("readelf", "-d", str(installed(tree, "bin", "sonde")))
    assert run(str(installed(tree, "bin", "sonde")), "--version", env=environment_without) == "sonde 0.1.0\n"


def test_nothing_names_the_place_where_it_was_built(tree):
    dynamic = run("readelf", "-d", str(installed(tree, "bin", "sonde")), str(installed(tree, "lib", "libsonde.so.0")))
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic
    text = installed(tree, "lib", "pkgconfig", "sonde.pc").read_text()
    assert str(tree.root) not in text and BUILD not in text and ROOT not in text


@pytest.fixture(scope="module")
def compile_example(tree, tmp_path_factory):
    def compile_it(name):
        flags = run("pkg-config", "--cflags", "--libs", "sonde", env=environment(tree)).split()
        program = str(tmp_path_factory.mktemp("example") / name)
        run("cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-o", program,
            os.path.join(ROOT, "examples", name + ".c"), *flags)
        return program
    return compile_it


@pytest.fixture
def start(tree):
    """Start a program that says `listening URL`; gives its port."""
    processes = []

    def start_it(program):
        process = subprocess.Popen([program, "tcp://127.0.0.1:0"], env=environment(tree), stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        processes.append(process)
        line = process.stderr.readline()
        assert line.startswith(f"{os.path.basename(program)}: listening tcp://127.0.0.1:"), line
        return int(line.rsplit(":", 1)[1])
    yield start_it
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def exchange(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: peer.recv(65536), b""))


def test_the_echo_server_of_the_examples(compile_example, start):
    port = start(compile_example("echo_server"))
    for data in (b"hello\n", b"", bytes(range(256)) * 4000):
        assert exchange(port, data) == data


def test_the_echo_client_of_the_examples(compile_example, start, tree):
    port = start(compile_example("echo_server"))
    client = compile_example("echo_client")
    assert run(client, f"tcp://127.0.0.1:{port}", "are you there?", env=environment(tree)) == "are you there?\n"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        refused = subprocess.run([client, f"tcp://127.0.0.1:{taken.getsockname()[1]}"], env=environment(tree),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 timeout=60, check=False)
    assert refused.returncode == 1
    assert "refused" in refused.stderr


def test_the_greeting_of_the_examples(compile_example, start):
    port = start(compile_example("greeting"))
    assert exchange(port, b"") == b"hello, and goodbye\n"
    # What the client says and nobody reads must not turn the close into a reset.
    assert exchange(port, b"x" * 100000) == b"hello, and goodbye\n"


@pytest.mark.parametrize("name", ["iterative_server", "reconnecting_client", "two_terminals"])
def test_the_other_examples_compile(compile_example, name):
    assert os.access(compile_example(name), os.X_OK)


def test_the_program_in_the_man_page(compile_example, tree, tmp_path):
    with open(os.path.join(ROOT, "man", "libsonde.3.scd"), encoding="utf-8") as page:
        program = page.read().split("```")[1].replace("\\\\", "\\")
    source = tmp_path / "example.c"
    source.write_text(program)
    flags = run("pkg-config", "--cflags", "--libs", "sonde", env=environment(tree)).split()
    run("cc", "-std=c99", "-Wall", "-Werror", "-o", str(tmp_path / "example"), str(source), *flags)
