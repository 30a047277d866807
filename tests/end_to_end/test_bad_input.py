"""What no photo should be: each gets a clear reason, and the daemon goes on."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import zlib

import pytest


def bomb_png(side: int) -> bytes:
    """Return a small PNG that claims ``side`` x ``side`` pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def reasons(home):
    return {os.path.basename(f["path"]): f["reason"] for f in home.json("failures")}


def test_each_bad_file_gets_a_reason_and_the_good_one_its_tags(home, scenes):
    good = home.inbox / "good.jpg"
    shutil.copyfile(scenes[0], good)
    data = good.read_bytes()
    (home.inbox / "empty.jpg").write_bytes(b"")
    (home.inbox / "text.jpg").write_text("Dear diary, this is no picture.\n" * 50)
    (home.inbox / "cut.jpg").write_bytes(data[: len(data) // 2])
    (home.inbox / "bomb.png").write_bytes(bomb_png(60_000))
    os.symlink(good, home.inbox / "link.jpg")
    os.symlink(home.inbox, home.inbox / "loop")
    os.mkfifo(home.inbox / "pipe.jpg")
    (home.inbox / "folder.jpg").mkdir()
    lines = home.once()
    told = reasons(home)
    assert set(told) == {"empty.jpg", "text.jpg", "cut.jpg", "bomb.png"}
    assert all(str(home.inbox / name) in reason for name, reason in told.items())
    assert "empty" in told["empty.jpg"]
    assert "truncated" in told["cut.jpg"]
    assert home.run("query").splitlines() == [str(good)]
    assert len([line for line in lines if line["event"] == "failure"]) == 4
    # No retry storm: they wait until they change.
    assert home.once() == []
    shutil.copyfile(good, home.inbox / "cut.jpg")
    assert [os.path.basename(line["path"]) for line in home.once()] == ["cut.jpg"]
    assert set(reasons(home)) == {"empty.jpg", "text.jpg", "bomb.png"}


@pytest.mark.parametrize(
    "name", [b"caf\xe9.jpg", b"new\nline.jpg", b"quo'te\".jpg", "狗 & <b>.jpg".encode()]
)
def test_names_of_any_bytes(home, scenes, name):
    photo = os.path.join(os.fsencode(home.inbox), name)
    shutil.copyfile(scenes[0], photo)
    home.once()
    assert os.fsencode(home.run_process("query", "--null")) == photo + b"\0"
    assert os.path.exists(photo + b".xmp")
    assert home.json("show", os.fsdecode(photo))["tags"]
    assert home.once() == []


def test_a_folder_inside_another_is_handled_once_by_its_own_settings(home, scenes):
    inner = home.inbox / "inner"
    inner.mkdir()
    home.configure(watch=[{"path": str(home.inbox)}, {"path": str(inner), "read_only": True}])
    shutil.copyfile(scenes[0], home.inbox / "a.jpg")
    shutil.copyfile(scenes[1], inner / "b.jpg")
    assert len(home.once()) == 2
    assert [p.name for p in inner.iterdir()] == ["b.jpg"]
    assert (home.inbox / "a.jpg.xmp").is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file nobody else may read")
def test_rights_of_another_user(home, scenes):
    """A folder that cannot be written is indexed only, said once; the unreadable is told.

    Once it can be written, its photos get their tags, without another look at them.
    """
    for number, scene in enumerate(scenes[:3]):
        shutil.copyfile(scene, home.inbox / f"{number}.jpg")
    secret = home.inbox / "secret.jpg"
    shutil.copyfile(scenes[0], secret)
    secret.chmod(0)
    home.use_converted_model()
    for path in [home.inbox, *home.inbox.iterdir()]:
        os.chown(path, 65534, 65534)
    # Root without these capabilities is a user like any other.
    dropped = "-dac_override,-dac_read_search,-fowner,-chown"
    once = [
        *("setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"),
        *(sys.executable, "-m", "tagger", "--config", str(home.config), "run", "--once"),
    ]

    def run() -> str:
        done = subprocess.run(once, capture_output=True, env=home.environ(), check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stderr.decode()

    log = run()
    assert home.run("query", "--count") == "3\n"
    assert log.count("tags go to the index only") == 1
    [failure] = home.json("failures")
    assert failure["path"] == str(secret)
    assert failure["retry_at"] is not None
    assert not list(home.inbox.glob("*.xmp"))
    assert home.json("show", str(home.inbox / "0.jpg"))["note"]
    assert "0.jpg" not in run()
    home.inbox.chmod(0o777)
    log = run()
    assert log.count('"how": "known"') == 3 and "index only" not in log
    assert [path.name for path in sorted(home.inbox.glob("*.xmp"))] == [
        "0.jpg.xmp", "1.jpg.xmp", "2.jpg.xmp",
    ]  # fmt: skip
    assert not home.json("show", str(home.inbox / "0.jpg"))["note"]
    assert ".jpg" not in run().replace(str(secret), "")
