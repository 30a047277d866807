"""The small library of real files that the page's tests have, and the page before it."""

from tests.unit.web.conftest import *  # noqa: F403
