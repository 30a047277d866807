"""What another program wrote over is offered: on the page, and by the commands."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.photo_programs import Darktable, stamp
from tests.support.tagged_page import PAGE, labels, words_in


def overwritten(photo: Path) -> None:
    """Let darktable write the sidecar from a library that does not know our tags."""
    Darktable(stamp(photo.stat().st_mtime + 1)).write(Path(f"{photo}.xmp"))


def test_what_another_program_overwrote_is_offered(home, tagged):
    client, photo, url = tagged()
    ours = words_in(photo, "sidecar-xmp")
    os.utime(photo, (1_000_000_000, 1_000_000_000))
    home.once()
    overwritten(photo)
    home.once()
    shown = client.get(url).json
    assert sorted(shown["overwritten"]) == sorted(ours)
    assert sorted(labels(shown, "model")) == sorted(ours)
    assert shown["removed_by_you"] == []
    page = client.get(url.replace("/api/v1", "")).text
    assert 'id="put-back"' in page and 'id="leave-out"' in page
    said = home.run("show", str(photo))
    assert "overwritten by another program" in said and "`tagger restore` puts them back" in said
    assert home.once() == [], "it is not fought over"
    client.post(f"{url}/restore", headers=PAGE)
    home.once()
    assert set(ours) <= set(words_in(photo, "sidecar-xmp"))
    assert client.get(url).json["overwritten"] == []
    overwritten(photo)
    home.once()
    answer = client.post(f"{url}/untag", headers=PAGE)
    assert (answer.json["tags"], answer.json["overwritten"]) == ([], [])
    assert words_in(photo, "sidecar-xmp") == ["darktable", "format", "jpg"]


def test_of_some_of_the_tags_only_these_are_offered(home, tagged):
    """darktable knows the photo as it was before one of its tags was given back."""
    client, photo, url = tagged()
    sidecar, ours = Path(f"{photo}.xmp"), words_in(photo, "sidecar-xmp")
    leaf = client.get(url).json["tags"][0]["label"]
    assert client.delete(f"{url}/tags?label={leaf}", headers=PAGE).status_code == 200
    program = Darktable(stamp(photo.stat().st_mtime + 1))
    os.utime(photo, (1_000_000_000, 1_000_000_000))
    program.import_(sidecar)
    program.tags.append("Rex")
    program.write(sidecar)
    home.once()
    home.run("restore", "--label", leaf, str(photo))
    home.once()
    assert leaf in words_in(photo, "sidecar-xmp")
    for rating in (2, 3):
        program.write(sidecar, rating)
        home.once()
        shown = client.get(url).json
        assert (shown["overwritten"], shown["removed_by_you"]) == ([leaf], [])
        assert labels(shown, "user") == ["Rex"]
        assert set(labels(shown, "model")) == set(ours)
        assert str(photo) in home.run("query", leaf)
        assert "`tagger untag --label`" in home.run("show", str(photo))
        page = client.get(url.replace("/api/v1", "")).text
        assert 'id="put-back"' in page and 'id="leave-out"' not in page
        assert home.once() == [], "it is not fought over"
        client.post(f"{url}/restore", headers=PAGE)
        home.once()
        assert client.get(url).json["overwritten"] == []
        assert {*ours, "Rex"} <= {*words_in(photo, "sidecar-xmp")}
    program.write(sidecar, 4)
    home.once()
    assert client.delete(f"{url}/tags?label={leaf}", headers=PAGE).status_code == 200
    shown = client.get(url).json
    assert (shown["overwritten"], shown["removed_by_you"]) == ([], [leaf])
    assert leaf not in sidecar.read_text()
    assert {*ours, "Rex"} - {leaf} <= {*words_in(photo, "sidecar-xmp")}
