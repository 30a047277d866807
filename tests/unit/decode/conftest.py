"""Files to decode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tagger.decode.opening import decode
from tagger.records import CropSpec, DecodedPhoto

SPEC = CropSpec()


@pytest.fixture
def decoded(tmp_path: Path) -> Callable[..., DecodedPhoto]:
    """Return a function that writes bytes under a name and decodes that file."""

    def write_and_decode(
        name: str, data: bytes, spec: CropSpec = SPEC, **options: object
    ) -> DecodedPhoto:
        path = tmp_path / name
        path.write_bytes(data)
        return decode(str(path), spec, **options)  # type: ignore[arg-type]

    return write_and_decode
