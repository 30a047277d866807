"""Rules in a real daemon: tag, copy, move, program, webhook; each once, over restarts."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Home, wait_until
from tests.support.webhook_listener import Listener

EVERY = "format:jpeg or format:png or format:webp"


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


def program(home: Home, text: str) -> str:
    path = home.folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def ready(home: Home) -> None:
    """Wait until the empty inbox has been looked through: what comes now is new."""
    wait_until(lambda: home.heartbeat().get("model"), 90)
    wait_until(lambda: rule_roots(home) == [str(home.inbox)], 60)


def rule_roots(home: Home) -> list[str]:
    import sqlite3

    with sqlite3.connect(home.state / "index.sqlite3") as db:
        return [os.fsdecode(root) for (root,) in db.execute("SELECT root FROM rule_roots")]


def done(home: Home) -> dict[str, dict[str, int]]:
    return {one["rule"]: one["counts"] for one in home.json("rules", "list")["rules"]}


def stop(daemon: Any) -> None:
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(20) == 0


def test_a_new_photo_is_tagged_copied_told_of_and_not_twice(
    home: Home, scenes: list[Path], listener: Listener
) -> None:
    copies, ran = home.folder / "copies", home.folder / "ran"
    copies.mkdir()
    home.configure(
        rules=[
            {
                "name": "all",
                "query": EVERY,
                "tag": "from a rule",
                "copy_to": str(copies),
                "run": [program(home, f'echo "$1" "$2" >> {ran}; echo said'), "{path}", "{rule}"],
                "webhook": listener.url,
            },
            {"name": "none", "query": "kind:selfie", "move_to": str(copies)},
        ]
    )
    old = home.inbox / f"old{scenes[0].suffix}"
    shutil.copyfile(scenes[0], old)
    listener.refuse = 1
    daemon = home.start()
    ready(home)
    wait_until(lambda: home.json("status")["counts"]["tagged"] == 1, 60)
    photo = home.inbox / scenes[1].name
    os.utime(shutil.copyfile(scenes[1], photo), ns=(1, 1_500_000_000_123_456_789))
    wait_until(lambda: done(home)["all"].get("done") == 3, 60)

    assert home.json("show", str(photo))["tags"][-1] == {
        "label": "from a rule",
        "confidence": 1.0,
        "path": ["from a rule"],
        "source": "rule",
    }
    assert home.run("query", '"from a rule"').split("\n") == [str(photo), ""]
    copy = copies / photo.name
    assert copy.read_bytes() == photo.read_bytes()
    assert copy.stat().st_mtime_ns == 1_500_000_000_123_456_789
    beside = Path(f"{copy}.xmp")
    assert b"from a rule" in beside.read_bytes(), "the copy is made when the tags are written"
    assert ran.read_text() == f"{photo} all\n"
    said = "rules: 3 done, 1 failed since the start, 1 waiting"
    wait_until(lambda: said in home.run("status"), 60)
    status = home.run("status")
    assert "answered 503" in status
    assert "secret" not in status + home.log.read_text()

    stop(daemon)
    assert listener.bodies == []
    assert "1 actions are tried again" in home.run("rules", "retry")
    again = home.start()
    wait_until(lambda: listener.bodies, 60)
    [body] = listener.bodies
    assert (body["rule"], body["path"], body["version"]) == ("all", str(photo), 1)
    assert "from a rule" in body["labels"]
    photo.touch()
    home.run("retry", str(photo))
    home.run("scan")
    wait_until(lambda: [x for x in home.logged() if x.get("path") == str(photo)][-1].get("how"), 60)
    stop(again)
    assert done(home) == {"all": {"done": 4}, "none": {}}
    assert ran.read_text() == f"{photo} all\n"
    assert len(listener.bodies) == 1
    assert sorted(os.listdir(copies)) == sorted([photo.name, beside.name])


def test_what_was_there_before_is_not_new(home: Home, scenes: list[Path]) -> None:
    target = home.folder / "moved"
    target.mkdir()
    home.configure(rules=[{"query": EVERY, "move_to": str(target)}])
    first, second = home.inbox / scenes[0].name, home.inbox / scenes[1].name
    shutil.copyfile(scenes[0], first)
    home.once()
    assert first.exists()
    shutil.copyfile(scenes[1], second)
    home.once()
    assert first.exists()
    assert sorted(os.listdir(target)) == [second.name, f"{second.name}.xmp"]
    assert home.json("status")["counts"] == {
        "tagged": 1,
        "untagged": 0,
        "waiting": 0,
        "failed": 0,
        "missing": 0,
    }
    assert home.run("query").splitlines() == [str(first)]

    assert home.run("rules", "undo", str(second)) == f"{second}: back at {second}\n"
    assert os.listdir(target) == []
    assert home.once() == [], "it is known as it was"
    assert sorted(home.run("query").splitlines()) == sorted([str(first), str(second)])

    home.run("rules", "apply")
    assert first.exists()
    home.run("rules", "apply", "--in", str(home.inbox), "--yes")
    home.once()
    assert not first.exists()
    assert second.exists(), "what was undone is not done again"


def test_a_move_inside_the_library_keeps_all_that_is_known(home: Home, scenes: list[Path]) -> None:
    target = home.inbox / "sorted"
    target.mkdir()
    home.configure(rules=[{"query": EVERY, "move_to": str(target), "tag": "sorted"}])
    home.once()
    photo = home.inbox / scenes[2].name
    shutil.copyfile(scenes[2], photo)
    home.once()
    moved = target / photo.name
    shown = home.json("show", str(moved))
    assert shown["status"] == "tagged"
    assert shown["written"][0]["file"] == f"{moved}.xmp"
    assert [tag["label"] for tag in shown["tags"]][-1] == "sorted"
    assert home.once() == []
    assert home.json("status")["counts"]["missing"] == 0
    home.run("untag", str(moved), "--label", "sorted")
    assert b"sorted" not in Path(f"{moved}.xmp").read_bytes()
    assert home.run("rules", "undo", str(photo)).endswith(f"back at {photo}\n")
    home.once()
    assert home.json("show", str(photo))["removed_by_you"] == ["sorted"]
    assert "sorted" not in [tag["label"] for tag in home.json("show", str(photo))["tags"]]
    left = [name for name in os.listdir(home.inbox) if name != ".tagger-root"]
    assert sorted(left) == sorted([photo.name, f"{photo.name}.xmp", "sorted"])


def test_a_rules_tag_outlives_the_index(home: Home, scenes: list[Path]) -> None:
    home.configure(rules=[{"query": EVERY, "tag": "from a rule"}])
    home.once()
    photo = home.inbox / scenes[0].name
    shutil.copyfile(scenes[0], photo)
    home.once()
    beside = Path(f"{photo}.xmp")
    assert b"from a rule" in beside.read_bytes()
    for path in home.state.glob("index.*"):
        path.unlink()
    home.once()
    assert b"from a rule" in beside.read_bytes()
    [tag] = [t for t in home.json("show", str(photo))["tags"] if t["label"] == "from a rule"]
    assert tag["source"] == "rule"
    assert home.json("rules", "list")["rules"][0]["counts"] == {}, "but it was not followed again"
    home.run("untag", str(photo))
    assert not beside.exists()


def test_rules_are_tried_on_photos_anywhere(home: Home, scenes: list[Path]) -> None:
    target = home.folder / "there"
    target.mkdir()
    shutil.copyfile(scenes[0], target / scenes[0].name)
    home.configure(
        rules=[
            {"name": "a", "query": EVERY, "copy_to": str(target), "run": ["echo", "{labels}"]},
            {"name": "b", "query": "people:1..", "tag": "x"},
        ]
    )
    home.use_converted_model()
    [told] = home.json("rules", "test", str(scenes[0]))
    assert not told["in_library"]
    assert told["labels"]
    [rule] = told["rules"]
    stem, suffix = os.path.splitext(scenes[0].name)
    assert rule["actions"]["copy_to"] == str(target / f"{stem} (2){suffix}")
    assert rule["actions"]["run"] == f"'echo' '{','.join(told['labels'])}' '{scenes[0]}'"
    assert os.listdir(target) == [scenes[0].name]
    photo = home.inbox / scenes[1].name
    shutil.copyfile(scenes[1], photo)
    home.once()
    out = home.run("rules", "test", str(photo))
    assert "rule a" in out
    assert "rule b" not in out
    home.run("rules", "test", str(home.folder / "config.yaml"), code=2)
