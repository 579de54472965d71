"""Requests of every shape for every operation that the API describes."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = (content_type_conformance, response_schema_conformance, status_code_conformance)


def fuzz(schema: Any, each: int) -> tuple[Counter[int], int]:
    """Send `each` requests to each operation; return counts by status, and of operations."""
    seen: Counter[int] = Counter()
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        _sender(operation, each, seen)()
    return seen, len(operations)


def _sender(operation: Any, each: int, seen: Counter[int]) -> Callable[[], None]:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=each, deadline=None, database=None, derandomize=True,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def send(case: Any) -> None:
        answer = case.call()
        seen[answer.status_code] += 1
        # 503 is an answer: what was asked for is not there yet.
        assert answer.status_code < 500 or answer.status_code == 503, (case, answer.text)
        case.validate_response(answer, checks=CHECKS)

    return send
