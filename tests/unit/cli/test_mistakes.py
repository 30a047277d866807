"""What a user does wrong, in the real process: one line, with what to do, and no traceback."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tagger.system.state_dir import state_lock
from tests.conftest import Home


class Mistake(NamedTuple):
    """A command line, what the one line must say, and what was done before."""

    words: tuple[str, ...]
    said: tuple[str, ...]
    before: Callable[[Home], object] = lambda home: None
    code: int = 2


def of(
    *words: str,
    says: str | tuple[str, ...],
    before: Callable[[Home], object] | None = None,
    code: int = 2,
):
    said = (says,) if isinstance(says, str) else says
    before = before or (lambda home: None)
    return pytest.param(Mistake(words, said, before, code), id=" ".join(words))


def config_is(text: str | bytes) -> Callable[[Home], object]:
    data = text.encode() if isinstance(text, str) else text
    return lambda home: home.config.write_bytes(
        data if b"\xff" in data else data.decode().format(state=home.state).encode()
    )


def with_index(home: Home) -> None:
    from tagger.index.store import Store

    home.state.mkdir()
    Store(str(home.state)).close()


def newer_index(home: Home) -> None:
    with_index(home)
    with sqlite3.connect(home.state / "index.sqlite3") as index:
        index.execute("INSERT INTO migrations VALUES ('9999_later', 0)")


def garbage_index(home: Home) -> None:
    home.state.mkdir()
    (home.state / "index.sqlite3").write_bytes(b"no database at all" * 1000)


def a_file(name: str) -> Callable[[Home], object]:
    return lambda home: (home.folder / name).write_bytes(b"no photo")


NOT_CONFIGURED = 78
"""With this systemd does not start the daemon again."""
NO_CONFIG = ("no config file found at", "tagger init FOLDER")

MISTAKES = [
    # none of them needs anything but the command line
    of("tag", says=("no such command 'tag'", "--help")),
    of("query", "--colour", says=("--colour", "tagger query --help")),
    of("show", says=("missing argument", "tagger show --help")),
    of("completion", "tcsh", says=("tcsh", "bash")),
    of("init", says="missing argument"),
    of("init", "/no/such/folder", says=("there is no folder /no/such/folder", "name folders")),
    of("init", ".", says=("there is a config file at", "--force")),
    # the config
    of("run", says=NO_CONFIG, before=lambda home: home.config.unlink(), code=NOT_CONFIGURED),
    of("config", "check", says=NO_CONFIG, before=lambda home: home.config.unlink()),
    of("scan", says=NO_CONFIG, before=lambda home: home.config.unlink()),
    of("config", "check", says=("is not UTF-8 (byte 7)", "save"), before=config_is(b"watch: \xff")),
    of("config", "check", says=("line 2", "correct the line"), before=config_is("watch:\n\t- a\n")),
    of("run", says=("watches no folder", "add one"), before=config_is("state_dir: {state}\n"),
       code=NOT_CONFIGURED),
    of("run", says=("part of a day", "01:00-06:00"), before=config_is("schedule: nights\n"),
       code=NOT_CONFIGURED),
    of(
        "run",
        says=("has 3 mistakes", "did you mean `watch`", "labels.levels", "settle_seconds"),
        before=config_is("wach: []\nlabels: {{levels: 9}}\nsettle_seconds: soon\n"),
        code=NOT_CONFIGURED,
    ),
    of(
        "run",
        says=("resnet18",),
        before=config_is("state_dir: {state}\nwatch: [{{path: /}}]\nmodel: {{name: resnet81}}\n"),
        code=NOT_CONFIGURED,
    ),
    # the state directory
    of("run", says=("already runs on", "stop it first")),  # see the test
    of("run", "--once", says=("cannot use the state", "`state_dir`"), before=a_file("state")),
    of("query", "dog", says=("there is no index at", "tagger run")),
    of("query", "dog", says=("newer tagger", "use that version"), before=newer_index),
    of("status", says=("cannot read the index", "rights"), before=garbage_index),
    of("run", "--once", says=("newer tagger", "install that version"), before=newer_index),
    # queries
    of("query", "dog and (", says=("column 9", "add `)`"), before=with_index),
    of("query", '"sports car', says=("column",), before=with_index),
    of("query", "is:lost", says=("missing",), before=with_index),
    of("query", "near:52.5", says=("near:",), before=with_index),
    of("query", "taken:sometime", says=("column 7", "2024-07-15"), before=with_index),
    of("query", "dog>", says=("column",), before=with_index),
    of("query", "--since", "sometime", says=("no date", "2024-07-15"), before=with_index),
    of("query", "--min", "2", says=("0<=x<=1",), before=with_index),
    of("query", "--csv", "--json", "dog", says=("exclude each other", "one of them")),
    of("labels", "unicorn", says=("no label", "tagger labels"), before=with_index),
    # photos
    of("show", "no.jpg", says=("no.jpg is not in the index", "tagger status"), before=with_index),
    of("retry", "no.jpg", says=("no.jpg is not in the index", "watched"), before=with_index),
    of("untag", says=("no photos are named", "--all"), before=with_index),
    of("untag", "no.jpg", says=("no.jpg is not in the index", "watched"), before=with_index),
    of("restore", "no.jpg", says=("no.jpg is not in the index", "watched"), before=with_index),
    of("prune", "/srv", says=("/srv is not watched", "watched are"), before=with_index),
    # files
    of("backup", "config.yaml", says=("there is a file", "--force"), before=with_index),
    of("backup", "no/such/x", says=("cannot write", "No such file"), before=with_index),
    of("demo", "/no/such.jpg", says=("there is no photo /no/such.jpg", "name photos")),
    # the model, without a network
    of("model", "download", says=("cannot be fetched", "check the network")),
    of("model", "download", "resnet81", says=("resnet81", "resnet18")),
    of("model", "path", says=("no weights of resnet18", "tagger model download")),
    of("model", "optimize", says=(";",)),
    of("classify", "a.jpg", says=("no weights of", "model download"), before=a_file("a.jpg")),
    # the daemon, the service and the page
    of("pause", says=("no daemon runs", "tagger run")),
    of("service", "install", "--user", "--run-as", "root", says=("your account", "--run-as")),
    of("service", "uninstall", "--user", says=("not installed as a service", "--user")),
    of("web", "--listen", "nowhere", says=("nowhere", "127.0.0.1:5000")),
    of("web", "--listen", "0.0.0.0:0", says=("0.0.0.0",)),
]  # fmt: skip


@pytest.fixture
def bare(tmp_path: Path) -> Home:
    home = Home(tmp_path, None)
    home.daemons = []
    return home


def run(home: Home, *words: str, debug: bool = False) -> subprocess.CompletedProcess[str]:
    environ = home.environ() | {
        "TAGGER_MODEL_URL": "http://127.0.0.1:9/",  # refuses at once
        "XDG_CONFIG_HOME": str(home.folder / "xdg"),
        "XDG_RUNTIME_DIR": str(home.folder / "run"),
    }
    for name in ("TAGGER_CONFIG", "TAGGER_MODEL_DIR", "SUDO_USER"):
        environ.pop(name, None)
    options = ["--config", str(home.config), *(["--debug"] if debug else [])]
    return subprocess.run(
        [sys.executable, "-m", "tagger", *options, *words],
        cwd=home.folder,
        env=environ,
        capture_output=True,
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def judge(done: subprocess.CompletedProcess[str], said: tuple[str, ...], code: int = 2) -> None:
    """Fail unless the process ended as one does after a mistake."""
    assert done.returncode == code, done
    assert done.stdout == "", done
    first, *rest = done.stderr.splitlines()
    assert first.startswith("tagger: "), done
    assert first[8:9].islower() or not first[8:9].isalpha(), done
    # Several mistakes are a line each; else the remedy is in the one line.
    assert (not rest and "; " in first) or all(line.startswith("  ") for line in rest), done
    assert "Traceback" not in done.stderr, done
    for words in said:
        assert words in done.stderr, done


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_what_to_do(bare, mistake):
    mistake.before(bare)
    if "already runs on" in mistake.said:
        with state_lock(str(bare.state)):
            judge(run(bare, *mistake.words), mistake.said, mistake.code)
        return
    judge(run(bare, *mistake.words), mistake.said, mistake.code)


@pytest.mark.parametrize(
    "words", [("query", "dog"), ("backup", "x"), ("pause",), ("service", "uninstall", "--user")]
)
def test_with_debug_it_is_told_where_it_arose(bare, words):
    done = run(bare, *words, debug=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.splitlines()[-1].startswith("tagger: ")


def test_a_photo_that_cannot_be_read_does_not_end_the_others(home, scenes):
    shutil.copy(scenes[0], home.folder / "a.jpg")
    (home.folder / "b.jpg").write_bytes(b"no photo")
    home.use_converted_model()
    folder = home.folder
    said = home.run_process(
        "classify", str(folder / "b.jpg"), str(folder / "a.jpg"), str(folder / "none.jpg"), code=2
    )
    assert "Traceback" not in home.err
    told = said + home.err
    assert f"{folder}/b.jpg is no image" in told
    assert f"{folder}/none.jpg is gone" in told or f"no photo {folder}/none.jpg" in told
    assert "a.jpg" in said


def test_a_port_that_is_taken(bare):
    with_index(bare)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        judge(run(bare, "web", "--listen", f"127.0.0.1:{port}"), (f"127.0.0.1:{port}", "port"))


def test_a_full_disk_and_an_unforeseen_error(bare):
    with_index(bare)
    command = [sys.executable, "-m", "tagger", "labels", "--all"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, check=False, env=bare.environ()
        )
    assert done.returncode == 70
    assert done.stderr == b"tagger: no space left on device; check the disk and the rights\n"
    script = (
        "import sys, tagger.cli.labels as labels\n"
        "from tagger.cli import main\n"
        "labels.labels_command.callback = lambda *a, **k: 1 / 0\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    for option, lines in ((), 1), (("--debug",), None):
        done = subprocess.run(
            [sys.executable, "-c", script, *option, "labels"],
            capture_output=True,
            check=False,
            env=os.environ,
        )
        assert done.returncode == 70
        *trace, last = done.stderr.splitlines()
        assert last.startswith(b"tagger: unexpected ZeroDivisionError: division by zero; ")
        assert bool(trace) == (lines is None)
