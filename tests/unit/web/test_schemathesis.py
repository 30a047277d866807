"""What schemathesis makes of the API's description: no request fails, no answer is undescribed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, openapi
from schemathesis.specs.openapi import checks

from tests.unit.web.conftest import jpeg

EXAMPLES = 15
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
UNAVAILABLE = 503
"""Described, and right where no daemon runs."""


@pytest.fixture
def photos(site) -> list[int]:
    facts = {"camera": "Pixel", "latitude": 1.0, "longitude": 2.5}
    return [
        site.add("dog.jpg", "beagle", data=jpeg(), **facts),
        site.add("cat.jpg", "cat", data=jpeg(colour="red")),
    ]


def ask(operation: Any, mode: GenerationMode, photos: list[int]) -> set[int]:
    """Send generated requests of one operation; return the statuses of the answers."""
    answers = set()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: Any) -> None:
        if operation.path == "/api/v1/events":  # else it goes on for long
            case.query = {**(case.query or {}), "seconds": 0}
        number = case.path_parameters.get("photo_id")
        if isinstance(number, int) and number % 3:  # of two in three there is a photo
            case.path_parameters["photo_id"] = photos[number % 3 - 1]
        answer = case.call(headers={"Origin": "http://localhost"})
        answers.add(answer.status_code)
        assert answer.status_code < 500 or answer.status_code == UNAVAILABLE, answer.text
        case.validate_response(answer, checks=CHECKS)

    asked()
    return answers


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_operation_fails_or_answers_what_is_not_described(client, photos, mode):
    schema = openapi.from_wsgi("/api/v1/openapi.json", client.application)
    answers = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        try:
            answers[operation.label] = ask(operation, mode, photos)
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # it has no arguments
    if mode is GenerationMode.POSITIVE:
        assert len(answers) == len(list(schema.get_all_operations()))
        assert sum(200 in seen for seen in answers.values()) > len(answers) / 2, answers
    else:
        assert len(answers) > 8
        assert 400 in answers["GET /api/v1/photos"]
