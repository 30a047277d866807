"""Shell completion: in each shell that is installed here, and what it offers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tagger.cli.completion import next_words

NAMES = ["dog", "golden retriever", "golden", "sports car", "crane (bird)", "狗", "tailor's shop"]


def offered(before: list[str], incomplete: str) -> list[str]:
    return sorted(set(next_words(NAMES, ["animal"], before, incomplete)))


def test_words_of_labels_are_offered_one_by_one():
    assert offered([], "go") == ["golden"]
    assert offered(["golden"], "re") == ["retriever"]
    assert offered(["not", "sports"], "") == ["animal", "car"]
    assert offered([], "DO") == ["dog"]
    assert offered([], "狗") == ["狗"]
    assert offered([], "") == ["animal"]
    assert offered(["dog"], "x") == []


def test_a_quotation_is_completed_as_a_whole():
    assert offered([], "sports c") == ["sports car"]


def test_nothing_is_offered_that_a_shell_would_not_take_as_it_is():
    assert offered([], "tail") == []
    assert offered(["crane"], "") == ["animal"]


@pytest.fixture
def environ(tmp_path):
    """Return an environment in which `tagger` is a command."""
    program = tmp_path / "bin" / "tagger"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tagger "$@"\n')
    program.chmod(0o755)
    return os.environ | {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
    }


def printed(environ: dict[str, str], *words: str) -> str:
    done = subprocess.run(words, env=environ, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def script(environ: dict[str, str], shell: str) -> str:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    return printed(environ, "tagger", "completion", shell)


def test_bash(environ):
    ask = (
        script(environ, "bash")
        + "COMP_WORDS=(tagger LINE); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        + '_tagger_completion tagger; printf "%s\\n" "${COMPREPLY[@]}"'
    )

    def answer(line: str) -> list[str]:
        return printed(environ, "bash", "--norc", "-c", ask.replace("LINE", line)).split()

    assert answer("sta") == ["status"]
    assert "labrador" in [word.lower() for word in answer("query lab")]
    assert answer("query golden retr") == ["retriever"]
    assert "--copy-to" in answer("query --co")


def test_zsh(environ, tmp_path):
    (tmp_path / "_tagger").write_text(script(environ, "zsh"))
    # In zsh completion works only in a line editor: the shell has a terminal of its own.
    ask = (
        "zmodload zsh/zpty; zpty z zsh -f -i\n"
        f"zpty -w z 'PS1=; fpath=({tmp_path} $fpath); autoload -U compinit; compinit -u -D'\n"
        "zpty -w z 'print -r ready'\n"
        "while zpty -r z line; do [[ $line == ready* ]] && break; done\n"
        "zpty -n -w z $'tagger query golden retr\\t'\n"
        "zpty -r -m z text '*retriever*' && print -r found\n"
        "zpty -d z\n"
    )
    assert "found" in printed(environ, "zsh", "-f", "-c", ask)


def test_fish(environ, tmp_path):
    folder = tmp_path / "config" / "fish" / "completions"
    folder.mkdir(parents=True)
    (folder / "tagger.fish").write_text(script(environ, "fish"))
    said = printed(environ, "fish", "-c", "complete -C 'tagger query golden retr'")
    assert said.split() == ["retriever"]
    assert "status" in printed(environ, "fish", "-c", "complete -C 'tagger sta'").split()


def test_a_broken_config_still_completes(environ, tmp_path):
    config = tmp_path / "config" / "tagger" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("nonsense: [")
    asked = environ | {
        "_TAGGER_COMPLETE": "bash_complete",
        "COMP_WORDS": "tagger\nquery\nspani",
        "COMP_CWORD": "2",
    }
    assert printed(asked, "tagger") == "plain,spaniel\n"


def test_own_translations_are_completed(environ, tmp_path):
    names = tmp_path / "state" / "names"
    names.mkdir(parents=True)
    (names / "de.yaml").write_text("dog: Hund\n")
    config = Path(tmp_path, "c.yaml")
    config.write_text(f"state_dir: {tmp_path / 'state'}\n")
    asked = environ | {
        "_TAGGER_COMPLETE": "bash_complete",
        "COMP_WORDS": f"tagger\n--config\n{config}\nquery\nHun",
        "COMP_CWORD": "4",
    }
    assert printed(asked, "tagger") == "plain,Hund\n"


@pytest.mark.parametrize(
    ("locale", "typed", "offered"),
    [
        ("C.UTF-8", "Hündch", []),
        ("C.UTF-8", "Gepar", ["Gepard"]),
        ("C.UTF-8", "guépar", ["guépard"]),
        ("C.UTF-8", "チーター", ["チーター"]),
        ("C.UTF-8", "гепард", ["гепард"]),
        ("C.UTF-8", "猎豹", ["猎豹"]),
        ("de_DE.UTF-8", "Schildkr", ["Schildkröte"]),
    ],
)
def test_labels_complete_in_every_language(environ, locale, typed, offered):
    asked = environ | {
        "LC_ALL": locale,
        "_TAGGER_COMPLETE": "bash_complete",
        "COMP_WORDS": f"tagger\nquery\n{typed}",
        "COMP_CWORD": "2",
    }
    said = {line.partition(",")[2].lower() for line in printed(asked, "tagger").splitlines()}
    assert said - {""} == {word.lower() for word in offered}
