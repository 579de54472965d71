"""What the API says of itself, held against what it does, by requests of every shape."""

import logging
from typing import Any

import pytest
import schemathesis

from serving.access.roles import RULES
from serving.app import create_app
from tests.serving.fuzzing import fuzz


def test_no_request_breaks_it_or_the_schema(
    platform: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(platform))
    seen, operations = fuzz(schema, 25)
    assert seen.total() >= 12 * operations
    assert seen[200] > 0
    assert sum(count for status, count in seen.items() if 400 <= status < 500) > 0


def test_every_described_operation_names_its_scope(platform: Any) -> None:
    document = create_app(platform).openapi()
    described = {
        (method.upper(), path): operation["x-scope"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    undescribed = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc", "/v1/stream"}
    assert described == {
        key: rule.scope.value for key, rule in RULES.items() if key[1] not in undescribed
    }
