"""The page of a home whose one photo is tagged, and what the photo's files say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from tagger.config.loader import load_config
from tagger.index.reader import open_reader
from tagger.labels.vocabulary import load_vocabulary
from tagger.metadata import json_sidecar
from tagger.metadata.managed_file import container_packet
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp import properties
from tagger.web.app import create_app
from tagger.web.auth.request_checks import allowed_hosts
from tagger.web.services import Services

PAGE = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says of a request that the page itself makes."""


def opened(home: Any, **services: Any) -> FlaskClient:
    """Return a client of the page of a home's config, without what makes pictures."""
    config = load_config(str(home.config))
    given = {
        "config": config,
        "vocabulary": load_vocabulary(),
        "classifier": None,
        "gallery": None,
        "reader": lambda: open_reader(config.state_dir),
        "status": dict,
        "hosts": allowed_hosts(config.web.listen),
    }
    return create_app(Services(**(given | services))).test_client()


def words_in(photo: Path, target: str) -> list[str]:
    """Return the plain keywords in the file that tags go to; [] without it."""
    if target == "embed":
        packet = container_packet(photo.read_bytes())
        return list(xmp_packet.parse(packet).texts(properties.SUBJECT)) if packet else []
    file = Path(f"{photo}.xmp" if target == "sidecar-xmp" else f"{photo}.tags.json")
    if not file.exists():
        return []
    if target == "sidecar-json":
        return list(json_sidecar.labels_in(json_sidecar.parse(file.read_bytes())))
    return list(xmp_packet.parse(file.read_bytes()).texts(properties.SUBJECT))


def labels(details: dict[str, Any], source: str) -> list[str]:
    return [tag["label"] for tag in details["tags"] if tag["source"] == source]
