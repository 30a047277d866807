"""Any text is a query or a QueryError; and a query finds what a plain filter finds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagger.errors import QueryError
from tagger.index import planner, query_runner
from tagger.index.query_parser import parse
from tagger.index.read_connection import distance_km
from tagger.index.reader import open_reader
from tagger.index.rows import SavedPhoto
from tagger.index.store import Store
from tagger.records import FileStat, PhotoFacts, Tag

TODAY = date(2025, 6, 15)
TREE = {
    "animal": ["animal", "dog", "big dog", "cat"],
    "dog": ["dog", "big dog"],
    "big dog": ["big dog"],
    "cat": ["cat"],
    "car": ["car"],
}
PATHS = {
    "animal": ("animal",),
    "dog": ("animal", "dog"),
    "big dog": ("animal", "dog", "big dog"),
    "cat": ("animal", "cat"),
    "car": ("car",),
}
FOLDERS = ["/p", "/p/Holiday", "/p/holiday at sea", "/q/2024/Ähre"]
CAMERAS = [None, "Pixel 7", "NIKON D750"]
PLACES = [None, (52.5, 13.4), (52.6, 13.5), (0.0, 179.99), (0.0, -179.99), (89.9, 20.0)]
DAYS = ["2024-02-29", "2024-12-31", "2025-01-01", "2025-06-14", "2025-06-15"]
STATES = ["tagged", "untagged", "waiting", "failed", "missing"]


@dataclass
class Row:
    """One photo as the plain filter sees it."""

    path: str
    state: str
    tags: dict[str, float] = field(default_factory=dict)
    own: bool = False
    taken: str | None = None
    added: str = ""
    camera: str | None = None
    place: tuple[float, float] | None = None
    format: str = ""


def rows():
    made = []
    for number in range(120):
        state = STATES[(0, 0, 0, 1, 2, 3, 4)[number % 7]]
        folder = FOLDERS[number % 4]
        row = Row(f"{folder}/{number:03}.jpg", state, added=DAYS[number % 5])
        if state in ("tagged", "missing"):
            names = list(TREE)
            for step in range(number % 3 + 1):
                name = names[(number // 3 + step * 2) % 5]
                row.tags[name] = ((number * 7 + step * 3) % 11) / 10
            row.own = number % 8 == 0
        if state in ("tagged", "untagged", "missing"):
            row.taken = f"{DAYS[number // 2 % 5]}T{number % 24:02}:00:00"
            row.camera = CAMERAS[number // 5 % 3]
            row.place = PLACES[number % 6]
            row.format = ("JPEG", "HEIF")[number // 4 % 2]
        made.append(row)
    return made


ROWS = rows()


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory):
    """Return a state directory with an index of ``ROWS``."""
    folder = tmp_path_factory.mktemp("state")
    now = [0.0]
    with Store(str(folder), clock=lambda: now[0]) as store:
        for number, row in enumerate(ROWS):
            now[0] = datetime.fromisoformat(row.added + "T12:00:00").timestamp()
            stat = FileStat(number, number)
            if row.state == "waiting":
                store.mark_waiting([(row.path, "/p")])
                continue
            if row.state == "failed":
                reason = {"kind": "K", "reason": "r", "permanent": True}
                store.fail(row.path, "/p", stat, None, **reason)
                row.taken = datetime.fromtimestamp(0).isoformat()  # the file's time
                continue
            tags = [Tag(name, bound, PATHS[name]) for name, bound in row.tags.items()]
            tags += [Tag("Oma Ilse", 1.0, ("Oma Ilse",), "user")] if row.own else []
            place = row.place or (None, None)
            facts = PhotoFacts(
                row.format,
                taken_at=row.taken,
                camera=row.camera,
                latitude=place[0],
                longitude=place[1],
            )
            digest = number.to_bytes(16)
            store.save([SavedPhoto(row.path, "/p", stat, None, digest, digest, facts, tuple(tags))])
            if row.state == "missing":
                store.mark_missing([row.path])
    return str(folder)


def has(row, name, test):
    found = [row.tags[word] for word in TREE[name] if word in row.tags]
    return bool(found) and test(max(found))


def chord_km(one, other):
    """Return the distance on the sphere by its chord: another formula than the code's."""
    points = []
    for latitude, longitude in (one, other):
        a, b = math.radians(latitude), math.radians(longitude)
        points.append((math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a)))
    return 2 * 6371.0088 * math.asin(min(1.0, math.dist(*points) / 2))


TESTS = {
    ">": lambda bound: lambda value: value > bound,
    ">=": lambda bound: lambda value: value >= bound,
    "<": lambda bound: lambda value: value < bound,
    "<=": lambda bound: lambda value: value <= bound,
}


@st.composite
def labels(draw):
    name = draw(st.sampled_from(list(TREE)))
    text = draw(st.sampled_from([name, name.upper(), f'"{name}"']))
    if draw(st.booleans()):
        return text, lambda row: has(row, name, lambda _: True)
    sign, bound = draw(st.sampled_from(list(TESTS))), draw(st.integers(0, 10)) / 10
    return f"{text}{sign}{bound}", lambda row: has(row, name, TESTS[sign](bound))


def prefixes(text):
    return st.sampled_from([text, text[:7], text[:4]])


@st.composite
def dates(draw):
    key = draw(st.sampled_from(["taken", "added"]))
    first, last = sorted([draw(st.sampled_from(DAYS)), draw(st.sampled_from(DAYS))])
    first, last = draw(prefixes(first)), draw(prefixes(last))
    yesterday = str(TODAY - timedelta(1))
    text, start, end = draw(
        st.sampled_from(
            [
                (first, first, first),
                (f"{first}..{last}", first, last),
                (f"{first}..", first, ""),
                (f"..{last}", "", last),
                ("today", str(TODAY), str(TODAY)),
                ("yesterday..", yesterday, ""),
            ]
        )
    )

    def test(row):
        moment = row.taken if key == "taken" else row.added
        return moment is not None and moment[: len(start)] >= start and moment[: len(end)] <= end

    return f"{key}:{text}", test


@st.composite
def fields(draw):
    kind = draw(st.sampled_from(["in", "below", "camera", "source", "is", "near", "format"]))
    if kind == "in":
        part = draw(st.sampled_from(["holiday", "HOLIDAY AT", "2024", "ähre", "/q", "jpg"]))
        if part.startswith("/"):
            return f"in:{part}", lambda row: row.path.startswith(part + "/")
        folder = lambda row: row.path.rpartition("/")[0].lower()  # noqa: E731
        return f'in:"{part}"', lambda row: part.lower() in folder(row)
    if kind == "below":
        folder = draw(st.sampled_from(FOLDERS))
        return f'in:"{folder}/"', lambda row: row.path.startswith(folder + "/")
    if kind == "camera":
        part = draw(st.sampled_from(["pixel", "D7", "7"]))
        return f"camera:{part}", lambda row: part.lower() in (row.camera or "").lower()
    if kind == "source":
        return draw(
            st.sampled_from(
                [
                    ("source:user", lambda row: row.own),
                    ("source:model", lambda row: bool(row.tags)),
                ]
            )
        )
    if kind == "is":
        states = draw(st.lists(st.sampled_from(STATES), min_size=1, max_size=3))
        return f"is:{'|'.join(states)}", lambda row: row.state in states
    if kind == "near":
        place = draw(st.sampled_from([*PLACES[1:], (0.0, 180.0), (52.55, 13.45), (-90.0, 0.0)]))
        radius = draw(st.sampled_from([0.5, 3, 15, 800, 15000]))
        return (
            f"near:{place[0]},{place[1]},{radius}km",
            lambda row: row.place is not None and chord_km(row.place, place) <= radius,
        )
    name, said = draw(st.sampled_from([("JPEG", "jpg"), ("HEIF", "heic"), ("HEIF", "HEIF")]))
    return f"format:{said}", lambda row: row.format == name


def either(left, right):
    return f"({left[0]} or {right[0]})", lambda row: left[1](row) or right[1](row)


def both(left, word, right):
    # Labels side by side might name something together; `and` or a bracket parts them.
    text = f"({left[0]}) ({right[0]})" if word == " " else left[0] + word + right[0]
    return f"({text})", lambda row: left[1](row) and right[1](row)


QUERIES = st.recursive(
    st.one_of(labels(), labels(), dates(), fields()),
    lambda inner: st.one_of(
        st.builds(either, inner, inner),
        st.builds(both, inner, st.sampled_from([" and ", " AND ", " "]), inner),
        st.builds(lambda part: (f"not {part[0]}", lambda row: not part[1](row)), inner),
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(query=QUERIES)
def test_a_query_finds_what_a_plain_filter_finds(state_dir, query):
    text, test = query
    states = {"tagged", "untagged"} | asked_states(text)
    wanted = [row.path for row in ROWS if row.state in states and test(row)]
    with open_reader(state_dir) as reader:
        tree = parse(text, lambda phrase: TREE.get(phrase.lower(), ()), today=TODAY)
        assert sorted(reader.find_paths(tree)) == sorted(wanted)
        assert reader.count(tree) == len(wanted)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    query=QUERIES,
    limit=st.integers(1, 30),
    window=st.sampled_from([1, 7, 20, 1000]),
    share=st.sampled_from([1, 8]),
)
def test_a_page_is_the_beginning_of_everything(state_dir, monkeypatch, query, limit, window, share):
    """Whichever way it is found: by a walk from the newest on, or by gathering what is rare."""
    monkeypatch.setattr(query_runner, "WINDOW", window)
    monkeypatch.setattr(query_runner, "SHARE", share)
    monkeypatch.setattr(query_runner, "MOST_BY_ID", 2 * window)
    monkeypatch.setattr(planner, "RARE", window // 2)
    tree = parse(query[0], lambda phrase: TREE.get(phrase.lower(), ()), today=TODAY)
    with open_reader(state_dir) as reader:
        everything = list(reader.find_paths(tree))
        assert list(reader.find_paths(tree, limit=limit)) == everything[:limit]
        assert reader.count(tree) == len(everything)


def test_labels_are_counted_with_what_is_below_them(state_dir):
    with open_reader(state_dir) as reader:
        expected = {
            name: sum(has(row, name, lambda _: True) for row in ROWS if row.state != "missing")
            for name in TREE
        }
        assert reader.tree_counts(PATHS) == expected
        # Another tree than the photos were tagged by, as after a new version.
        other = PATHS | {"cat": ("car", "cat")}
        cats = lambda row: has(row, "cat", lambda _: True)  # noqa: E731
        present = [row for row in ROWS if row.state != "missing"]
        assert reader.tree_counts(other) == expected | {
            "animal": sum(bool({"animal", "dog", "big dog"} & {*row.tags}) for row in present),
            "car": sum("car" in row.tags or cats(row) for row in present),
        }


def asked_states(text):
    """Return the states that a generated query names."""
    return {
        state
        for part in text.split("is:")[1:]
        for state in part.split(")")[0].split(" ")[0].split("|")
    }


PIECES = (
    'dog or and not ( ) " > <= 0.5 : in: is: near: taken: added: .. today 2025-06 9999 0001 '
    "1,2,3km - 狗 İ ~ / is:failed| camera:x source:user"
).split()
OTHERS = [" ", "  ", "\0", "\udcff", "\ud800"]


@settings(max_examples=600, deadline=None)
@given(
    text=st.one_of(st.text(), st.lists(st.sampled_from(PIECES + OTHERS), max_size=40).map("".join))
)
def test_any_text_is_answered_or_refused_with_its_column(state_dir, text):
    with open_reader(state_dir) as reader:
        try:
            tree = parse(text, lambda phrase: {phrase} if reader.has_word(phrase) else ())
        except QueryError as error:
            assert "(column " in error.message
            column = int(error.message.rpartition("(column ")[2].split()[0])
            assert 1 <= column <= len(text) + 1
            assert error.remedy
        else:
            assert reader.count(tree) == len(list(reader.find_paths(tree)))


@given(
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.floats(-90, 90),
    st.floats(-180, 180),
)
def test_the_distance_agrees_with_the_chord(lat1, lon1, lat2, lon2):
    expected = chord_km((lat1, lon1), (lat2, lon2))
    assert distance_km(lat1, lon1, lat2, lon2) == pytest.approx(expected, abs=0.5, rel=1e-6)


def test_the_filter_has_something_to_tell_apart():
    """Guards the fixture: every leaf finds some rows and leaves some out."""
    assert {row.state for row in ROWS} == set(STATES)
    assert all(0 < sum(has(row, name, lambda _: True) for row in ROWS) < 120 for name in TREE)
    assert 0 < sum(row.own for row in ROWS) < 60
