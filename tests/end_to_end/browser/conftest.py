"""A real Chromium before a real daemon with a small library, once for all tests here."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import struct
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tagger.web.auth.passwords import make_hash
from tests.conftest import PROJECT, Home, wait_until

PHOTOS = 75
"""More than a page of the gallery."""

PASSWORD = "correct horse battery"

AXE = PROJECT / "build" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
).split()
_FAILED = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")

expect.set_options(timeout=60_000)


def missing(what: str) -> None:
    """Skip the test, or fail where everything must have been installed."""
    if "TAGGER_CI" in os.environ:
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        missing("there is no `chromium`, as of Debian's package of that name")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the text of axe-core, a script that finds what shuts people out of a page."""
    if not AXE.exists():
        missing("there is no axe-core: npm install --prefix build --no-save axe-core")
    return AXE.read_text(encoding="utf-8")


def commented(jpeg: bytes, comment: str) -> bytes:
    """Return the same picture in other bytes."""
    data = comment.encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(data)) + data + jpeg[2:]


class Site:
    """A home whose daemon serves the page at ``url``; what was logged tells where."""

    def __init__(self, home: Home) -> None:
        self.home = home
        home.daemons = []
        home.start()
        said = wait_until(self._address, 300)
        self.url = said.rstrip("/")

    def _address(self) -> str | None:
        for line in self.home.logged():
            match = re.search(r"the page is at (http://\S+)", line["message"])
            if match:
                return match[1]
        return None

    def ask(self, path: str) -> Any:
        """Return the JSON at ``path``."""
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return json.load(answer)

    def stop(self) -> None:
        for daemon in self.home.daemons:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(20)


@pytest.fixture(scope="session")
def make_site(
    tmp_path_factory: pytest.TempPathFactory,
    demo_weights: Path,
    converted_demo: Callable[[Path], Path],
) -> Iterator[Callable[..., Site]]:
    """Return a function that starts the daemon of a home; ``fill`` puts photos into its inbox."""
    made: list[Site] = []

    def start(fill: Callable[[Path], object], detector: Path | None = None, **web: Any) -> Site:
        more: dict[str, Any] = {}
        if detector is not None:
            weights = {"weights": str(demo_weights), "download": False, "scenes": "none"}
            more["model"] = weights | {"detector": str(detector)}
        home = Home(
            tmp_path_factory.mktemp("site"),
            demo_weights,
            web={"enabled": True, "listen": "127.0.0.1:0"} | web,
            settle_seconds=0.2,
            **more,
        )
        home.converted = lambda: converted_demo(demo_weights)
        fill(home.inbox)
        made.append(Site(home))
        return made[-1]

    yield start
    for site in made:
        site.stop()


@pytest.fixture(scope="session")
def site(make_site: Callable[..., Site], scenes: list[Path]) -> Site:
    """Return a daemon that has tagged PHOTOS photos, and failed at one."""

    def fill(inbox: Path) -> None:
        jpegs = [scene for scene in scenes if scene.suffix == ".jpg"]
        for number in range(PHOTOS):
            scene = jpegs[number % len(jpegs)]
            folder = inbox / ("holiday" if number % 3 else "at home")
            folder.mkdir(exist_ok=True)
            path = folder / f"{scene.stem} {number:03}.jpg"
            path.write_bytes(commented(scene.read_bytes(), f"photo {number}"))
        (inbox / "broken.jpg").write_bytes(b"\xff\xd8\xff" + bytes(100))

    made = make_site(fill)
    wait_until(lambda: made.ask("/api/v1/count")["count"] == PHOTOS, 300)
    wait_until(lambda: made.ask("/api/v1/failures"), 300)
    return made


@pytest.fixture(scope="session")
def locked_site(make_site: Callable[..., Site]) -> Site:
    """Return a daemon whose page asks for PASSWORD, and that has no photos."""
    password = make_hash(PASSWORD, cost=10)
    return make_site(lambda inbox: None, password=password)


@dataclass
class Seen:
    """What a page did besides what it shows. ``allowed`` are HTTP statuses that may come."""

    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    allowed: set[int] = field(default_factory=set)

    def console(self, message: ConsoleMessage) -> None:
        refused = _FAILED.match(message.text)
        if refused and int(refused[1]) in self.allowed:
            return
        # So many streams at once; those of pages just closed end within a second.
        if refused and refused[1] == "503" and "/api/v1/events" in message.location["url"]:
            return
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("blob", "data"):
            self.hosts.add(parts.netloc)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def open_page(browser: Browser, site: Site, seen: Seen) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page of the site; ``options`` are those of a context.

    In the end no page may have complained, or asked another host for anything.
    """
    contexts: list[BrowserContext] = []

    def opened(path: str = "/", at: Site = site, **options: Any) -> Page:
        context = browser.new_context(base_url=at.url, **options)
        contexts.append(context)
        context.on("request", seen.request)
        page = context.new_page()
        page.on("console", seen.console)
        page.on("filechooser", lambda chooser: None)  # none opens from here on
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert seen.errors == []
    assert all(host.startswith("127.0.0.1:") for host in seen.hosts), seen.hosts
