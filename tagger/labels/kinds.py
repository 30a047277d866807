"""What a file says it is (``labels.kinds``), as tags: what they are called in other languages."""

from __future__ import annotations

from collections.abc import Sequence

from tagger.records import Tag

KIND_NAMES = {
    "zh": {
        "screenshot": "截图",
        "panorama": "全景照片",
        "selfie": "自拍",
        "portrait": "人像模式",
        "burst": "连拍",
        "motion photo": "动态照片",
        "edited": "已编辑",
    }
}


def kind_tags(kinds: Sequence[str]) -> list[Tag]:
    """Return what the file says as tags; it is sure."""
    return [Tag(kind, 1.0, (kind,)) for kind in kinds]


def kind_name(kind: str, language: str) -> str | None:
    """Return what ``kind`` is called in ``language``; None for what is no kind, or in English."""
    return KIND_NAMES.get(language, {}).get(kind)
