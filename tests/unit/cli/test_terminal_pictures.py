"""Photos in terminals: what Kitty and iTerm2 are sent, and that others are sent nothing."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from tagger.cli.terminal_pictures import iterm, kitty, pictures, protocol
from tagger.config.schema import Config


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"}, None),
        ({}, None),
    ],
)
def test_which_terminals_show_pictures(environ, kind):
    assert protocol(environ) == kind


def test_kitty_is_sent_every_pixel_in_parts():
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    sent = kitty(picture)
    parts = re.findall(r"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", sent)
    assert sent == "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in parts)
    assert parts[0][0] == "a=T,f=24,s=80,v=60,m=1"
    assert {keys for keys, _ in parts[1:-1]} == {"m=1"}
    assert parts[-1][0] == "m=0"
    assert all(len(data) <= 4096 for _, data in parts)
    assert base64.b64decode("".join(data for _, data in parts)) == picture.tobytes()


def test_iterm_is_sent_a_jpeg():
    picture = np.full((60, 80, 3), 128, np.uint8)
    match = re.fullmatch(r"\x1b\]1337;File=inline=1;size=(\d+):(.*)\x07", iterm(picture))
    data = base64.b64decode(match[2])
    assert len(data) == int(match[1])
    assert Image.open(io.BytesIO(data)).size == (80, 60)


def test_where_nobody_looks_nothing_is_shown(capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-kitty")
    with pictures(Config()) as show:
        show("/nowhere.jpg")
    assert capsys.readouterr().out == ""
