"""Looking through the library: search, pages, one photo, labels, failures, status."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from tagger.cli import cli
from tagger.index.reader import open_reader
from tagger.index.rows import SavedPhoto
from tagger.index.store import Store
from tagger.records import FileStat
from tagger.system.files import photo_stat
from tagger.web.photo_images import VIEW_BYTES, PhotoImages
from tagger.web.routes.openapi import MAX_QUERY
from tests.unit.web.conftest import jpeg


@pytest.fixture
def many(site):
    """Return the site with 130 dogs and three cats among them, and their ids newest first."""
    dog, cat = "beagle", "cat"
    with Store(str(site.state)) as store:
        ids = [
            site.saved(store, str(site.inbox / f"{n:03}.jpg"), cat if n in (5, 70, 129) else dog)
            for n in range(133)
        ]
    site.ids = ids[::-1]
    return site


def scrolled(client, query: str, limit: int) -> list[int]:
    """Return the ids that a query finds, page by page to the end."""
    found, after = [], 0
    while after is not None:
        answer = client.get(
            "/api/v1/photos", query_string={"q": query, "after": after, "limit": limit}
        )
        assert answer.status_code == 200
        page = [photo["id"] for photo in answer.json["photos"]]
        assert len(page) <= limit
        found += page
        after = answer.json["next"]
    return found


@pytest.mark.parametrize("limit", [7, 19, 133, 200])
def test_scrolling_gives_every_photo_once_newest_first(client, many, limit):
    assert scrolled(client, "", limit) == many.ids
    assert len(scrolled(client, "dog", limit)) == 130
    assert len(scrolled(client, "cat", limit)) == 3


@pytest.mark.parametrize("told", ["2024-01-01T00:00:00", None])
def test_scrolling_where_moments_are_the_same_or_unknown(client, site, told):
    ids = [
        site.add(f"{n}.jpg", taken_at="2024-01-01T00:00:00" if n % 2 else told) for n in range(9)
    ]
    with Store(str(site.state)) as store:  # these were never opened
        store.mark_waiting([(str(site.inbox / f"new-{n}.jpg"), str(site.inbox)) for n in range(5)])
    found = scrolled(client, "is:tagged,waiting", 2)
    assert len(found) == len(set(found)) == 14
    assert sorted(scrolled(client, "", 2)) == sorted(ids)


def test_the_page_shows_the_first_photos_and_a_link_to_more(client, many):
    text = client.get("/library?q=dog").text
    assert "130 photos" in text
    assert text.count('loading="lazy"') == 60
    last = [one for one in many.ids if one not in scrolled(client, "cat", 9)][59]
    assert f"after={last}" in text
    assert "More photos" in text
    assert "More photos" not in client.get("/library?q=cat").text


@pytest.mark.parametrize(
    ("query", "column"), [("dog and", 5), ("taken:x", 7), ("(dog", 1), ('"dog', 1)]
)
def test_a_mistake_in_a_query_is_told_with_its_column(client, many, query, column):
    for url in ("/library", "/api/v1/photos", "/api/v1/count"):
        answer = client.get(url, query_string={"q": query})
        assert answer.status_code == 400
        assert f"column {column} of the query" in answer.text
    assert "Error" not in client.get("/library", query_string={"q": query}).text


def test_a_query_too_long_is_refused(client, many):
    assert client.get("/api/v1/photos?q=" + "a" * 2001).status_code == 400


def test_counting(client, many):
    assert client.get("/api/v1/count?q=cat").json == {"count": 3}
    assert client.get("/api/v1/count").json == {"count": 133}


def test_a_photos_page_tells_all(client, site):
    number = site.add(
        "sub/dog.jpg", "beagle", data=jpeg(), camera="Pixel", width=640, height=480,
        latitude=52.5, longitude=13.4,
    )  # fmt: skip
    text = client.get(f"/photos/{number}").text
    for said in ("sub/dog.jpg", "beagle", "90.0", "Pixel", "640 × 480", "52.50000", "dc:subject"):
        assert said in text
    details = client.get(f"/api/v1/photos/{number}").json
    assert details["written"][0]["target"] == "sidecar-xmp"
    assert details["top"][0]["label"] == "golden retriever"
    assert details["tags"][-1]["label"] == "beagle"
    assert details["thumbnail"] == f"/photos/{number}/thumbnail"


def test_a_name_that_is_not_utf8_is_shown(client, site):
    number = site.add(b"caf\xe9 \xff.jpg", data=jpeg())
    for url in ("/library", f"/photos/{number}", "/api/v1/photos"):
        assert client.get(url).status_code == 200
    assert client.get(f"/photos/{number}/thumbnail").status_code == 200


def test_thumbnails_are_made_once_and_anew_after_a_change(client, site):
    number = site.add("dog.jpg", data=jpeg(colour="red"))
    first = client.get(f"/photos/{number}/thumbnail")
    again = client.get(
        f"/photos/{number}/thumbnail", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert (again.status_code, again.data) == (304, b"")
    view = client.get(f"/photos/{number}/view").headers["ETag"]
    again = client.get(f"/photos/{number}/view", headers={"If-None-Match": f'"other", {view}'})
    assert (again.status_code, again.data) == (304, b"")
    (site.inbox / "dog.jpg").write_bytes(jpeg((500, 500), colour="blue"))
    changed = client.get(f"/photos/{number}/thumbnail")
    with Image.open(io.BytesIO(changed.data)) as image:
        red, _, blue = image.getpixel((100, 100))
    assert blue > 200 and red < 50


def test_large_pictures_in_memory_are_bounded(site, spool):
    gallery = PhotoImages(site.config, spool)
    for number in range(70):
        gallery._keep(str(number), "view", bytes(1_000_000))
        assert sum(map(len, gallery._views.values())) <= VIEW_BYTES
    assert "69" in gallery._views and "0" not in gallery._views
    assert not (site.state / "thumbnails").exists()


def test_a_thumbnail_outlives_its_page_and_is_made_again_when_damaged(client, site, spool):
    number = site.add("dog.jpg", data=jpeg(colour="red"))
    first = client.get(f"/photos/{number}/thumbnail").data
    [kept] = (site.state / "thumbnails").glob("??/*")
    assert kept.stat().st_mode & 0o777 == 0o640
    assert first in kept.read_bytes()
    with open_reader(str(site.state)) as reader:
        row = reader.photo(str(site.inbox / "dog.jpg"))
    idle = PhotoImages(site.config, spool)
    assert idle.picture(row, "thumbnail").jpeg == first
    assert idle._pool is None, "nothing was decoded"
    kept.write_bytes(kept.read_bytes()[:-40])
    again = client.get(f"/photos/{number}/thumbnail")
    assert (again.status_code, again.data) == (200, first)
    assert first in kept.read_bytes()


def test_a_photo_that_moved_or_was_written_to_keeps_its_thumbnail(client, site):
    path = site.inbox / "dog.jpg"
    number = site.add("dog.jpg", data=jpeg(colour="red"))
    with Store(str(site.state)) as store:
        row = store.photo(str(path))

        def note(at: Path, digest: bytes) -> None:
            saved = SavedPhoto(
                str(at), row.root, photo_stat(str(at)), None, digest, b"s" * 16, row.facts, ()
            )
            store.save([saved])

        note(path, b"a" * 16)
        first = client.get(f"/photos/{number}/thumbnail")
        path.write_bytes(jpeg(colour="blue"))  # as if only our tags were in there now
        note(path, b"b" * 16)
        assert client.get(f"/photos/{number}/thumbnail").data == first.data
        moved = site.inbox / "moved.jpg"
        path.rename(moved)
        store.move(number, str(moved), row.root, [])
    assert client.get(f"/photos/{number}/thumbnail").headers["ETag"] == first.headers["ETag"]


@pytest.mark.parametrize(
    ("size", "shown"),
    [((2400, 1800), (1600, 1200)), ((1200, 2000), (960, 1600)), ((300, 200), (300, 200)),
     ((4000, 1000), (1600, 400)), ((100, 100), (100, 100))],
)  # fmt: skip
def test_the_large_picture_is_whole_and_no_larger_than_the_photo(client, site, size, shown):
    number = site.add("dog.png")
    picture = Image.new("RGB", size)
    left, right = Image.new("RGB", (20, size[1]), "red"), Image.new("RGB", (20, size[1]), "blue")
    picture.paste(left, (0, 0))
    picture.paste(right, (size[0] - 20, 0))
    picture.save(site.inbox / "dog.png")
    answer = client.get(f"/photos/{number}/view")
    with Image.open(io.BytesIO(answer.data)) as image:
        assert max(abs(a - b) for a, b in zip(image.size, shown, strict=True)) <= 1
        middle = image.height // 2
        assert image.getpixel((2, middle))[0] > 180
        assert image.getpixel((image.width - 3, middle))[2] > 180


def test_a_photo_that_cannot_be_shown_says_why(client, site):
    gone, text = site.add("gone.jpg"), site.add("text.jpg", data=b"no picture")
    assert client.get(f"/photos/{gone}/view").status_code == 404
    answer = client.get(f"/photos/{text}/view")
    assert answer.status_code == 422
    assert "tagger-web" not in answer.text


def test_labels_are_a_tree_with_counts(client, many):
    [animal] = client.get("/api/v1/labels").json["labels"]
    assert (animal["label"], animal["count"]) == ("animal", 133)
    dog = next(child for child in animal["children"] if child["label"] == "dog")
    assert (dog["count"], dog["names"]["zh"]) == (130, "狗")
    text = client.get("/labels").text
    assert "beagle" in text and "130" in text


def test_page_and_command_line_tell_the_same(client, site, tmp_path):
    number = site.add("odd.jpg", data=jpeg())
    with Store(str(site.state)) as store:
        store.fail(
            str(site.inbox / "odd.jpg"), str(site.inbox), FileStat(1, 1), None,
            kind="DamagedImageError", reason="it is damaged", permanent=True,
        )  # fmt: skip
    site.add("dog.jpg", "beagle")
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {site.state}\nwatch: [{{path: {site.inbox}}}]\n")

    def said(*words: str) -> Any:
        done = CliRunner().invoke(cli, ["--config", str(config), *words, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def bare(trees: list) -> list:
        return [
            {k: v for k, v in tree.items() if k != "classes"} | {"children": bare(tree["children"])}
            for tree in trees
        ]

    assert client.get("/api/v1/labels").json["labels"] == bare(said("labels"))
    photo = client.get(f"/api/v1/photos/{number}").json
    own = {"id": number, "view": f"/photos/{number}/view"}
    own["thumbnail"] = f"/photos/{number}/thumbnail"
    assert photo == said("show", str(site.inbox / "odd.jpg")) | own
    [failure] = client.get("/api/v1/failures").json
    [told] = said("failures")
    assert failure == told | {"id": number}


@pytest.mark.parametrize(
    "url", ["/library", "/api/v1/photos", "/api/v1/count", "/api/v1/suggest", "/api/v1/events"]
)
def test_a_query_that_is_too_long_is_refused_by_every_route(client, site, url):
    site.add("dog.jpg")
    assert client.get(url, query_string={"q": "x" * MAX_QUERY, "after": 0}).status_code == 200
    answer = client.get(url, query_string={"q": "x" * (MAX_QUERY + 1), "after": 0})
    assert answer.status_code == 400 and "too long" in answer.text


def test_failures_are_told_with_their_reason(client, site):
    number = site.add("odd.jpg")
    with Store(str(site.state)) as store:
        store.fail(
            str(site.inbox / "odd.jpg"), str(site.inbox), FileStat(1, 1), None,
            kind="DamagedImageError", reason="it is <damaged>", permanent=True,
        )  # fmt: skip
    [failure] = client.get("/api/v1/failures").json
    assert (failure["id"], failure["reason"]) == (number, "it is <damaged>")
    assert (failure["tries"], failure["retry_at"]) == (1, None)
    text = client.get("/failures").text
    assert "it is &lt;damaged&gt;" in text
    assert f'href="/photos/{number}"' in text
    assert "it is &lt;damaged&gt;" in client.get(f"/photos/{number}").text


def test_status_says_how_many(client, many):
    status = client.get("/api/v1/status").json
    assert status["counts"]["tagged"] == 133
    assert status["running"] is False


def test_without_an_index_it_says_so(client):
    answer = client.get("/library")
    assert answer.status_code == 503
    assert "tagger run" in answer.text
    assert client.get("/api/v1/status").json["counts"]["tagged"] == 0
    assert client.get("/").status_code == 200
