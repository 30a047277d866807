"""Makes ``docs/demo.svg``: the demo and some queries as they run in a terminal, moving.

``make pictures`` runs it; it takes a minute. The commands really run, in a terminal of their own;
the weights are those that know the drawn pictures. Waits are cut short, and the name of the
temporary folder is. A viewer that shows nothing move shows the end.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from tagger.cli.demo.scenes import demo_weights

PROJECT = Path(__file__).resolve().parents[1]
PLACE = PROJECT / "docs" / "demo.svg"
COLUMNS, ROWS = 88, 24
LINE, CHAR, EDGE = 19, 8.4, 16
LONGEST_WAIT, LAST_WAIT = 1.2, 5.0
TYPING = 0.045
"""Seconds for each letter of a command."""
LEFT_OUT = re.compile(r"^(Using the weights|Drew|Look closer|Remove it|For your own)")
COLOURS = {"back": "#10151c", "text": "#d5dde6", "prompt": "#7ee787", "quiet": "#8b98a5"}


class Shown(NamedTuple):
    """A line of the terminal, and when it stands there, in seconds; ``typed`` by the user."""

    at: float
    text: str
    typed: bool = False


def recorded(command: Sequence[str], environ: Mapping[str, str]) -> Iterator[tuple[float, str]]:
    """Run a command in a terminal; yield its lines, each with the seconds since the start."""
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.execvpe(command[0], command, environ)
        finally:
            os._exit(127)
    began, rest = time.monotonic(), ""
    with contextlib.suppress(OSError):  # EIO: the other end is gone
        while some := os.read(terminal, 4096):
            *lines, rest = (rest + some.decode()).replace("\r", "").split("\n")
            for line in lines:
                yield time.monotonic() - began, line
    os.close(terminal)
    if os.waitpid(pid, 0)[1]:
        raise SystemExit(f"{' '.join(command)} failed: {rest}")


def story() -> list[Shown]:
    """Run the demo and the queries; return what stood in the terminal."""
    with tempfile.TemporaryDirectory(prefix="cast-") as name:
        folder = Path(name)
        demo_weights(str(folder / "resnet18.pth"))
        environ = os.environ | {
            "HOME": name,
            "TMPDIR": name,
            "LC_ALL": "C.UTF-8",
            "TAGGER_MODEL_DIR": name,
            "PYTHONPATH": str(PROJECT),
        }
        tagger = [sys.executable, "-m", "tagger"]
        film = Film(folder)
        film.run("tagger demo", [*tagger, "demo"], environ)
        (config,) = folder.glob("tagger-demo-*/config.yaml")
        own = [*tagger, "--config", str(config)]
        for text, words, language in (
            (
                "tagger query --explain 'landscape not beach'",
                ["--explain", "landscape not beach"],
                "C",
            ),
            ("tagger query --count mountain", ["--count", "mountain"], "C"),
            ("LANG=de_DE.UTF-8 tagger query --explain strand", ["--explain", "strand"], "de_DE"),
            ("tagger query 海滩", ["海滩"], "C"),
        ):
            film.run(text, [*own, "query", *words], environ | {"LC_ALL": f"{language}.UTF-8"})
        shutil.rmtree(config.parent)
        return film.lines


class Film:
    """Puts what commands print one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = re.compile(re.escape(str(folder)) + r"/tagger-demo-\w+")
        self._now = 0.3
        self.lines: list[Shown] = []

    def run(self, text: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Type ``text``, and show what ``command`` prints."""
        self.lines.append(Shown(self._now, text, typed=True))
        self._now += TYPING * len(text) + 0.4
        before = 0.0
        for at, line in recorded(command, environ):
            self._now += min(max(at - before, 0.02), LONGEST_WAIT)
            before = at
            if not LEFT_OUT.match(line):
                self.lines.append(Shown(self._now, self._folder.sub("/tmp/tagger-demo", line)))
        self._now += 1.2


def svg(lines: Sequence[Shown]) -> str:
    """Return the moving picture (SVG 1.1 with SMIL, which browsers play in an <img>, too)."""
    total = lines[-1].at + LAST_WAIT
    width, height = round(COLUMNS * CHAR + 2 * EDGE), ROWS * LINE + 2 * EDGE
    moves = [(line.at, -LINE * (number + 1 - ROWS)) for number, line in enumerate(lines)]
    moves = [(0.0, 0), *((at, shift) for at, shift in moves if shift < 0)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        ' role="img" aria-labelledby="title">',
        '<title id="title">tagger demo and tagger query in a terminal</title>',
        f'<rect width="100%" height="100%" rx="10" fill="{COLOURS["back"]}"/>',
        f'<clipPath id="screen"><rect width="{width}" height="{height - EDGE}"/></clipPath>',
        '<g clip-path="url(#screen)"><g font-family="ui-monospace, Menlo, Consolas, monospace"'
        f' font-size="14" xml:space="preserve" style="white-space:pre"'
        f' transform="translate(0 {moves[-1][1]})">',
        _animated("animateTransform", "transform", moves, total, ' type="translate"', "0 {}"),
    ]
    for number, line in enumerate(lines):
        y = EDGE + LINE * (number + 1) - 5
        if line.typed:
            parts.append(_typed(line, y, total))
        elif line.text:
            colour = COLOURS["quiet" if line.text.startswith("$") else "text"]
            text = f"{_cut(line.text)}{_appears(line.at, total)}"
            parts.append(f'<text x="{EDGE}" y="{y}" fill="{colour}">{text}</text>')
    return "\n".join([*parts, "</g></g>", "</svg>", ""])


def _typed(line: Shown, y: int, total: float) -> str:
    """Return a command that is typed letter by letter; in preserved text no line may be broken."""
    prompt = (
        f'<text x="{EDGE}" y="{y}" fill="{COLOURS["prompt"]}">${_appears(line.at, total)}</text>'
    )
    step = max(1, len(line.text) // 12)
    letters = "".join(
        f"<tspan>{escape(line.text[start : start + step])}"
        f"{_appears(line.at + 0.2 + TYPING * start, total)}</tspan>"
        for start in range(0, len(line.text), step)
    )
    start = EDGE + 2 * CHAR
    fill = COLOURS["text"]
    return f'{prompt}<text x="{start}" y="{y}" fill="{fill}" font-weight="bold">{letters}</text>'


def _cut(text: str) -> str:
    """Return a line as wide as the screen; not every browser keeps spaces that stand together."""
    line = text if len(text) <= COLUMNS else text[: COLUMNS - 1] + "…"
    return escape(re.sub(r"^ +| {2,}", lambda found: "\u00a0" * len(found[0]), line))


def _appears(at: float, total: float) -> str:
    return _animated("animate", "visibility", [(0.0, "hidden"), (at, "visible")], total)


def _animated(
    kind: str,
    attribute: str,
    steps: Sequence[tuple[float, object]],
    total: float,
    more: str = "",
    form: str = "{}",
) -> str:
    values = ";".join(form.format(value) for _, value in steps)
    times = ";".join(f"{at / total:.4f}".rstrip("0").rstrip(".") or "0" for at, _ in steps)
    return (
        f'<{kind} attributeName="{attribute}"{more} values="{values}" keyTimes="{times}"'
        f' calcMode="discrete" dur="{total:.1f}s" repeatCount="indefinite"/>'
    )


def main() -> None:
    """Write the picture."""
    signal.alarm(300)
    PLACE.write_text(svg(story()), encoding="utf-8")
    print(f"{PLACE.relative_to(PROJECT)}: {PLACE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
