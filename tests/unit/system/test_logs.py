"""Log lines."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

from tagger.system.logs import JsonFormatter, Once, TextFormatter
from tagger.text.printable import printable

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
        "import logging\n"
        "from tagger.system.logs import set_up_logging\n"
        "set_up_logging('warning')\n"
        "logging.getLogger('tagger.x').info('quiet')\n"
        "logging.getLogger('tagger.x').warning('heard')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert b"heard" in done.stderr and b"quiet" not in done.stderr


CHILD = """
import logging, os, sys
from tagger.system.logs import set_up_logging
found = os.fstat(2)
if sys.argv[1] == "journal":
    os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
else:  # as a child of a service has it whose output goes elsewhere
    os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino + 1}"
set_up_logging("debug", sys.argv[2])
log = logging.getLogger("tagger.x")
log.debug("details")
log.info("a\\nb")
log.warning("look")
try:
    raise ValueError("bad")
except ValueError:
    log.exception("broke")
"""


def logged(where: str, form: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, where, form], capture_output=True, check=True, text=True
    )
    return done.stderr.splitlines()


def test_the_journal_is_told_priorities_and_no_time():
    lines = logged("journal", "text")
    assert lines[:4] == ["<7>details", r"<6>a\nb", "<4>look", "<3>broke"]
    assert lines[4].startswith("<3>Traceback")
    assert lines[-1] == "<3>ValueError: bad"
    assert all(line.startswith("<3>") for line in lines[3:])


def test_elsewhere_there_is_the_time_and_no_priority():
    lines = logged("terminal", "text")
    assert [line.split(maxsplit=2)[2] for line in lines[:4]] == [
        "debug details",
        r"info a\nb",
        "warning look",
        "error broke",
    ]
    assert lines[-1] == "ValueError: bad"


def test_json_is_json_in_the_journal_too():
    levels = [json.loads(line)["level"] for line in logged("journal", "json")]
    assert levels == ["debug", "info", "warning", "error"]
