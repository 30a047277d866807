"""Records are read from JSON as strictly as their types say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from tagger.text.json_records import Moment, read_record, read_value


@dataclass(frozen=True)
class Inner:
    name: str
    kind: Literal["cat", "dog"] = "dog"


@dataclass(frozen=True)
class Outer:
    pair: tuple[int, str]
    inner: tuple[Inner, ...]
    share: float = 0.5
    at: Moment | None = None
    sound: bool = True


FULL = {
    "pair": [1, "a"],
    "inner": [{"name": "x"}, {"name": "y", "kind": "cat", "of a later version": 1}],
    "share": 1,
    "at": 12.5,
    "sound": False,
}


def test_a_record_is_read_with_all_in_it() -> None:
    inner = (Inner("x"), Inner("y", "cat"))
    assert read_record(Outer, FULL) == Outer((1, "a"), inner, 1.0, 12.5, False)
    assert read_record(Outer, {"pair": [1, "a"], "inner": []}) == Outer((1, "a"), ())


@pytest.mark.parametrize(
    "change",
    [
        {"pair": [1]},
        {"pair": [True, "a"]},
        {"pair": "1a"},
        {"inner": [{"kind": "cat"}]},
        {"inner": [{"name": "x", "kind": "cow"}]},
        {"inner": [{"name": "x", "kind": ["cat"]}]},
        {"inner": ["x"]},
        {"inner": None},
        {"share": "1"},
        {"share": 10**400},
        {"at": -1},
        {"at": 1e300},
        {"at": True},
        {"sound": 1},
    ],
)
def test_what_is_of_another_kind_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        read_record(Outer, FULL | change)


@pytest.mark.parametrize("value", [None, [], "text", {}])
def test_what_is_no_such_object_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        read_record(Inner, value)
    assert read_value(str, "text") == "text"
