"""What tags of what a file says it is (``labels.kinds``) are called in other languages."""

from __future__ import annotations

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
