"""The query language: what it finds over a small index, and what it refuses."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from tagger.errors import QueryError
from tagger.index.conditions import And, Below, Taken
from tagger.index.query_parser import parse
from tagger.index.reader import open_reader
from tagger.records import FileStat, PhotoFacts, Tag

TODAY = date(2025, 6, 15)
DOGS = {"dog", "golden retriever", "pug"}
MEANINGS = {
    "animal": {"animal", "cat", "bird", "crane (bird)"} | DOGS,
    "dog": DOGS,
    "狗": DOGS,
    "puppy": DOGS,
    "golden retriever": {"golden retriever"},
    "retriever": {"golden retriever"},
    "cat": {"cat"},
    "bird": {"bird", "crane (bird)"},
    "crane": {"crane (bird)", "crane (machine)"},
    "crane (machine)": {"crane (machine)"},
    "car": {"sports car"},
    "sports car": {"sports car"},
    "mortar and pestle": {"mortar and pestle"},
}


def seconds(text):
    return datetime.fromisoformat(text).timestamp()


def photo(make, path, labels="", own=(), taken=None, place=(None, None), camera=None, kind="JPEG"):
    tags = [
        Tag(name.strip(), float(confidence), (name.strip(),))
        for name, confidence in (one.split("=") for one in labels.split(",") if one)
    ]
    tags += [Tag(name, 1.0, (name,), "user") for name in own]
    facts = PhotoFacts(
        format=kind, taken_at=taken, camera=camera, latitude=place[0], longitude=place[1]
    )
    mtime = FileStat(1, int(seconds("2021-03-03T03:03:03") * 1e9))
    return make(path, tags=tuple(tags), facts=facts, stat=mtime)


@pytest.fixture
def filled(store, make_photo, clock):
    clock.now = seconds("2025-06-01T00:00:00")
    spain = "/photos/2024/Holiday  Spain (2)"
    store.save(
        [
            photo(
                make_photo,
                f"{spain}/beach.jpg",
                "animal=.95,dog=.9,golden retriever=.8,beach=.7",
                taken="2024-07-01T10:00:00",
                place=(52.52, 13.405),
                camera="Google Pixel 7",
            ),
            photo(
                make_photo,
                f"{spain}/cat.heic",
                "animal=.9,cat=.9",
                taken="2024-07-15T23:59:59",
                place=(52.39, 13.06),
                camera="Apple iPhone 13",
                kind="HEIF",
            ),
            photo(
                make_photo,
                "/photos/2025/crane.jpg",
                "bird=.8,crane (bird)=.7",
                taken="2025-12-31T23:59:59",
                place=(0.0, 179.95),
            ),
        ]
    )
    clock.now = seconds("2025-06-14T23:59:59")
    store.save(
        [
            photo(
                make_photo,
                "/photos/2025/site.jpg",
                "machine=.9,crane (machine)=.9",
                taken="2025-01-01T00:00:00",
                place=(0.0, -179.95),
            ),
            photo(
                make_photo,
                "/photos/2025/kitchen/mortar.jpg",
                "mortar and pestle=.9",
                own=["Place:Home"],
                taken="2023-01-31T12:00:00",
            ),
            photo(make_photo, "/photos/ÄLTERE/nothing.jpg"),
            photo(make_photo, "/photos/gone.jpg", "dog=.9", taken="2024-07-01T00:00:00"),
        ]
    )
    clock.now = seconds("2025-06-15T00:00:00")
    store.save(
        [
            photo(
                make_photo,
                "/photos/2025/pug.jpg",
                "animal=.6,dog=.55,pug=.3",
                taken="2025-06-15T08:00:00",
                camera="Google Pixel 6",
            ),
            photo(
                make_photo,
                "/photos/2025/street.png",
                "sports car=.85,person=.6",
                own=["Oma Ilse"],
                taken="2025-06-14T12:00:00",
                kind="PNG",
            ),
        ]
    )
    store.mark_missing(["/photos/gone.jpg"])
    store.mark_waiting([("/photos/new.jpg", "/photos")])
    store.fail(
        "/photos/broken.jpg", "/photos", FileStat(1, 1), None, kind="K", reason="r", permanent=True
    )
    return store


def find(state_dir, query, limit=None, **options):
    with open_reader(str(state_dir)) as reader:

        def known(phrase):
            return MEANINGS.get(phrase.casefold()) or (
                {phrase} if reader.has_word(phrase) else set()
            )

        tree = parse(query, known, today=TODAY, **options)
        paths = list(reader.find_paths(tree, limit=limit))
        assert [found.row.path for found in reader.find(tree, limit=limit)] == paths
        assert limit or reader.count(tree) == len(paths)
        return " ".join(path.rpartition("/")[2].partition(".")[0] for path in paths)


ALL = "crane pug street site cat beach mortar nothing"

TABLE = [
    # labels: in any language, by synonym, and what is below
    ("", ALL),
    ("dog", "pug beach"),
    ("DOG", "pug beach"),
    ("狗", "pug beach"),
    ("puppy", "pug beach"),
    ("animal", "crane pug cat beach"),
    ("pug", "pug"),
    ("unicorn", ""),
    ("dog unicorn", ""),
    # names of several words, and the user's own keywords
    ("golden retriever", "beach"),
    ("beach golden retriever animal", "beach"),
    ("sports car person", "street"),
    ('"sports car"', "street"),
    ('"golden dog"', ""),
    ("oma ilse", "street"),
    ("OMA  ILSE sports car", "street"),
    ("oma", ""),
    ("mortar and pestle", "mortar"),
    ("crane (bird)", "crane"),
    ("crane (machine)", "site"),
    ("crane", "crane site"),
    ("(crane) (machine)", "site"),
    ("place:home", "mortar"),
    ('"Place:Home"', "mortar"),
    # and, or, not, brackets
    ("dog beach", "beach"),
    ("dog and beach", "beach"),
    ("dog AND beach", "beach"),
    ("dog or cat", "pug cat beach"),
    ("cat or dog beach", "cat beach"),
    ("(cat or dog) beach", "beach"),
    ("not animal", "street site mortar nothing"),
    ("dog not beach", "pug"),
    ("not not dog", "pug beach"),
    ("not (dog or cat) animal", "crane"),
    ('"not"', ""),
    # confidence
    ("dog>0.6", "beach"),
    ("dog>.9", ""),
    ("dog>=.9", "beach"),
    ("dog < 0.6", "pug"),
    ("dog<=0.9", "pug beach"),
    ("dog<0.9", "pug"),
    ("golden retriever>=0.8", "beach"),
    ("not dog>0.6 animal", "crane pug cat"),
    ("oma ilse>=1", "street"),
    # dates
    ("taken:2024", "cat beach"),
    ("taken:2024-07-15", "cat"),
    ("taken:2024-07..2025-01", "site cat beach"),
    ("taken:2025-06-14..", "crane pug street"),
    ("taken:..2023", "mortar nothing"),
    ("taken:2024-07-01T10:00", "beach"),
    ("taken:today", "pug"),
    ("taken:yesterday..today", "pug street"),
    ("taken:yesterday", "street"),
    ("added:today", "pug street"),
    ("added:yesterday", "site mortar nothing"),
    ("added:2025-06-01..2025-06-13", "crane cat beach"),
    ("added:2025-05..", ALL),
    ("added:2025", ALL),
    ("added:2025-06", ALL),
    ("added:..2025-05", ""),
    ("added:0001..9999", ALL),
    # folders, cameras, formats
    ("in:holiday", "cat beach"),
    ('in:"holiday spain"', "cat beach"),
    ("in:2025/KITCHEN", "mortar"),
    ("in:ältere", "nothing"),
    ("in:beach", ""),
    ("in:/photos/2025", "crane pug street site mortar"),
    ("in:/photos/20", ""),
    ("in:/", ALL),
    ('not in:2025 not in:"spain (2)"', "nothing"),
    ("camera:pixel", "pug beach"),
    ('camera:"pixel 7"', "beach"),
    ("not camera:pixel animal", "crane cat"),
    ("format:heic", "cat"),
    ("format:jpg dog", "pug beach"),
    # sources and states
    ("source:user", "street mortar"),
    ("source:model not animal", "street site mortar"),
    ("is:failed", "broken"),
    ("is:missing", "gone"),
    ("is:waiting", "new"),
    ("is:untagged", "nothing"),
    ("is:tagged dog", "pug beach"),
    ("is:failed|missing", "gone broken"),
    ("dog is:missing", "gone"),
    ("cat or is:missing", "cat gone"),
    ("not is:tagged", "nothing"),
    ("is:waiting not taken:2025", "new"),
    # places
    ("near:52.5,13.4,10km", "beach"),
    ("near:52.5,13.4,30km", "cat beach"),
    ("near:52.52,13.405,1m", "beach"),
    ("near:52.5,13.4,20mi", "cat beach"),
    ("near:52.5,13.4,10", "beach"),
    ("near:0,180,6km", "crane site"),
    ("near:0,-180,5km", ""),
    ("near:90,0,10010km", "crane site cat beach"),
    ("not near:52.5,13.4,30km", "crane pug street site mortar nothing"),
    # all together
    ("animal (in:spain or camera:pixel) taken:2024.. not golden retriever", "pug cat"),
]


@pytest.mark.parametrize(("query", "names"), TABLE, ids=[query or "nothing" for query, _ in TABLE])
def test_a_query_finds(filled, state_dir, query, names):
    assert find(state_dir, query) == names
    assert find(state_dir, query, limit=2).split() == names.split()[:2]


REFUSED = [
    ("dog or", 5, "`or`"),
    ("or dog", 1, "`or`"),
    ("dog or or cat", 8, "`or`"),
    ("dog and", 5, "`and`"),
    ("not", 1, "`not`"),
    ("()", 2, "`)`"),
    ("(dog", 1, "never closed"),
    ("dog)", 4, "closes nothing"),
    ("a ((b) (c)", 3, "never closed"),
    ("(" * 11 + "a" + ")" * 11, 11, "brackets"),
    ('dog "sports car', 5, "quote"),
    ('dog ""', 5, "quotes"),
    ("dog -cat", 5, "`not`"),
    (">0.5", 1, "behind a label"),
    ("(dog)>0.5", 6, "behind a label"),
    ("dog>0.5>0.6", 8, "behind a label"),
    ("dog>", 5, "missing"),
    ("dog>1.5", 5, "0 to 1"),
    ("dog> many", 6, "0 to 1"),
    ("dog color:red", 5, "taken, added, in, camera"),
    ("taken:", 7, "missing"),
    ("taken:soon", 7, "2024-07-15"),
    ("taken:2024-13", 7, "2024-07-15"),
    ("taken:2024..soon", 13, "`soon`"),
    ("taken:..", 7, "`..`"),
    ("taken:2025..2024", 7, "ends before"),
    ("added:2025-02-30", 7, "2024-07-15"),
    ("in:", 4, "folder"),
    ('in:" "', 5, "folder"),
    ("camera:", 8, "camera"),
    ("dog source:me", 12, "model, user, rule or taught"),
    ("is:lost", 4, "waiting"),
    ("is:", 4, "missing"),
    ("near:berlin", 6, "latitude"),
    ("near:91,0,1km", 6, "latitude"),
    ("near:1,2", 6, "distance"),
    ("format:", 8, "format"),
    ("a " * 201, 401, "too long"),
    ("a" + "\u0301\u0327" * 190_000, 2001, "too long"),
    ("dog>" + "1" * 100_000 + "x", 2001, "too long"),
]


@pytest.mark.parametrize(("query", "column", "said"), REFUSED, ids=[q[:20] for q, _, _ in REFUSED])
def test_a_mistake_is_told_with_its_column_and_what_to_do(query, column, said):
    with pytest.raises(QueryError) as caught:
        parse(query, lambda _: ())
    assert f"(column {column} of the query)" in caught.value.message
    assert said in str(caught.value)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_the_least_confidence_is_asked_of_labels_without_their_own(filled, state_dir):
    assert find(state_dir, "animal", least=0.9) == "cat beach"
    assert find(state_dir, "dog>0.5 animal", least=0.6) == "pug beach"
    assert find(state_dir, "dog>0.5 or cat", least=0.95) == "pug beach"
    assert find(state_dir, "not dog", least=0.8) == "crane pug street site cat mortar nothing"


def test_trees_can_be_put_together_without_text(filled, state_dir):
    with open_reader(str(state_dir)) as reader:
        query = And((parse("dog", MEANINGS.get), Taken("2025", None), Below(("/photos/2025",))))
        assert list(reader.find_paths(query)) == ["/photos/2025/pug.jpg"]


def test_the_longest_query_is_answered(filled, state_dir):
    assert find(state_dir, "dog<=1 " * 100) == "pug beach"
    assert find(state_dir, " or ".join(["dog<=1"] * 66)) == "pug beach"
    assert find(state_dir, "not (" * 10 + "dog" + ")" * 10) == "pug beach"
