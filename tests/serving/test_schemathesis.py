"""Requests made up from the OpenAPI document: every answer is one that the document names."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

PREDICT = "POST /v1/predict"  # the only one with something to get wrong
OPERATIONS = {
    PREDICT: 60,
    "GET /v1/labels": 10,
    "GET /healthz": 10,
    "GET /readyz": 10,
    "GET /metrics": 10,
}


@pytest.fixture(scope="session")
def document(live):
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{live.port}/openapi.json")


def test_all_operations_are_tried(document):
    found = {
        f"{each.ok().method.upper()} {each.ok().path}" for each in document.get_all_operations()
    }
    assert found == set(OPERATIONS)


@pytest.mark.parametrize(
    ("kind", "name"), [*(("positive", name) for name in OPERATIONS), ("negative", PREDICT)]
)
def test_documented_answers(document, kind, name):
    """Requests as the document describes them, and requests that break it on purpose."""
    method, path = name.split()
    operation = document[path][method]
    mode = schemathesis.GenerationMode(kind)
    checks = [
        schemathesis.checks.not_a_server_error,
        schemathesis.checks.status_code_conformance,
        schemathesis.checks.content_type_conformance,
        schemathesis.checks.response_schema_conformance,
    ]
    statuses = set()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=OPERATIONS[name],
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answered(case):
        response = case.call()
        statuses.add(response.status_code)
        case.validate_response(response, checks=checks)

    answered()
    assert statuses
    assert max(statuses) < 500
