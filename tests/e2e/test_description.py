"""Requests of every shape against a running platform: nothing breaks, and no schema."""

from collections.abc import Callable
from pathlib import Path

import pytest
import schemathesis

from tests.e2e.stack import platform
from tests.serving.fuzzing import fuzz

pytestmark = pytest.mark.servers
# Requests for each operation; the full count is a hundred thousand over all of them.
COUNTS = [40, pytest.param(2_800, marks=pytest.mark.proof)]


@pytest.mark.parametrize("each", COUNTS)
@pytest.mark.timeout(7_200)
def test_no_request_breaks_the_platform_or_its_schema(
    made: Path, tmp_path: Path, each: int, record_property: Callable[[str, object], None]
) -> None:
    with platform(made, tmp_path / "home") as running:
        schema = schemathesis.openapi.from_url(f"{running.client.url}/openapi.json")
        seen, operations = fuzz(schema, each)
        assert running.serving.alive
        assert running.client.call("GET", "/healthz")[0] == 200
    record_property("operations", operations)
    record_property("requests", seen.total())
    record_property("statuses", dict(sorted(seen.items())))
    assert seen.total() >= each * operations // 2
