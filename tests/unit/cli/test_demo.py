"""``tagger demo`` from start to end."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_the_demo_without_weights_and_network_says_so_and_works(home, monkeypatch):
    # Port 9 (discard) refuses at once: no network.
    monkeypatch.setenv("TAGGER_MODEL_URL", "http://127.0.0.1:9/")
    home.configure(model={"weights": None, "download": False})
    said = home.run_process("demo")
    folder = Path(re.search(r"Everything is in (\S+):", said)[1])
    try:
        assert "DEMO WEIGHTS" in said
        assert "tagger model download" in said
        photos = [p for p in (folder / "inbox").iterdir() if p.suffix in (".jpg", ".png")]
        assert len(photos) >= 5
        assert said.count("  (") >= len(photos)
        assert "nothing it can stand behind" not in said
        queries = re.findall(r"^\$ tagger .* query (.*)$", said, re.MULTILINE)
        assert len(queries) == 2
        assert len(re.findall(rf"^{folder}/inbox/\S+$", said, re.MULTILINE)) >= 2
        shown = re.search(r"^```\n(Starting the daemon.*?)^```", README, re.MULTILINE | re.DOTALL)
        for line in shown[1].splitlines():
            line = line.replace("/tmp/tagger-demo-x1", str(folder))
            form = re.escape(line).replace(r"0\.5", r"[\d.]+").replace(r"0\.3", r"[\d.]+")
            form = form.replace(r"1\.00", r"[\d.]+")
            assert line == "..." or re.search(f"^{form}$", said, re.MULTILINE), (line, said)
        stopped = re.search(r"Stopped the daemon in ([\d.]+) s", said)
        assert float(stopped[1]) < 5
        assert all(p.with_name(p.name + ".xmp").is_file() for p in photos)
    finally:
        shutil.rmtree(folder)


def test_the_demo_takes_given_photos_and_given_weights(home, scenes):
    before = scenes[0].read_bytes()
    said = home.run_process("demo", str(scenes[0]), str(scenes[1]))
    folder = Path(re.search(r"Everything is in (\S+):", said)[1])
    try:
        assert "DEMO WEIGHTS" not in said
        assert (folder / "inbox" / scenes[0].name).read_bytes() == before
        assert scenes[0].read_bytes() == before
        assert not scenes[0].with_name(scenes[0].name + ".xmp").exists()
    finally:
        shutil.rmtree(folder)


def test_a_photo_that_is_not_there_is_a_mistake(home):
    home.run("demo", "/no/such.jpg", code=2)
    assert "there is no photo /no/such.jpg" in home.err
