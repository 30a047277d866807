"""The page speaks the language that its reader's browser asks for."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from tagger.index.store import Store
from tagger.library.status import page_status_json
from tagger.records import FileStat

PAGES = ("/", "/library", "/duplicates", "/labels", "/taught", "/failures")


def shown(client, path, language=None):
    headers = {"Accept": "text/html"}
    if language is not None:
        headers["Accept-Language"] = language
    return client.get(path, headers=headers)


@pytest.mark.parametrize(
    ("asked", "spoken", "word"),
    [
        (None, "en", "Library"),
        ("de-DE,de;q=0.9,en;q=0.8", "de", "Bibliothek"),
        ("pl,fr;q=0.8,de;q=0.3", "fr", "Photothèque"),
        ("en;q=0.2,es;q=0.9", "es", "Biblioteca"),
        ("zh-Hans-CN", "zh", "图库"),
        ("ja", "ja", "ライブラリ"),
        ("tlh", "en", "Library"),
        ("*", "en", "Library"),
        (";;q=x,,=", "en", "Library"),
    ],
)
def test_each_page_is_in_the_browsers_language(site, client, asked, spoken, word):
    site.add("a.jpg")
    for path in PAGES:
        answer = shown(client, path, asked)
        assert answer.status_code == 200
        assert f'<html lang="{spoken}">' in answer.text and word in answer.text
        assert answer.headers["Content-Language"] == spoken
        assert "Accept-Language" in answer.headers["Vary"]
        assert (f"catalogues/{spoken}.js" in answer.text) == (spoken != "en")


def test_the_scripts_messages_are_served(site, client):
    site.add("a.jpg")
    answer = client.get("/static/catalogues/de.js")
    assert answer.status_code == 200 and "Auf dem neuesten Stand" in answer.text
    assert "javascript" in answer.mimetype
    answer.close()


def test_a_photos_page_and_numbers_are_in_the_language(site, client):
    number = site.add("a.jpg")
    text = shown(client, f"/photos/{number}", "de").text
    assert "Warum" not in text or "Schlagwörter" in text
    assert "Am häufigsten" not in text and ">Ähnliche Fotos<" in text and "90,0 %" in text
    assert ">Similar photos<" in shown(client, f"/photos/{number}", "en").text
    assert "90.0 %" in shown(client, f"/photos/{number}", "en").text


def test_an_error_is_on_a_page_in_the_language(site, client):
    site.add("a.jpg")
    answer = shown(client, "/photos/99", "de")
    assert answer.status_code == 404 and '<html lang="de">' in answer.text
    assert "Zur Bibliothek" in answer.text and "dieses Foto gibt es nicht" in answer.text
    answer = shown(client, "/library?q=(dog", "ja")
    assert answer.status_code == 400 and "`(` が閉じられていません" in answer.text


def test_the_language_of_the_tags_is_spoken_to_a_browser_that_says_nothing(site, open_site):
    site.add("a.jpg")
    labels = dataclasses.replace(site.config.labels, language="ja")
    client = open_site(config=dataclasses.replace(site.config, labels=labels))
    assert '<html lang="ja">' in shown(client, "/library").text
    assert '<html lang="fr">' in shown(client, "/library", "fr").text


def test_json_is_the_same_in_every_language(site, client):
    site.add("a.jpg")
    for path in ("/api/v1/photos", "/api/v1/photos/99", "/api/v1/labels"):
        plain, german = client.get(path), client.get(path, headers={"Accept-Language": "de"})
        assert plain.json == german.json and plain.status_code == german.status_code
        assert "Content-Language" not in german.headers


def test_only_the_pages_own_scripts_are_told_errors_in_the_language(site, client):
    site.add("a.jpg")
    asked = {"Accept-Language": "de", "X-Tagger-Page": "yes"}
    told = client.get("/api/v1/photos/99", headers=asked).json
    assert told["said"]["error"] == "dieses Foto gibt es nicht"
    assert told["said"]["remedy"] == "es noch einmal suchen"
    assert told["error"] == "there is no such photo"
    assert "said" not in client.get("/api/v1/photos/99").json


def test_what_the_daemon_says_of_itself_is_told_to_a_page_in_the_language(site, open_site):
    site.add("a.jpg")
    status = page_status_json(site.config) | {
        "problem": "the index cannot be written: database or disk is full; it is tried again soon",
        "paused_reason": "paused until `tagger resume`",
    }
    client = open_site(status=lambda: status)
    text = client.get("/api/v1/events?page=yes", headers={"Accept-Language": "es"}).text
    told = json.loads(text.split("data: ")[1].split("\n")[0])
    assert told["problem"] == status["problem"]
    assert told["said"] == {
        "problem": "no se puede escribir en el índice: la base de datos o el disco están llenos;"
        " se intentará de nuevo pronto",
        "notice": "",
        "paused_reason": "en pausa hasta `tagger resume`",
    }
    plain = client.get("/api/v1/events", headers={"Accept-Language": "es"}).text
    assert '"said"' not in plain


def test_why_photos_failed_is_on_the_page_in_the_language(site, client):
    number = site.add("a.jpg")
    with Store(str(site.state)) as store:
        path = store.read("SELECT path FROM photos WHERE id = ?", (number,))[0]["path"]
        store.fail(
            os.fsdecode(path), str(site.inbox), FileStat(1, 1), None, kind="K",
            reason="cannot read /p/a.jpg: Input/output error; check the disk", permanent=False,
        )  # fmt: skip
    assert "无法读取 /p/a.jpg：输入/输出错误; 请检查磁盘" in shown(client, "/failures", "zh").text
    assert "Input/output error" in shown(client, "/failures", "en").text


def test_what_a_message_names_cannot_bring_markup(site, client):
    number = site.add("<b>x.jpg")
    text = shown(client, f"/photos/{number}", "de").text
    assert "Das Foto &lt;b&gt;x.jpg" in text and "<b>x" not in text
