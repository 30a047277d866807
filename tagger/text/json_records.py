"""Records from JSON, read as strictly as the types of their fields say."""

from __future__ import annotations

import contextlib
import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

T = TypeVar("T")

Moment = Annotated[float, "moment"]
"""Seconds since the epoch, at which a clock may be."""
_LATEST = 1e11
"""What is later is no time that can be shown."""


@functools.cache
def hints_of(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def read_record(kind: type[T], value: Any) -> T:
    """Return the dataclass ``kind`` of an object of JSON that has its fields by name.

    Those with a default may be missing, and others be there that are not known. Raise ValueError,
    also as :func:`read_value`.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{kind.__name__}: it is no object")
    hints = hints_of(kind)  # type: ignore[arg-type]
    for one in fields(kind):  # type: ignore[arg-type]
        if one.name not in value and one.default is one.default_factory is MISSING:
            raise ValueError(f"{kind.__name__}: there is no {one.name}")
    found = {name: read_value(hint, value[name]) for name, hint in hints.items() if name in value}
    return kind(**found)


def read_value(hint: Any, value: Any) -> Any:
    """Return what a value of JSON is as the type ``hint``; nothing is converted but int to float.

    Types are str, bool, int, float, :data:`Moment`, Literal, tuples, dataclasses, and these or
    None. Raise ValueError for a value of another one.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (typing.Union, types.UnionType):
        [inner] = [one for one in arguments if one is not types.NoneType]
        return None if value is None else read_value(inner, value)
    if origin is tuple:
        values = _of(value, list, tuple)
        every = arguments[:1] * len(values) if arguments[1:] == (...,) else arguments
        return tuple(read_value(one, each) for one, each in zip(every, values, strict=True))
    if origin is Literal and value in arguments:
        return value
    if is_dataclass(hint):
        return read_record(hint, value)  # type: ignore[arg-type]
    if hint is float or (origin is Annotated and 0 <= _of(value, int, float) < _LATEST):
        with contextlib.suppress(OverflowError):
            return float(_of(value, int, float))
    return _of(value, hint)


def _of(value: Any, *kinds: Any) -> Any:
    """Return ``value``; raise ValueError unless it is exactly of one of the ``kinds``."""
    if type(value) not in kinds:
        raise ValueError(f"{value!r:.100} is of another kind")
    return value
