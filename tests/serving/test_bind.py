"""Serving listens on loopback only, unless callers need keys."""

import pytest

from core.config import ServingConfig
from core.errors import SettingsError
from serving.bind import require_safe

ELSEWHERE = ["0.0.0.0", "::", "10.0.0.1", "example.org", ""]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_is_taken(host: str) -> None:
    assert require_safe(ServingConfig(host=host)) == host


@pytest.mark.parametrize("host", ELSEWHERE)
def test_anything_else_is_refused_with_the_reason(host: str) -> None:
    with pytest.raises(SettingsError, match="without authentication"):
        require_safe(ServingConfig(host=host))


@pytest.mark.parametrize("host", ELSEWHERE)
def test_anything_else_is_taken_with_keys(host: str) -> None:
    assert require_safe(ServingConfig(host=host, keys="keys.json")) == host


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(SettingsError, match="belong together"):
        require_safe(ServingConfig(certificate="serving.pem"))
