"""Log lines."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

from tagger.logs import JsonFormatter, Once, TextFormatter, printable

PATH = "/photos/a\nb\udce9\x1b[31m.jpg"


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("tagger.x", logging.INFO, "f", 1, message, (PATH,), None)
    made.__dict__.update(extra)
    return made


def test_a_path_cannot_break_or_forge_a_line():
    line = TextFormatter().format(record("cannot tag %s"))
    assert "\n" not in line
    assert line.endswith(r"info cannot tag /photos/a\nb\xe9\x1b[31m.jpg")


def test_json_lines_carry_the_details():
    line = JsonFormatter().format(record("tagged %s", event="photo", path=PATH, ms={"hash": 1.5}))
    assert line.isascii()
    told = json.loads(line)
    assert (told["level"], told["event"], told["path"]) == ("info", "photo", PATH)
    assert told["ms"] == {"hash": 1.5}


def test_what_people_read_stays_as_it_is():
    assert printable("Fotos/Straße 狗.jpg") == "Fotos/Straße 狗.jpg"


def test_a_cause_is_told_once_a_place(caplog):
    once = Once(logging.getLogger("tagger.test"))
    for place in ("a", "b", "a", "a"):
        once.warn("rights", place, f"cannot write {place}")
    assert caplog.messages == ["cannot write a", "cannot write b"]


def test_the_level_of_the_config_is_obeyed():
    script = (
        "import logging; from tagger.config import LogConfig\n"
        "from tagger.logs import set_up_logging\n"
        "set_up_logging(LogConfig(level='warning'))\n"
        "logging.getLogger('tagger.x').info('quiet')\n"
        "logging.getLogger('tagger.x').warning('heard')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert b"heard" in done.stderr and b"quiet" not in done.stderr
