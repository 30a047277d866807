"""A library that a watcher fills, as the tests of the watch have it."""

from tests.unit.watch.conftest import jpeg, library  # noqa: F401
