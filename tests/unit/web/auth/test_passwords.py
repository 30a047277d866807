"""Passwords, their hashes, and the command that makes one."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.security import check_password_hash

from tagger.config.schema import Config, WebConfig
from tagger.errors import ConfigError
from tagger.web.auth.gate import Gate
from tagger.web.auth.passwords import Password, make_hash
from tests.support.terminal import at_a_terminal

SECRET = "correct horse battery"
HASH = make_hash(SECRET, cost=10)
OLD = "scrypt$10$8$5$f6ab6fX_6LlbPJ9KPEGfdw$CgIRmhvink2ay4qBJcho82ZvCEjRNU4xnVKWEpvNyw4"
OLD_UMLAUTS = "scrypt$10$8$5$hglEXPRl-3QiRVRremwe0g$VzJBcjBUn_Nr07_m_GQHWYqovgOiZX_lt2pIrl6DimM"


def test_the_right_password_is_known_and_others_are_not():
    password = Password(HASH)
    assert not password.is_known(SECRET)
    for wrong in ("", SECRET + " ", SECRET[:-1], "x" * 100_000, "\0", "\ud800"):
        assert not password.proves(wrong)
        assert not password.is_known(wrong)
    assert password.proves(SECRET)
    assert password.is_known(SECRET)
    assert not password.is_known("")
    assert Password(make_hash("Pässwörter", cost=10)).proves("Pa\u0308sswo\u0308rter")


def test_a_hash_in_the_old_form_still_lets_in(tmp_path, caplog):
    """Made by an early build of 0.1.0: of "correct horse battery", and of one with umlauts."""
    web = WebConfig(password=OLD)
    assert web.password == OLD
    gate = Gate(Config(state_dir=str(tmp_path), web=web))
    assert "tagger web password" in caplog.text
    with Flask(__name__).test_request_context(headers={"Authorization": f"Bearer {SECRET}"}):
        gate.check()
    for wrong in ("", SECRET + " ", "x" * 100_000, "\ud800"):
        assert not Password(OLD).proves(wrong)
    assert Password(OLD_UMLAUTS).proves("Pa\u0308sswo\u0308rter")
    assert not Password(OLD_UMLAUTS).proves("Passworter")


def test_the_hash_is_werkzeugs_and_its_cost_is_bounded():
    assert re.fullmatch(r"scrypt:1024:8:5\$[A-Za-z0-9]{22}\$[0-9a-f]{128}", HASH)
    assert check_password_hash(HASH, SECRET)
    salt = HASH.partition("$")[2]
    for method in ("scrypt:32768:8:1", "scrypt:131072:8:9"):
        assert WebConfig(password=f"{method}${salt}").password
    for method in (
        "scrypt", "scrypt:16384:8:0", "scrypt:16384:9:5", "scrypt:16384:8:10", "scrypt:1048576:8:5",
        "scrypt:1000:8:5", "pbkdf2:sha256:600000", "scrypt:16384:8:5:1", "Scrypt:16384:8:5",
    ):  # fmt: skip
        with pytest.raises(ConfigError, match="tagger web password"):
            WebConfig(password=f"{method}${salt}")
    for password in (HASH[:-1], HASH + "0", HASH + "\n", OLD + "A", OLD.replace("$10$", "$20$")):
        with pytest.raises(ConfigError, match="tagger web password"):
            WebConfig(password=password)


def test_a_password_that_is_no_text_is_refused():
    with pytest.raises(ConfigError, match="UTF-8"):
        make_hash("p\udcc3\udca4ssword")


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_a_password_must_have_some_length(password):
    with pytest.raises(ConfigError, match="characters"):
        make_hash(password)


def test_two_hashes_of_one_password_differ():
    assert make_hash(SECRET, cost=10) != HASH
    assert SECRET not in HASH


def test_only_with_a_password_do_others_reach_the_page():
    with pytest.raises(ConfigError, match="no password"):
        WebConfig(listen="0.0.0.0:5000")
    assert WebConfig(listen="0.0.0.0:5000", password=HASH).listen == "0.0.0.0:5000"
    with pytest.raises(ConfigError, match="tagger web password"):
        WebConfig(password=SECRET)


def tagger(config: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tagger", "--config", str(config), *words],
        input=given,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def test_the_command_makes_a_line_for_the_config(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "# mine\nstate_dir: state\nweb:\n  # from everywhere\n  listen: 0.0.0.0:5000\n"
    )
    config.chmod(0o640)
    done = tagger(config, "config", "check")
    assert done.returncode == 2
    assert "line 5: web.listen: 0.0.0.0:5000 can be reached" in done.stderr
    assert "no password" in done.stderr

    printed = tagger(config, "web", "password", given=f"{SECRET}\n").stdout
    made = printed.partition("password: ")[2].strip()
    assert printed.startswith("web:\n  password: ") and Password(made).proves(SECRET)

    done = tagger(config, "web", "password", "--write", given=f"{SECRET}\n")
    assert done.returncode == 0, done.stderr
    assert tagger(config, "config", "check").returncode == 0
    lines = config.read_text().splitlines()
    assert lines[:3] + lines[4:] == [
        "# mine", "state_dir: state", "web:", "  # from everywhere", "  listen: 0.0.0.0:5000",
    ]  # fmt: skip
    assert Password(lines[3].partition("password: ")[2]).proves(SECRET)
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["config.yaml"]
    done = tagger(config, "web", "password", given="short\n")
    assert done.returncode == 2 and "5 characters" in done.stderr


def test_at_a_terminal_it_asks_twice_and_shows_nothing():
    shown = at_a_terminal(
        [sys.executable, "-m", "tagger", "web", "password"], [SECRET, SECRET + "x", SECRET, SECRET]
    )
    assert SECRET not in shown
    made = shown.rpartition("password: ")[2].strip()
    assert Password(made).proves(SECRET)
