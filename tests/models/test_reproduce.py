"""A version comes out again to the byte, and what stands in the way is named."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from core.columns import QuoteColumns
from core.config import DecisionConfig, TrainingConfig
from core.costs import CostModel
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from market.simulator import simulate
from models.dataset import build_dataset, spec_for
from models.export import write_artifact
from models.manifest import Manifest
from models.reproduce import reproduce
from models.training import train
from storage.parquet import TickStore
from trading.decision import decide

EURUSD = DEFAULT_INSTRUMENTS.by_symbol("EURUSD")
COSTS = CostModel(slippage_pips=0.15, commission_pips=0.05)

NETWORK = {"window": 8, "channels": 4, "epochs": 2, "epoch_rows": 500}


@pytest.fixture(scope="module")
def columns() -> QuoteColumns:
    return simulate(EURUSD, seed=3, days=4).columns


def version(folder: Path, columns: QuoteColumns, **changes: object) -> tuple[Manifest, TickStore]:
    """Store quotes, train on what the store gives back, and write the artifact."""
    config = replace(TrainingConfig(trees=40, folds=2, embargo_samples=20), **changes)
    store = TickStore(folder / "ticks")
    store.append("EURUSD", columns)
    stored = store.read("EURUSD")
    dataset = build_dataset(
        stored,
        "EURUSD",
        spec_for(stored, config),
        EURUSD.pip,
        config,
        COSTS,
        data_hash=store.snapshot_hash("EURUSD"),
    )
    result = train(dataset, config, decide, COSTS, DecisionConfig(), EURUSD.pip)
    manifest, _ = write_artifact(folder / "model", result, dataset, code_revision="abc")
    return manifest, store


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"early_stopping": 0, "calibration": "isotonic"},
        {"label": "barrier", "barrier_pips": 2.0, "seed": 11},
        {"family": "tcn", **NETWORK},
        {"family": "gru", **NETWORK},
    ],
    ids=["default", "isotonic", "barrier", "tcn", "gru"],
)
def test_a_version_reproduces_to_the_byte(
    tmp_path: Path, columns: QuoteColumns, changes: dict[str, object]
) -> None:
    manifest, store = version(tmp_path, columns, **changes)
    again = reproduce(manifest, store, EURUSD, "abc")
    assert again.equal, again.differences
    file = "model.onnx" if "family" in changes else "model.ubj"
    assert again.found_sha256 == manifest.files[file].sha256
    assert reproduce(manifest, store, EURUSD, "def", any_code=True).equal


@pytest.mark.parametrize(
    ("changes", "file"), [({}, "model.ubj"), ({"family": "tcn", **NETWORK}, "model.onnx")]
)
def test_other_settings_do_not_reproduce_and_say_what_differs(
    tmp_path: Path, columns: QuoteColumns, changes: dict[str, object], file: str
) -> None:
    manifest, store = version(tmp_path, columns, **changes)
    other = msgspec.structs.replace(manifest, training={**manifest.training, "seed": 99})
    again = reproduce(other, store, EURUSD, "abc")
    assert not again.equal
    assert again.file == file
    assert again.differences[0].startswith(
        f"{file} has SHA-256 {again.found_sha256}, the version's"
    )
    moved = msgspec.structs.replace(manifest, expected_move_pips=9.0)
    assert "the expected move came out as" in reproduce(moved, store, EURUSD, "abc").differences[0]


def test_what_stands_in_the_way_is_named(tmp_path: Path, columns: QuoteColumns) -> None:
    manifest, store = version(tmp_path, columns)

    def refused(said: str, **changes: object) -> None:
        with pytest.raises(BadInput, match=said):
            reproduce(msgspec.structs.replace(manifest, **changes), store, EURUSD, "abc")

    with pytest.raises(BadInput, match="code is of revision def, the version was made by abc"):
        reproduce(manifest, store, EURUSD, "def")
    refused("xgboost is .* here, the version was made with 1.7", libraries={"xgboost": "1.7"})
    refused(
        "numpy is .* made with an unknown", libraries={"xgboost": manifest.libraries["xgboost"]}
    )
    refused("feature spec 'full-bar' has fingerprint", spec_fingerprint="0" * 16)
    refused("too old", training={})
    refused("cannot read the version's training", training={**manifest.training, "trees": "x"})
    refused("the holdout would start", holdout_start_ns=manifest.holdout_start_ns + 1)
    late = columns[-200:]
    store.append("EURUSD", replace(late, ts=late.ts + np.int64(10**15)))
    refused("stored quotes of EURUSD have hash")
