"""The JSON of taught labels, as a page or a program asks for it."""

from __future__ import annotations

import pytest

from tagger.index.store import Store
from tests.support.taught import Subjects

HEADERS = {"Origin": "http://localhost"}
EACH = 10


@pytest.fixture
def library(site):
    """Return the ids of photos of twelve subjects, by subject."""
    subjects, ids = Subjects(count=12), {}
    with Store(str(site.state)) as store:
        for subject in range(12):
            for number, row in enumerate(subjects.photos([subject] * EACH)):
                photo = site.saved(store, f"{site.inbox}/{subject}-{number}.jpg")
                with store.transaction() as db:
                    db.execute(
                        "UPDATE predictions SET features = ? WHERE photo_id = ?",
                        (row.tobytes(), photo),
                    )
                ids.setdefault(subject, []).append(photo)
    return ids


def post(client, path, code=200, **arguments):
    answer = client.post(f"/api/v1/taught/{path}", query_string=arguments, headers=HEADERS)
    assert answer.status_code == code, answer.json
    return answer.json


def test_examples_questions_and_answers(client, library):
    assert client.get("/api/v1/taught").json == []
    photos = ",".join(map(str, library[0][:3]))
    state = post(client, "examples", label="Mimi", under="cat", photos=photos)
    assert (state["path"], state["examples"]) == (["animal", "cat", "Mimi"], 3)
    asked = []
    question = client.get("/api/v1/taught/question?label=mimi").json["question"]
    for _ in range(4):
        assert question["id"] not in asked
        assert question["id"] not in library[0][:3]
        asked.append(question["id"])
        said = "yes" if question["id"] in library[0] else "no"
        question = post(client, "answers", label="Mimi", photo=question["id"], answer=said)[
            "question"
        ]
    [state] = client.get("/api/v1/taught").json
    assert state["answers"] == 4
    assert client.get("/api/v1/labels").status_code == 200
    assert client.get("/taught").status_code == 200
    gone = client.delete("/api/v1/taught?label=Mimi", headers=HEADERS)
    assert gone.json == {"count": 7}
    assert client.get("/api/v1/taught").json == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"label": "Mimi"}, 400),
        ({"label": "Mimi", "photos": "x"}, 400),
        ({"label": "Mimi", "photos": "999999"}, 404),
        ({"label": " ", "photos": "1"}, 400),
        ({"label": "dog", "photos": "1"}, 409),
        ({"label": "Mimi", "under": "catt", "photos": "1"}, 409),
        ({"label": "a|b", "photos": "1"}, 409),
        ({"label": "Mimi", "photos": "1", "shows": "perhaps"}, 400),
        ({"label": "Mimi", "photos": ",".join(["1"] * 201)}, 400),
    ],
)
def test_mistakes_are_told(client, library, arguments, code):
    told = post(client, "examples", code, **arguments)
    assert told["error"]
    assert told["remedy"]
    assert client.get("/api/v1/taught").json == []


def test_what_cannot_be_asked_is_told(client, library):
    assert client.get("/api/v1/taught/question?label=Mimi").status_code == 409
    assert client.delete("/api/v1/taught?label=Mimi", headers=HEADERS).status_code == 409
    post(client, "answers", 400, label="Mimi", photo=1, answer="perhaps")
    post(client, "answers", 400, label="Mimi", answer="yes")
    post(client, "suggestions", 409, keyword="garden")
    assert client.get("/api/v1/taught/suggestions").json == []


def test_another_site_s_page_teaches_nothing(client, library):
    photos = ",".join(map(str, library[0][:3]))
    answer = client.post(
        "/api/v1/taught/examples",
        query_string={"label": "Mimi", "photos": photos},
        headers={"Origin": "http://elsewhere.example"},
    )
    assert answer.status_code == 403
    assert client.get("/api/v1/taught").json == []
