"""``tagger run --once`` and what can be asked afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tagger.cli.common import ask_path, leave_folder
from tagger.errors import ConfigError


def drop(home, photo, name=None):
    target = home.inbox / (name or photo.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(photo, target)
    return target


def top(line):
    return max(line["tags"].items(), key=lambda item: item[1])[0] if line["tags"] else None


def snapshot(folder):
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_photos_are_tagged_found_and_left_alone_afterwards(home, scenes):
    photos = [drop(home, scene) for scene in scenes]
    originals = {photo: photo.read_bytes() for photo in photos}
    lines = home.once(process=True)
    assert sorted(line["path"] for line in lines) == sorted(map(str, photos))
    assert all(line["how"] == "classified" and line["tags"] for line in lines)
    assert {"hash", "decode", "classify", "write", "commit"} <= lines[0]["ms"].keys()
    assert {photo: photo.read_bytes() for photo in photos} == originals
    assert all(photo.with_name(photo.name + ".xmp").is_file() for photo in photos)

    before = snapshot(home.inbox)
    assert home.once() == []
    assert snapshot(home.inbox) == before

    everything = home.run_process("query").splitlines()
    assert sorted(everything) == sorted(map(str, photos))
    taken = {str(p): home.json("show", str(p))["taken_at"] for p in photos}
    dated = [path for path in everything if taken[path]]
    assert dated == sorted(dated, key=lambda path: taken[path], reverse=True)


@pytest.mark.parametrize("command", ["run", "classify"])
def test_the_folder_that_it_begins_in_may_go_away(home, scenes, command):
    """Nor need its user have the right to be there, as with `sudo -u tagger tagger run`."""
    photo = drop(home, scenes[0])
    home.use_converted_model()
    (home.folder / "gone").mkdir()
    arguments = {"run": ["--once"], "classify": [str(photo)]}[command]
    script = 'rmdir ../gone; exec "$0" -m tagger --config "$@"'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable, str(home.config), command, *arguments],
        capture_output=True,
        check=False,
        cwd=home.folder / "gone",
        env=home.environ(),
    )
    assert done.returncode == 0, done.stderr
    if command == "run":
        assert home.run("query").splitlines() == [str(photo)]
    else:
        assert str(photo) in done.stdout.decode()


def test_places_of_the_environment_count_from_where_it_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAGGER_MODEL_DIR", "weights:1")
    monkeypatch.setenv("TORCH_HOME", "~/torch")
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setenv("PYTHONPATH", f"lib{os.pathsep}/usr/lib/tagger")
    leave_folder()
    assert os.getcwd() == "/"
    assert os.environ["TAGGER_MODEL_DIR"] == str(tmp_path / "weights:1")
    assert os.environ["TORCH_HOME"] == "/home/alice/torch"
    assert os.environ["PYTHONPATH"] == f"{tmp_path}/lib{os.pathsep}/usr/lib/tagger"


def test_a_photo_is_named_in_a_folder_that_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert ask_path("/x/../y.jpg") == "/y.jpg"
    with pytest.raises(ConfigError, match="folder that you are in is gone"):
        ask_path("y.jpg")


def test_the_json_contract(home, scenes):
    photo = drop(home, scenes[0])
    bad = home.inbox / "bad.jpg"
    bad.write_text("no picture")
    home.once()
    shown = home.json("show", str(photo))
    label = shown["tags"][0]["label"]
    assert {"path", "tags", "taken_at", "top", "model", "status", "tagged_at"} <= shown.keys()
    assert shown["path"] == str(photo)
    assert shown["status"] == "tagged"
    assert {"index", "label", "probability"} <= shown["top"][0].keys()
    assert [t["probability"] for t in shown["top"]] == sorted(
        (t["probability"] for t in shown["top"]), reverse=True
    )
    for tag in shown["tags"]:
        assert tag["path"][-1] == tag["label"]
        assert 0 < tag["confidence"] <= 1

    [found] = home.json("query", label)
    assert {"path", "tags", "taken_at"} <= found.keys()
    assert found["tags"] == shown["tags"]
    assert home.json("query", "no such thing") == []
    assert home.run("query", "no such thing") == ""

    [classified] = home.json("classify", str(photo))
    assert classified["tags"] == shown["tags"]
    assert classified["top"] == shown["top"]
    assert classified["taken_at"] == shown["taken_at"]
    assert not {"status", "tagged_at"} & classified.keys()

    [failure] = home.json("failures")
    assert {"path", "reason", "tries", "retry_at"} <= failure.keys()
    assert (failure["path"], failure["tries"], failure["retry_at"]) == (str(bad), 1, None)

    status = home.json("status")
    assert {"counts", "roots", "model", "engine", "daemon"} <= status.keys()
    assert status["counts"] == {
        "tagged": 1,
        "untagged": 0,
        "waiting": 0,
        "failed": 1,
        "missing": 0,
    }
    assert status["daemon"]["running"] is False

    tree = home.json("labels")
    assert all({"label", "names", "count", "children"} <= branch.keys() for branch in tree)
    [one] = home.json("labels", label)
    assert (one["label"], one["count"]) == (label, 1)


def test_classify_keeps_the_order_and_says_what_it_cannot_read(home, scenes):
    photos = [str(scene) for scene in scenes]
    told = home.json("classify", *reversed(photos))
    assert [one["path"] for one in told] == list(reversed(photos))
    bad = home.folder / "bad.jpg"
    bad.write_text("no picture")
    told = json.loads(home.run("classify", photos[0], str(bad), photos[1], "--json", code=2))
    assert [one["path"] for one in told] == [photos[0], str(bad), photos[1]]
    assert str(bad) in home.err
    assert not home.state.exists()


def test_query_options(home, scenes):
    photos = [drop(home, scenes[0], f"{folder}/x.jpg") for folder in ("a", "b")]
    home.once()
    label = home.json("show", str(photos[0]))["tags"][0]["label"]
    assert home.run("query", label, "--in", str(home.inbox / "a")) == f"{photos[0]}\n"
    assert home.run("query", label, "--count") == "2\n"
    assert home.run("query", label, "--limit", "1").count("\n") == 1
    assert home.run("query", label, "--min", "1") == ""
    assert home.run("query", label, "--until", "1990") == ""
    assert home.run("query", label, "--since", "1990-01-01", "--count") == "2\n"
    assert sorted(home.run("query", label, "--null").split("\0")) == ["", *map(str, photos)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "--min", "2"], "--min"),
        (["query", "--since", "yesterday"], "2024-07-15"),
        (["quary"], "quary"),
        (["show", "/no/such.jpg"], "not in the index"),
        (["labels", "nosuchlabel"], "nosuchlabel"),
    ],
)
def test_a_mistake_is_exit_2_and_one_line(home, arguments, said):
    home.once()
    assert home.run(*arguments, code=2) == ""
    assert said in home.err
    assert home.err.count("\n") == 1


def test_a_process_says_and_returns_what_the_command_line_does_here(home, scenes):
    drop(home, scenes[0])
    home.once()
    here = home.run("status", "--json"), home.err
    there = home.run_process("status", "--json"), home.err
    assert here == there and here[0]
    home.run("query", "--min", "2", code=2)
    said = home.err
    assert home.run_process("query", "--min", "2", code=2) == ""
    assert home.err == said != ""


def test_json_sidecars_and_takeouts_own(home, scenes):
    home.configure(write={"target": "sidecar-json"})
    photo = drop(home, scenes[0])
    takeout = photo.with_name(photo.name + ".json")
    takeout.write_text('{"title": "from Takeout"}')
    home.once()
    sidecar = json.loads(photo.with_name(photo.name + ".tags.json").read_text())
    assert sidecar["labels"]
    assert takeout.read_text() == '{"title": "from Takeout"}'
    assert not photo.with_name(photo.name + ".xmp").exists()


def test_target_none_writes_nothing_but_the_index(home, scenes):
    home.configure(write={"target": "none"})
    photo = drop(home, scenes[0])
    home.once()
    assert [p for p in home.inbox.iterdir() if not p.name.startswith(".")] == [photo]
    assert home.json("show", str(photo))["tags"]


def test_a_read_only_folder_is_left_untouched(home, scenes):
    home.configure(watch=[{"path": str(home.inbox), "read_only": True}])
    photo = drop(home, scenes[0])
    home.once()
    assert list(home.inbox.iterdir()) == [photo]
    assert home.json("show", str(photo))["tags"]


def test_exiftool_reads_every_sidecar_without_a_warning(home, scenes):
    if not shutil.which("exiftool"):
        assert not os.environ.get("TAGGER_CI"), "exiftool must be installed here"
        pytest.skip("exiftool is not installed")
    for scene in scenes:
        drop(home, scene)
    home.once()
    sidecars = sorted(home.inbox.glob("*.xmp"))
    done = subprocess.run(
        ["exiftool", "-j", "-a", "-G1", "-validate", "-warning", "-error", *sidecars],
        capture_output=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert len(told) == len(scenes)
    for one, sidecar in zip(told, sidecars, strict=True):
        assert not any("Warning" in key or "Error" in key for key in one), one
        tags = home.json("show", str(sidecar)[: -len(".xmp")])["tags"]
        subjects = one_value(["exiftool", "-j", "-XMP-dc:Subject", sidecar], "Subject")
        assert set(subjects) == {tag["label"] for tag in tags}


def one_value(command, key):
    [told] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    value = told[key]
    return value if isinstance(value, list) else [value]


def test_queries_never_import_torch(home, scenes):
    drop(home, scenes[0])
    home.once()
    script = (
        "import sys\nfrom tagger.cli import main\n"
        f"c = ['--config', {str(home.config)!r}]\n"
        "for words in (['query', 'dog'], ['status'], ['labels'], ['failures'], ['query']):\n"
        "    assert main(c + words) == 0, words\n"
        "heavy = {'torch', 'torchvision', 'PIL', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([os.sys.executable, "-c", script], check=True, env=home.environ())


def test_a_language_is_added_by_a_file_in_the_state_directory(home, scenes):
    names = home.state / "names"
    names.mkdir(parents=True)
    (names / "da.yaml").write_text("mountain: [bjerg, fjeld]\n", encoding="utf-8")
    home.configure(labels={"language": "da"})
    [photo] = [scene for scene in scenes if scene.stem == "mountain"]
    shutil.copy(photo, home.inbox / "x.jpg")
    home.once()
    written = (home.inbox / "x.jpg.xmp").read_text(encoding="utf-8")
    assert "<rdf:li>bjerg</rdf:li>" in written
    assert "<rdf:li>landscape|bjerg|alp</rdf:li>" in written
    assert home.run("query", "fjeld") == f"{home.inbox / 'x.jpg'}\n"
