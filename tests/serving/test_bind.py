"""Serving listens on loopback only."""

import pytest

from core.errors import SettingsError
from serving.bind import require_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_is_taken(host: str) -> None:
    assert require_loopback(host) == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_anything_else_is_refused_with_the_reason(host: str) -> None:
    with pytest.raises(SettingsError, match="no authentication"):
        require_loopback(host)
