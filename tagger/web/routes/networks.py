"""The last comparison of two networks: the photos that get other tags, side by side."""

from __future__ import annotations

import os
import time
from typing import Any

from flask import Blueprint, render_template

from tagger.index.reader import Reader
from tagger.library.network_trial import TriedPhoto, kept_trial
from tagger.web.services import Services

MOST = 200
"""Photos on the page."""


def add_network_pages(routes: Blueprint, services: Services) -> None:
    """Add the page to those that answer with HTML."""

    @routes.get("/networks")
    def networks() -> str:
        trial = kept_trial(services.config.state_dir)
        differing = trial.differing if trial is not None else []
        with services.reader() as reader:
            photos = [_shown(reader, one) for one in differing[:MOST]]
        return render_template(
            "networks.html",
            trial=trial,
            differing=len(differing),
            photos=photos,
            when=time.strftime("%Y-%m-%d %H:%M", time.localtime(trial.at)) if trial else "",
        )


def _shown(reader: Reader, photo: TriedPhoto) -> dict[str, Any]:
    row = reader.photo(photo.path)
    return {
        "id": row.id if row is not None else None,
        "name": os.path.basename(photo.path),
        "present": photo.present,
        "other": photo.other,
        "lost": photo.lost,
        "gained": photo.gained,
    }
