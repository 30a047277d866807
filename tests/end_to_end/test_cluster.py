"""`tagger run --once --cluster`: the same index and sidecars as without; and the status of it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

from tests.conftest import Home
from tests.support.clusters import kill_tree, running, wait_for

pytest.importorskip("distributed")


def rows(home: Home) -> list[tuple[object, ...]]:
    """Return what the index has of each photo: tags, evidence and features, by name."""
    db = sqlite3.connect(home.state / "index.sqlite3")
    predictions = db.execute(
        "SELECT photos.path, status, model_id, top, evidence, features, crop_hash"
        " FROM photos JOIN predictions ON photo_id = photos.id"
    ).fetchall()
    tags = db.execute(
        "SELECT photos.path, label, confidence FROM photos JOIN tags ON photo_id = photos.id"
        " JOIN names ON names.id = name_id"
    ).fetchall()
    db.close()
    return sorted((os.path.basename(path), *rest) for path, *rest in predictions + tags)


def sidecars(home: Home) -> dict[str, bytes]:
    """Return the sidecars by their names."""
    return {path.name: path.read_bytes() for path in home.inbox.glob("*.xmp")}


def fill(home: Home, scenes, count: int) -> None:
    """Put so many photos into a home's inbox, some of them damaged."""
    for number in range(count):
        scene = scenes[number % len(scenes)]
        data = scene.read_bytes()
        if number % 10 == 7:
            data = data[: len(data) // 2 + number]
        else:
            data += b"%d" % number
        (home.inbox / f"{number:04}{scene.suffix}").write_bytes(data)


@pytest.fixture
def other(tmp_path, home, demo_weights) -> Home:
    """Return a second home, with the same model."""
    folder = tmp_path / "other"
    folder.mkdir()
    made = Home(folder, demo_weights)
    made.converted = home.converted
    made.daemons = home.daemons
    return made


def test_it_gives_the_same_index_and_sidecars(tmp_path, home, other, scenes):
    for one in (home, other):
        fill(one, scenes, 40)
    home.once(process=True)
    other.use_converted_model()
    with running(tmp_path / "cluster", 2) as cluster:
        other.run_process("run", "--once", "--cluster", cluster.address)
        assert "connected to the scheduler" in other.err
        assert "is ready" in other.err
    assert rows(other) == rows(home)
    assert sidecars(other) == sidecars(home) and len(sidecars(home)) > 20
    failed = [
        {line["path"].rpartition("/")[2] for line in one.json("failures")} for one in (home, other)
    ]
    assert failed[0] == failed[1] and failed[0]
    before = sidecars(other)
    with running(tmp_path / "again") as cluster:
        other.run_process("run", "--once", "--cluster", cluster.address)
        assert '"event": "photo"' not in other.err, "nothing is done twice"
    assert sidecars(other) == before


def test_the_daemon_says_how_its_workers_are(tmp_path, home, scenes):
    with running(tmp_path / "cluster") as cluster:
        home.configure(cluster={"scheduler": cluster.address})
        home.start()
        wait_for(lambda: (home.heartbeat().get("cluster") or {}).get("workers"))
        shutil.copy(scenes[0], home.inbox)
        wait_for(lambda: list(home.inbox.glob("*.xmp")))

        def told():
            said = home.json("status")["cluster"]
            return said if said["workers"] and said["workers"][0]["photos"] else None

        [worker] = wait_for(told)["workers"]
        assert (worker["name"], worker["state"], worker["photos"]) == ("worker0", "ready", 1)
        text = home.run("status")
        assert f"cluster: {cluster.address}, 1 worker" in text
        assert f"worker: worker0 ({worker['address']}), ready, 1 photo, " in text
        cluster.close()
        wait_for(lambda: "cannot be reached" in home.run("status"))


def test_the_status_lists_who_was_refused_and_why(tmp_path, home, scenes):
    nowhere = tmp_path / "nowhere"
    with running(tmp_path / "cluster") as cluster:
        home.configure(
            cluster={"scheduler": cluster.address, "paths": {str(home.inbox): str(nowhere)}}
        )
        home.start()
        shutil.copy(scenes[0], home.inbox)

        def told():
            workers = (home.json("status")["cluster"] or {}).get("workers") or ()
            return [one for one in workers if one["state"] == "refused"]

        [worker] = wait_for(told)
        reason = f"there is no folder {nowhere} on it, where {home.inbox} should be"
        assert worker["reason"].startswith(reason) and "correct `cluster.paths`" in worker["reason"]
        assert f"worker: worker0 ({worker['address']}), refused: {reason}" in home.run("status")
        wait_for(lambda: list(home.inbox.glob("*.xmp")))
        counts = home.json("status")["counts"]
        assert (counts["tagged"], counts["missing"], counts["failed"]) == (1, 0, 0)


def test_without_a_scheduler_it_goes_on_here_and_says_so(home, scenes):
    shutil.copy(scenes[0], home.inbox)
    home.use_converted_model()
    home.run_process("run", "--once", "--cluster", "tcp://127.0.0.1:9")
    assert "tcp://127.0.0.1:9 cannot be reached" in home.err
    assert len(sidecars(home)) == 1


def test_mistakes_are_said_in_a_line(home):
    home.run("run", "--cluster", "tcp://127.0.0.1:9", code=2)
    assert "--cluster is for --once" in home.err
    home.run("run", "--once", "--cluster", "nas:8786", code=78)
    assert "'nas:8786' is no address of a scheduler; write it as" in home.err


def test_a_cluster_to_try_it(home, scenes, tmp_path):
    shutil.copy(scenes[0], home.inbox)
    home.use_converted_model()
    log = (tmp_path / "cluster.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "tagger", "cluster", "start", "--workers", "1", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=log,
        env=home.environ(),
        text=True,
    )
    try:
        said = process.stdout.readline()
        address = said.split()[1].rstrip(",")
        assert said.startswith("scheduler tcp://127.0.0.1:")
        home.run_process("run", "--once", "--cluster", address)
        lines = [json.loads(line) for line in home.err.splitlines()]
        assert any("is ready" in line.get("message", "") for line in lines)
        assert len(sidecars(home)) == 1
        process.terminate()
        assert process.wait(30) == 0
    finally:
        kill_tree(process)
        process.stdout.close()
        log.close()
