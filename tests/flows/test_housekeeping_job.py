"""What is old goes, what anybody may need stays."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from core.config import Config, StorageConfig
from flows.housekeeping_job import Swept, housekeeping
from registry.loading import RegisteredVersion
from registry.opening import open_registry
from registry.promotion_ledger import Standing

DAY_NS = 86_400 * 10**9
NOW_NS = 20_000 * DAY_NS
MODEL = "direction-EURUSD"


class At:
    """A clock that stands."""

    def now_ns(self) -> int:
        return NOW_NS

    def monotonic_ns(self) -> int:
        return NOW_NS


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    return replace(Config(), storage=StorageConfig(home=tmp_path / "var"))


def left(path: Path, days_ago: float, *, folder: bool = False) -> Path:
    """Leave something behind as of some days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if folder:
        path.mkdir()
        (path / "file").write_bytes(b"1234")
    else:
        path.write_bytes(b"1234")
    ns = int(NOW_NS - days_ago * DAY_NS)
    os.utime(path, ns=(ns, ns))
    return path


def sweep(config: Config) -> dict[str, Swept]:
    return {one.kind: one for one in housekeeping(config, At())}


def test_old_recordings_go_and_the_newest_stays_however_old(config: Config) -> None:
    sessions = config.storage.home / "sessions"
    old, newest = left(sessions / "a.events", 90), left(sessions / "b.events", 60)
    assert sweep(config)["recordings"] == Swept("recordings", (old.name,), 4)
    assert newest.exists()
    assert not old.exists()


def test_nothing_goes_when_everything_is_to_be_kept(config: Config) -> None:
    sessions = config.storage.home / "sessions"
    old = left(sessions / "a.events", 900)
    left(sessions / "b.events", 60)
    keep = replace(config.housekeeping, sessions_days=0.0)
    assert sweep(replace(config, housekeeping=keep))["recordings"].removed == ()
    assert old.exists()


def _version(number: str) -> RegisteredVersion:
    return RegisteredVersion(MODEL, number, "mlflow-artifacts:/x", number * 64)


def test_copies_that_a_roll_back_may_need_stay(config: Config) -> None:
    copies = {n: left(config.storage.home / "models" / MODEL / n, 90, folder=True) for n in "12345"}
    young = left(config.storage.home / "models" / MODEL / "6", 1, folder=True)
    with open_registry(config) as registry:
        entry = None
        for champion, watched in (("1", "5"), ("2", "5"), ("3", "4")):
            entry = registry.ledger.append(
                entry, model=MODEL, action="promote", actor="a", reason="", version=champion,
                standing=Standing(champion=_version(champion), bootstrap=_version(watched)),
            )  # fmt: skip
    assert sweep(config)["local copies"].removed == ("5",)
    assert [n for n, path in copies.items() if path.exists()] == ["1", "2", "3", "4"]
    assert young.exists()


def test_copies_of_a_model_without_history_stay(config: Config) -> None:
    copy = left(config.storage.home / "models" / MODEL / "1", 90, folder=True)
    assert sweep(config)["local copies"].removed == ()
    assert copy.exists()


def test_what_a_killed_run_left_goes_after_a_day(config: Config) -> None:
    home, scratch = config.storage.home, Path(config.storage.home).parent / "scratch"
    gone = [
        left(home / "models" / MODEL / ".7-abc", 2, folder=True),
        left(home / "datasets" / ".EURUSD-1-abc", 2, folder=True),
        left(scratch / "tickpath-artifact-x", 2, folder=True),
        left(home / "prefect" / "results" / "r1", 8),
    ]
    stays = [
        left(home / "models" / MODEL / ".8-abc", 0.5, folder=True),
        left(scratch / "tickpath-artifact-y", 0.5, folder=True),
        left(scratch / "somebody-else", 90, folder=True),
        left(home / "prefect" / "results" / "r2", 6),
    ]
    housekeeping(config, At())
    assert [path.exists() for path in (*gone, *stays)] == [False] * 4 + [True] * 4


def test_an_empty_home_is_swept_too(config: Config) -> None:
    assert all(one.removed == () for one in housekeeping(config, At()))
