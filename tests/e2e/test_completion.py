# SPDX-License-Identifier: MIT
"""The completion scripts, in real shells: what Tab makes of a line, and all that it offers.

A shell runs on a terminal. A line is typed, a key pressed, and then the line is turned into the arguments of printf, so
that it shows what stands in it now, word by word. Besides Tab there is a key that inserts every match at once.
"""

import re
import subprocess

import pytest

import harness

ALL = b"\x18*"  # inserts every match
TAB = b"\t"
DUMB = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "TERM": "xterm"}

SETUP = {
    "bash": r"""
        bind 'set completion-query-items 0'
        bind 'set page-completions off'
        bind 'set bell-style none'
        bind 'set enable-bracketed-paste off'
        bind '"\C-x*": insert-completions'
        source %(script)s
    """,
    "zsh": r"""
        setopt no_nomatch no_beep
        bindkey -e
        LISTMAX=0
        fpath=(%(folder)s $fpath)
        autoload -Uz compinit
        compinit -u -D
        zle -C all-matches complete-word _generic
        bindkey '^Xa' all-matches
        bindkey -s '^X*' '^I^Xa'
        zstyle ':completion:all-matches:*' old-matches only
        zstyle ':completion:all-matches::::' completer _all_matches
    """,
}
START = {"bash": ["bash", "--noprofile", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"]}


class Shell:
    """An interactive shell with completion set up, in a folder of its own."""

    def __init__(self, name, terminal, place):
        self.name = name
        self.terminal = terminal
        self.place = place
        self.n_marks = 0

    def run(self, line):
        """Run a command (keys may be in it); gives what it printed."""
        self.n_marks += 1
        begin = len(self.terminal.out.data)
        line = line if isinstance(line, bytes) else line.encode()
        self.terminal.type(line + b"\r" + f"printf 'done%s;\\n' {self.n_marks}\r".encode())
        mark = f"done{self.n_marks};".encode()
        self.terminal.out.wait_for(lambda data: mark in data[begin:], f"the mark after {line!r}")
        return self.terminal.out.data[begin:]

    def complete(self, line, key=TAB):
        """The words of that line after the key; the last one is marked with + when no blank follows it."""
        shown = self.run(line.encode() + key + b"+\x01printf '<%s>\\n' ")
        plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown)
        return re.findall(rb"(?m)^<(.*)>\r?$", plain)[1:]

    def offers(self, line):
        """Every match of the last word of that line, as they would stand in it; a set."""
        words = [word.decode() for word in self.complete(line, ALL)]
        before = len(re.findall(r"\S+", line[: line.rindex(" ") + 1]))
        words = [word[:-1] if word.endswith("+") else word for word in words[before - 1:]]
        # zsh puts an equals sign behind the last option that it inserts.
        return {re.sub(r"^(--[\w-]+)=$", r"\1", word) for word in words if word}

    def becomes(self, line):
        """That line after Tab: "sonde serve +" when a blank was added, "tcp://+" when none was."""
        return " ".join(["sonde", *(word.decode() for word in self.complete(line))])


@pytest.fixture(scope="module", params=["bash", "zsh"])
def shell(request, binary, tmp_path_factory):
    name = request.param
    if subprocess.run(["which", name], stdout=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip(f"{name} is not installed")
    folder = tmp_path_factory.mktemp("completion")
    place = tmp_path_factory.mktemp("place")
    script = subprocess.run([binary, "completion", name], stdout=subprocess.PIPE, check=True, timeout=60).stdout
    (folder / "_sonde").write_bytes(script)
    environment = [f"{key}={value}" for key, value in DUMB.items()]
    terminal = harness.Terminal(["env", "-i", "-C", str(place), *environment, *START[name]])
    made = Shell(name, terminal, place)
    made.run("PS1='$ ' PS2=''; unset HISTFILE")
    for line in (SETUP[name] % {"script": folder / "_sonde", "folder": folder}).strip().splitlines():
        made.run(line.strip())
    yield made
    terminal.finish()


def whole_help(binary, *verb):
    return subprocess.run([binary, *verb, "--help"], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def verbs_of_help(binary):
    return re.findall(r"^  ([a-z]+)  +\S", whole_help(binary).split("\nVerbs:\n")[1].split("\n\n")[0], re.M)


def options_of_help(binary, verb):
    """Names, long and short, and which of them take a value."""
    names, valued = set(), set()
    for line in whole_help(binary, verb).split("\nOptions:\n")[1].split("\nKnown from other tools")[0].splitlines():
        found = re.match(r"  (-.*?|    --.*?)(?:\s{2,}|$)", line)
        if not found:
            continue
        mine = re.findall(r"(?:^|, |^ +)(--?[\w-]+)", found.group(1))
        names |= set(mine)
        if re.search(r"[\w-] \S", found.group(1).replace(", ", "")):
            valued |= set(mine)
    assert names, verb
    return names, valued


VERBS = ["serve", "connect", "trace", "watch", "version", "completion"]


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_the_script_is_understood(binary, tool, tmp_path, name):
    script = tmp_path / "script"
    with open(script, "wb") as file:
        subprocess.run([binary, "completion", name], stdout=file, check=True, timeout=60)
    done = subprocess.run([tool(name), "-n", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=60)
    assert (done.returncode, done.stdout) == (0, b"")


def test_the_verbs(shell, binary):
    verbs = verbs_of_help(binary)
    assert set(VERBS) <= set(verbs)
    assert shell.offers("sonde ") == set(verbs)
    assert shell.becomes("sonde ser") == "sonde serve +"
    assert shell.becomes("sonde --ver") == "sonde --version +"


@pytest.mark.parametrize("verb", VERBS)
def test_the_options_of_each_verb(shell, binary, verb):
    names, _ = options_of_help(binary, verb)
    assert shell.offers(f"sonde {verb} --") == {name for name in names if name.startswith("--")}
    for name in sorted(names):
        if not name.startswith("--"):
            continue
        # Each is completed, or stands as it is when others begin with it.
        last = shell.becomes(f"sonde {verb} {name}").split()[-2:]
        assert name in " ".join(last), (name, last)


@pytest.mark.parametrize("verb", ["serve", "connect", "trace", "watch"])
def test_the_letters_of_each_verb(shell, binary, verb):
    names, _ = options_of_help(binary, verb)
    letters = {name for name in names if not name.startswith("--")}
    offered = {name.rstrip("=+") for name in shell.offers(f"sonde {verb} -")}
    assert letters == {name for name in offered if re.fullmatch(r"-\w", name)}


def test_what_is_refused_is_not_offered(shell):
    assert not {"--proxy-auth", "--ssl", "--unixsock", "--exec"} & shell.offers("sonde connect --")


def test_the_address_of_a_proxy(shell):
    assert shell.offers("sonde connect --proxy ") == {"socks5://", "socks5h://", "http://"}
    assert shell.becomes("sonde connect --proxy ht") == "sonde connect --proxy http://+"


def test_the_choices_of_an_option(shell):
    assert shell.offers("sonde serve echo --engine ") == {"auto", "uring", "epoll"}
    assert shell.offers("sonde connect --eof ") == {"wait", "close", "after:", "ignore"}
    assert shell.becomes("sonde connect --eof af") == "sonde connect --eof after:+"
    assert shell.becomes("sonde connect --eof cl") == "sonde connect --eof close +"


def test_a_value_behind_an_equals_sign(shell):
    assert shell.becomes("sonde serve echo --engine=ur") == "sonde serve echo --engine=uring +"
    assert shell.becomes("sonde connect --eof=af") == "sonde connect --eof=after:+"
    (shell.place / "unique.txt").write_text("")
    assert shell.becomes("sonde serve greet --file=uniq") == "sonde serve greet --file=unique.txt +"


def test_a_value_that_cannot_be_guessed(shell):
    assert shell.becomes("sonde serve echo --threads ") == "sonde serve echo --threads +"
    # And what follows it is no value any more.
    assert shell.becomes("sonde serve --threads 4 ec") == "sonde serve --threads 4 echo +"
    assert shell.becomes("sonde serve --threads=4 ec") == "sonde serve --threads=4 echo +"
    assert shell.becomes("sonde connect -w 4 fd") == "sonde connect -w 4 fd://+"
    assert shell.becomes("sonde connect -w4 fd") == "sonde connect -w4 fd://+"
    assert shell.becomes("sonde connect -vw 4 fd") == "sonde connect -vw 4 fd://+"
    assert shell.becomes("sonde connect -v fd") == "sonde connect -v fd://+"
    assert shell.becomes("sonde connect --retry fd") == "sonde connect --retry fd://+"


def test_the_services(shell, binary):
    services = set(re.findall(r"^  ([a-z]+)\b", whole_help(binary, "serve").split("\nServices:\n")[1].split("\n\n")[0],
                              re.M))
    assert len(services) >= 7
    assert shell.offers("sonde serve ") == services
    assert shell.becomes("sonde serve --once day") == "sonde serve --once daytime +"


CONNECTED = {"tcp://", "udp://", "tls://", "ws://", "wss://", "unix:", "unixgram:", "seqpacket:", "vsock://", "sctp://",
             "fd://"}
SERVED = CONNECTED | {"any://"}


@pytest.mark.parametrize("command", ["serve echo", "serve echo :7007", "serve --once discard", "connect", "connect -v"])
def test_addresses(shell, command):
    assert shell.offers(f"sonde {command} ") == (SERVED if command.startswith("serve") else CONNECTED)
    assert shell.becomes(f"sonde {command} tc") == f"sonde {command} tcp://+"
    assert shell.becomes(f"sonde {command} un") == f"sonde {command} unix+"
    assert shell.becomes(f"sonde {command} unixg") == f"sonde {command} unixgram:+"
    # Nothing to add, and nothing lost: the colon and the slashes are one word with the rest.
    assert shell.becomes(f"sonde {command} tcp://127.0.0.1:7") == f"sonde {command} tcp://127.0.0.1:7+"


def test_the_path_of_a_unix_address(shell):
    (shell.place / "my.sock").write_text("")
    assert shell.becomes("sonde connect unix:my") == "sonde connect unix:my.sock +"
    (shell.place / "deep").mkdir(exist_ok=True)
    (shell.place / "deep" / "down").write_text("")
    assert shell.becomes(f"sonde serve echo unix:{shell.place}/deep/d") == \
        f"sonde serve echo unix:{shell.place}/deep/down +"
    for scheme in ("unixgram", "seqpacket", "tls+unix"):
        assert shell.becomes(f"sonde connect {scheme}:my") == f"sonde connect {scheme}:my.sock +"


def test_the_options_of_an_address(shell):
    assert shell.becomes("sonde serve echo tcp://:7007?backl") == "sonde serve echo tcp://:7007?backlog=+"
    assert shell.becomes("sonde connect :7007?nod") == "sonde connect :7007?nodelay=+"
    assert shell.becomes("sonde connect :7007?backl") == "sonde connect :7007?backl+"  # that is for listening


def test_files(shell):
    folder = shell.place / "files"
    folder.mkdir(exist_ok=True)
    for name in ("one.pcap", "two.pcapng", "three.jsonl", "four.txt", "with blank.pcap"):
        (folder / name).write_text("")
    (folder / "sub").mkdir(exist_ok=True)
    assert shell.becomes("sonde serve greet --file files/fo") == "sonde serve greet --file files/four.txt +"
    for option in ("-r", "--read"):
        assert shell.becomes(f"sonde trace {option} files/on") == f"sonde trace {option} files/one.pcap +"
        assert shell.becomes(f"sonde trace {option} files/tw") == f"sonde trace {option} files/two.pcapng +"
        assert shell.becomes(f"sonde trace {option} files/th") == f"sonde trace {option} files/three.jsonl +"
        offered = {name.rstrip("/") for name in shell.offers(f"sonde trace {option} files/")}
        assert offered == {"files/one.pcap", "files/two.pcapng", "files/three.jsonl", "files/with blank.pcap", "files/sub"}
        assert shell.becomes(f"sonde trace {option} files/su") == f"sonde trace {option} files/sub/+"
        assert shell.becomes(f"sonde trace {option} files/wi") == f"sonde trace {option} files/with blank.pcap +"


def test_interfaces(shell):
    assert {"lo", "any"} <= shell.offers("sonde trace -i ")


def test_the_text_of_a_greeting_is_the_users(shell):
    assert shell.becomes("sonde serve greet ") == "sonde serve greet +"
    assert shell.offers("sonde serve greet hello ") == SERVED
    assert shell.offers("sonde serve greet --file x ") == SERVED


def test_a_program_behind_two_dashes(shell):
    assert shell.becomes("sonde serve exec -- setpri") == "sonde serve exec -- setpriv +"
    (shell.place / "argument.txt").write_text("")
    assert shell.becomes("sonde serve exec :7007 -- cat argum") == "sonde serve exec :7007 -- cat argument.txt +"
    assert shell.offers("sonde serve exec ") == SERVED


def test_the_shells(shell):
    assert shell.offers("sonde completion ") == {"bash", "zsh"}


def test_a_script_that_is_sourced(shell, binary):
    """Not from a folder of completions, but as a startup file would."""
    if shell.name == "zsh":
        shell.run("unfunction _sonde; compdef -d sonde")
    shell.run(f"source <({binary} completion {shell.name})")
    assert shell.becomes("sonde ser") == "sonde serve +"


def test_which_shell(command):
    assert "bash" in harness.one_sentence(command.run("completion").err)
    result = command.run("completion", "tcsh")
    assert result.status == 2 and "tcsh" in harness.one_sentence(result.err)
    assert command.run("completion", "bash", "zsh").status == 2
