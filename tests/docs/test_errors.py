"""Every error that a user can meet: in the house style, listed, and with something to do."""

from __future__ import annotations

import functools
import re

from tools import generate_error_docs
from tools.generate_error_docs import Made

SIDECAR = "a reason, told by `tagger show`: the tags go to a sidecar instead, nothing is to be done"
STOPPED = "the user stopped it, and is not told of it"
LINES = "one line for each mistake follows, and says what is right"
PASSED_ON = "the message and the remedy of another error are passed on"

NO_REMEDY = {
    "RefusedError": SIDECAR,
    "StoppedError": STOPPED,
    "WaitsError": PASSED_ON,
    ("tagger/config/yaml_text.py", "<path> has 1 mistake:<lines>"): LINES,
    ("tagger/config/yaml_text.py", "<path> has <count> mistakes:<lines>"): LINES,
    ("tagger/service/plan.py", "cannot run <…>: <strerror>"): "plan.apply adds the command's own",
    ("tagger/service/plan.py", "`<…>` failed: <…>"): "plan.apply adds the command's own",
    (
        "tagger/metadata/safe_write/original.py",
        "cannot <what> <path>: <strerror>",
    ): "chosen by the errno",
}
"""Why an error has no remedy, or none that can be read from the source; by class or by place."""

VERBS = set(
    "add ask call change check choose close convert copy correct delete describe edit end fetch "
    "free give install leave listen log make mend mount move name open put raise read reinstall "
    "rename repair report run save say search see send set start stop take try use wait watch "
    "write".split()
)
NOTHING_TO_DO = ("nothing ", "it is ", "it was not copied", "did you mean ", "watched are: ")
"""What a remedy may be else: that tagger sees to it, or what could have been meant."""
NAMES = ("ONNX Runtime ",)
"""What may stand at the beginning of a message all the same."""
OF_THE_PAGE = {"WebError"}
"""Told in answer to a request, which knows what it asked for."""


@functools.cache
def all_made() -> list[Made]:
    found = list(generate_error_docs.made())
    assert len(found) > 200
    assert {one.kind for one in found} > {"ConfigError", "StateError", "QueryError", "WebError"}
    return found


def test_every_error_has_a_remedy_or_a_reason_to_have_none():
    for one in all_made():
        if one.kind in NO_REMEDY or (one.file, one.message) in NO_REMEDY:
            continue
        if one.message is None:  # both are another error's, or chosen from a table
            assert one.remedies is None or one.remedies, one
            continue
        assert one.remedies is None or (one.remedies and all(one.remedies)), one


def test_no_reason_is_left_that_none_needs():
    found = all_made()
    known = {one.kind for one in found} | {(one.file, one.message) for one in found}
    assert set(NO_REMEDY) <= known


def test_messages_begin_small_and_end_without_a_stop():
    for one in all_made():
        if one.message is None:
            continue
        assert one.message == one.message.strip() != "", one
        assert re.match(r"[a-z<`'\"{]", one.message) or one.message.startswith(NAMES), one
        assert not one.message.endswith((".", "!", ";")), one


def test_remedies_say_what_to_do():
    for one in all_made():
        for remedy in one.remedies or ():
            assert remedy == remedy.strip(), one
            assert not remedy.endswith("!"), one
            assert not remedy.endswith(".") or remedy.endswith("..."), one
            first = re.split(r"[ ,]", remedy)[0]
            assert first in VERBS or remedy.startswith((*NOTHING_TO_DO, "<")), one


def test_what_the_system_says_is_told_with_the_path_it_is_said_of():
    for one in all_made():
        if one.message and "<strerror>" in one.message and one.kind not in OF_THE_PAGE:
            assert set(re.findall(r"<(\w+|…)>", one.message)) - {"strerror"}, one


def test_errors_of_photos_name_the_photo():
    kinds = {"NotAnImageError", "DamagedImageError", "ImageTooLargeError", "DecoderCrashedError",
             "PhotoVanishedError", "PhotoChangedError", "PhotoUnreadableError",
             "PhotoForbiddenError"}  # fmt: skip
    for one in all_made():
        if one.kind in kinds and one.message is not None:
            assert re.search(r"<(path|place|photo)>", one.message), one


def test_the_list_for_users_is_true():
    """``python -m tools.generate_error_docs`` makes it anew."""
    assert generate_error_docs.PLACE.read_text(encoding="utf-8") == generate_error_docs.document()
