"""What all tests share: where real data lies, and settings that the machine cannot disturb."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    """Folder of real market data; tests that need it skip where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no real market data at {DATA}")
    return DATA


@pytest.fixture(autouse=True)
def _no_foreign_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("TICKPATH_") and name != "TICKPATH_ROOT":
            monkeypatch.delenv(name)
