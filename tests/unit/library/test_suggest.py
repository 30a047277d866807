"""What is suggested while somebody types."""

from __future__ import annotations

import pytest

from tagger.index.query_parser import parse
from tagger.index.store import Store
from tagger.labels.vocabulary import load_vocabulary
from tagger.library.suggest import FIELDS, quoted
from tagger.records import Tag
from tests.unit.web.test_library import scrolled


@pytest.fixture
def stocked(site):
    site.add("a.jpg", "beagle")
    site.add("b.jpg", "sports car")
    with Store(str(site.state)) as store:
        row = store.photo(str(site.inbox / "a.jpg"))
        tags = [Tag(word, 1.0, (word,), "user") for word in ("Beate", "Oma Käthe", 'the "best"')]
        store.relabel_many([(row.id, [*store.tags(row.id), *tags])], "")
    return site


def asked(client, beginning: str, **more: int) -> list[dict]:
    answer = client.get("/api/v1/suggest", query_string={"q": beginning} | more)
    assert answer.status_code == 200
    return answer.json


def test_what_photos_have_comes_first(client, stocked):
    found = asked(client, "bea", limit=20)
    names = [one["name"] for one in found]
    assert set(names[:2]) == {"beagle", "Beate"}
    assert [one["used"] for one in found] == sorted((one["used"] for one in found), reverse=True)
    assert "beach" in names or "bear" in names
    assert [one["kind"] for one in found[:2]].count("keyword") == 1


@pytest.mark.parametrize(
    ("typed", "label", "language"),
    [("狗", "dog", "zh"), ("BEAG", "beagle", "en"), ('"sports c', "sports car", "en"),
     ("car", "sports car", "en"), ("ＢＥＡＧ", "beagle", "en")],
)  # fmt: skip
def test_labels_are_found_in_all_languages(client, stocked, typed, label, language):
    found = {one["label"]: one for one in asked(client, typed, limit=20)}
    assert found[label]["language"] == language
    assert found[label]["kind"] == "label"


def test_fields_are_suggested(client, stocked):
    assert [one["text"] for one in asked(client, "tak")] == ["taken:"]
    assert "is:failed" in [one["text"] for one in asked(client, "is:")]
    assert {one["kind"] for one in asked(client, "source:u")} == {"field"}


def test_nothing_is_suggested_for_nothing(client, stocked):
    assert asked(client, "") == asked(client, ' "') == asked(client, "qqqq") == []
    assert len(asked(client, "a", limit=3)) == 3
    assert client.get("/api/v1/suggest?limit=21").status_code == 400
    assert client.get("/api/v1/suggest?q=" + "a" * 2001).status_code == 400


def test_whatever_is_suggested_is_a_query_that_finds_it(client, stocked):
    assert asked(client, "the b") == [], "it could not be named in a query"
    for beginning in ("b", "s", "oma", "the", "狗", "d"):
        for one in asked(client, beginning, limit=20):
            if one["kind"] != "field" and one["used"]:
                assert scrolled(client, one["text"], 9), one
    known = load_vocabulary()
    for label in known.nodes:
        assert len(parse(quoted(label), known.resolve).parts) == 1, label
    for text, _ in FIELDS:
        assert not text.endswith(":") or " " not in text
