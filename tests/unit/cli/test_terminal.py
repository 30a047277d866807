"""What commands print: no text commands a terminal, and none makes printing fail."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import io
import json
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tagger.index.store import Store
from tagger.records import FileStat, Tag
from tagger.system.logs import JournalFormatter, JsonFormatter, TextFormatter
from tagger.text.printable import escaped, printable
from tests.unit.cli.conftest import saved

run = functools.partial(subprocess.run, check=False, timeout=60)
EVIL = "\x1b]0;own\x07\x1b[2J\x7f\u009b2J\u0085\u202egpj\u2066\u2028\u200f"
CONTROLS = [
    *(chr(code) for code in (*range(32), *range(127, 160))),
    *(one for one in EVIL[-8:] if one not in "gpj"),
]


@pytest.fixture(scope="session")
def demo_weights():
    """No weights: nothing is classified here."""


@pytest.fixture
def evil(home):
    """Return a home with a photo whose name, folder, camera and keywords are hostile."""
    folder = home.inbox / f"d{EVIL}"
    folder.mkdir()
    path = folder / f"a{EVIL}.jpg"
    path.write_bytes(b"photo")
    names = [f"key{EVIL}", "=1+1", "＝cmd", "two\nlines", "日本"]
    photo = saved(home.inbox, path, 0, [Tag("dog", 0.9, ("animal", "dog"))])
    tags = (*photo.tags, *(Tag(name, 1.0, (name,), "user") for name in names))
    facts = dataclasses.replace(photo.facts, camera=f"Cam{EVIL}")
    broken = home.inbox / f"b{EVIL}.jpg"
    broken.write_bytes(b"none")
    with Store(str(home.state)) as store:
        store.save([dataclasses.replace(photo, tags=tags, facts=facts)])
        store.fail(
            str(broken),
            str(home.inbox),
            FileStat(1, 1),
            None,
            kind="DamagedImageError",
            reason=f"bad{EVIL}",
            permanent=True,
        )
    return home, path


def on_terminal(home, *arguments: str, **environ: str) -> str:
    """Run a command on a terminal of its own; return all that it showed."""
    command = [sys.executable, "-m", "tagger", "--config", str(home.config), *arguments]
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.execve(command[0], command, home.environ() | {"LC_ALL": "C.UTF-8"} | environ)
        finally:
            os._exit(127)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: the other end is gone
        while some := os.read(terminal, 65536):
            shown += some
    os.close(terminal)
    os.waitpid(pid, 0)
    return shown.decode()


@pytest.mark.parametrize(
    "words",
    [
        ["query"],
        ["query", "--csv"],
        ["query", "--json"],
        ["labels"],
        ["show", "{path}"],
        ["show", "/nowhere" + EVIL.replace("\0", "")],
        ["failures"],
        ["status"],
        ["doctor"],
        ["restore", "{path}"],
        ["prune"],
        ["labels", "none" + EVIL],
        ["query", "dog (" + EVIL],
        ["no-such-command" + EVIL],
        ["query", "--copy-to", "{path}-copies" + EVIL],
        ["classify", "{path}"],
        ["config", "check"],
        ["model", "list"],
        ["backup", "/nowhere" + EVIL + "/x"],
    ],
    ids=lambda words: ascii(words[0])[1:8],
)
def test_nothing_that_a_photo_says_reaches_a_terminal_as_it_is(evil, words):
    home, path = evil
    shown = on_terminal(home, *(word.replace("{path}", str(path)) for word in words))
    assert shown
    # A terminal makes "\r\n" of "\n"; colours are our own.
    shown = shown.replace("\r\n", "\n")
    for color in ("\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m", "\x1b[1m", "\x1b[3m", "\x1b[2m"):
        shown = shown.replace(color, "")
    found = {ascii(one) for one in CONTROLS if one in shown and one not in "\n\t"}
    assert not found, ascii(shown)


def test_a_keyword_is_one_line_on_a_terminal(evil):
    home, _ = evil
    assert r"two\nlines" in on_terminal(home, "labels")


def test_pipes_null_and_json_get_every_byte(evil):
    home, path = evil
    assert home.run_process("query", "dog", "--null") == f"{path}\0"
    assert home.run_process("query", "dog") == f"{path}\n"
    said = home.run_process("query", "dog", "--json")
    assert said.isascii() and "\x7f" not in said
    assert json.loads(said)[0]["path"] == str(path)
    assert f"key{EVIL}" in home.run_process("labels")


def test_a_spreadsheet_calculates_nothing(evil):
    home, path = evil
    [_, row] = csv.reader(io.StringIO(home.run("query", "dog", "--csv"), newline=""))
    assert row[0] == str(path)
    assert "'=1+1" in row[2].split(";")
    assert "'＝cmd" in row[2].split(";")
    assert "日本" in row[2].split(";")


@pytest.mark.parametrize("start", list("=+-@\t\r＝＋－＠"))
def test_every_start_of_a_formula_is_defused(start):
    from tagger.cli.export import _FORMULA, _as_text

    assert _as_text(f"{start}1") == f"'{start}1"
    assert _FORMULA.sub(r"\1'", f"a;{start}1;b") == f"a;'{start}1;b"


LOCALES = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "strict": {"PYTHONIOENCODING": "ascii:strict"},
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(
    "words",
    [["labels"], ["show", "{path}"], ["query", "dog"], ["failures"], ["status"], ["labels", "狗"]],
    ids=lambda words: words[0],
)
def test_output_that_is_not_utf8_is_no_error(evil, words, locale):
    home, path = evil
    command = [sys.executable, "-m", "tagger", "--config", str(home.config)]
    done = run(
        [*command, *(word.replace("{path}", str(path)) for word in words)],
        capture_output=True,
        env=home.environ() | LOCALES[locale],
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Traceback" not in done.stdout
    if words[0] in ("query", "show"):
        assert os.fsencode(path.name[:1]) in done.stdout


def test_names_are_utf8_in_every_locale(home, tmp_path):
    """The daemon's, and those of the config, are the same files as in the shell."""
    folder = home.folder / "Fotos für 日本"
    folder.mkdir()
    home.configure(watch=[{"path": str(folder)}])
    done = run(
        [sys.executable, "-m", "tagger", "--config", str(home.config), "config", "check"],
        capture_output=True,
        env=home.environ() | LOCALES["C"],
    )
    assert done.returncode == 0, done.stderr
    assert b"not there now" not in done.stdout


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-", ">/dev/full"])
@pytest.mark.parametrize("words", ["query dog", "labels", "show /none", "nonsense", "status"])
def test_closed_output_is_no_failure_of_ours(evil, words, closed):
    home, _ = evil
    command = f'"{sys.executable}" -m tagger --config "{home.config}" {words} {closed}'
    done = run(["sh", "-c", command], env=home.environ(), capture_output=True, text=True)
    wanted = 2 if words in ("show /none", "nonsense") else 0
    assert done.returncode == (70 if "full" in closed and not wanted else wanted), done.stderr
    assert "unexpected" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_a_reader_of_errors_that_has_left_is_no_failure(evil):
    home, _ = evil
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "tagger", "--config", str(home.config), "show", "/none"]
    assert run(command, stderr=write, env=home.environ()).returncode == 2
    os.close(write)


def test_a_file_of_ours_never_takes_the_number_of_a_closed_output(evil):
    """Else what a library writes to standard error would go into the index."""
    home, _ = evil
    script = (
        "import os, sys; from tagger.cli import main; main(['--config', sys.argv[1], 'status']);"
        "print([os.readlink(f'/proc/self/fd/{fd}') for fd in (1, 2)], file=open(sys.argv[2], 'w'))"
    )
    told = home.folder / "told"
    subprocess.run(
        ["sh", "-c", '"$0" -c "$1" "$2" "$3" 1>&- 2>&-',
         sys.executable, script, str(home.config), str(told)],
        env=home.environ(), check=True,
    )  # fmt: skip
    assert told.read_text().strip() == "['/dev/null', '/dev/null']"


def test_log_lines_and_their_tracebacks_are_escaped():
    try:
        raise OSError(f"bad {EVIL}")
    except OSError:
        record = logging.LogRecord("t", logging.ERROR, "f", 1, f"a {EVIL}", (), sys.exc_info())
    for made in (TextFormatter(), JournalFormatter(), JsonFormatter()):
        line = made.format(record)
        assert not [one for one in CONTROLS if one in line and one != "\n"], ascii(line)
        assert r"\u202e" in line


def test_what_is_escaped_can_be_read():
    assert printable("\udce9\x1b\u009b\u202e\U000e0041") == (r"\xe9\x1b\x9b\u202e\U000e0041")
    assert escaped("a\tb\nc\r") == "a\tb\nc\\r"
    family = "👨\u200d👩\u200d👧 Straße 日本 ש"
    assert printable(family) == family


def test_no_completion_holds_a_control_character(home):
    (home.state / "names").mkdir(parents=True)
    environ = home.environ() | {
        "_TAGGER_COMPLETE": "bash_complete",
        "COMP_WORDS": "tagger query dog\x1b",
        "COMP_CWORD": "2",
        "TAGGER_CONFIG": str(home.config),
    }
    done = run(
        [Path(sys.executable).parent / "tagger"], env=environ, capture_output=True, timeout=60
    )
    assert b"\x1b" not in done.stdout
