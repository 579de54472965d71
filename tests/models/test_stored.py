"""Data sets from the store: peers belong to them, and unsound features are refused by name."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from core.config import TrainingConfig
from core.costs import CostModel
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from features.spec import register_spec, spec_named, with_features
from features.strength import usd_strength
from features.user import feature
from market.simulator import simulate
from models.export import write_artifact
from models.reproduce import reproduce
from models.stored import snapshot, stored_dataset, tapes_hash
from models.training import train
from storage.parquet import TickStore
from tests.models.synthetic import COSTS, DECISION, decide

EURUSD = DEFAULT_INSTRUMENTS.by_symbol("EURUSD")
PEERS = ("EURUSD", "GBPUSD", "USDJPY")
CROSS = TrainingConfig(
    cadence="tick", features="cross", peers=PEERS, horizon_secs=60.0, folds=2,
    embargo_samples=20, trees=5, depth=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TickStore:
    made = TickStore(tmp_path_factory.mktemp("ticks"))
    for symbol in PEERS:
        columns = simulate(DEFAULT_INSTRUMENTS.by_symbol(symbol), days=0.25).columns
        made.append(symbol, columns)
    return made


def test_a_crossed_data_set_has_the_strength_of_all_peers(store: TickStore) -> None:
    data_hash = snapshot(store, "EURUSD", CROSS)
    dataset = stored_dataset(store, EURUSD, CROSS, CostModel(), data_hash, check=True)
    assert dataset.spec.name == "cross-tick"
    assert dataset.peers == PEERS
    tapes = {symbol: store.read(symbol) for symbol in PEERS}
    strength = usd_strength(tapes, {"EURUSD": -1, "GBPUSD": -1, "USDJPY": 1})
    minute = (dataset.ts // 60_000_000_000) - 1
    at = np.searchsorted(strength.minute, minute, side="right") - 1
    assert dataset.rows[:, -2:].tobytes() == strength.values[at].astype(np.float32).tobytes()


def test_the_hash_covers_the_tapes_of_peers_and_the_version_names_them(
    store: TickStore, tmp_path: Path
) -> None:
    own = snapshot(store, "EURUSD", TrainingConfig())
    crossed = snapshot(store, "EURUSD", CROSS)
    assert own == store.snapshot_hash("EURUSD")
    assert len({own, crossed, tapes_hash(store, "EURUSD", PEERS[:2])}) == 3
    dataset = stored_dataset(store, EURUSD, CROSS, COSTS, crossed)
    result = train(dataset, CROSS, decide, COSTS, DECISION, EURUSD.pip)
    manifest, _ = write_artifact(tmp_path / "a", result, dataset, code_revision="abc")
    assert manifest.peers == PEERS
    assert manifest.training["peers"] == list(PEERS)
    assert reproduce(manifest, store, EURUSD, "abc").equal


def test_a_peer_without_quotes_is_named(store: TickStore) -> None:
    config = msgspec.convert(
        {**msgspec.to_builtins(CROSS), "peers": ["EURUSD", "XAUUSD"]}, TrainingConfig
    )
    with pytest.raises(BadInput, match="needs quotes of XAUUSD"):
        stored_dataset(store, EURUSD, config, CostModel(), "h")


@feature(name="hasty_mean", formula="mean of all closes", unit="price", window=1, warmup=1, state=2)
def hasty_mean(state, sample):  # type: ignore[no-untyped-def]
    state[0] += 1.0
    state[1] += sample.close
    return 1e4 * state[1] / state[0]


def test_features_that_do_not_pass_their_check_are_refused_by_name(store: TickStore) -> None:
    """It never forgets where its tape began, so no number of samples is enough."""
    name = f"hasty-{spec_named('full-tick').cadence}"
    register_spec(with_features(spec_named("full-tick"), name, hasty_mean))
    config = TrainingConfig(cadence="tick", features="hasty", folds=2, embargo_samples=20)
    with pytest.raises(BadInput, match=r"'hasty-tick' of EURUSD .* hasty_mean claims 1 samples"):
        stored_dataset(store, EURUSD, config, CostModel(), "h", check=True)
