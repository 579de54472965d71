"""Small generated files in the formats of the loaders, and the real data where it is present."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.config import MarketConfig
from core.instruments import DEFAULT_INSTRUMENTS, Instrument

REAL_DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real data at {REAL_DATA}")
    return REAL_DATA


@pytest.fixture
def eurusd() -> Instrument:
    return DEFAULT_INSTRUMENTS.by_symbol("EURUSD")


@pytest.fixture
def config() -> MarketConfig:
    return MarketConfig()


@pytest.fixture
def lenient() -> MarketConfig:
    return MarketConfig(max_bad_rows=0.9)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file into the test's own folder."""

    def _write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write
