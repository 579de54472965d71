"""Results of tasks survive the disk as JSON of their own type."""

import msgspec
import pytest

from core.errors import BadInput, RecoverableError
from flows.drift_job import Drift, Reading, Window
from flows.housekeeping_job import Swept
from flows.ingest_job import Ingested
from flows.results import TypedJson, persisted
from flows.train_job import Trained
from market.loaders.report import BadRow
from models.calibration import Calibration
from models.manifest import FileEntry, Manifest
from registry.gates import Gate
from registry.loading import RegisteredVersion
from registry.promotion import Judgement
from registry.promotion_ledger import Entry, Standing

VERSION = RegisteredVersion("direction-X", "3", "mlflow-artifacts:/1/x", "ab" * 32, "", {"a": "b"})
ENTRY = Entry(
    model="direction-X", generation=1, at_ns=5, action="promote", actor="a", reason="r",
    version="3", gates=(Gate("g", "m", None, ">", 0.0),), standing=Standing(champion=VERSION),
)  # fmt: skip
DRIFT = Drift(
    model="direction-X", symbol="X", version="3", rows=128,
    windows=(Window(1, 2, (Reading("score", (0.1, 0.2), (0.3, 0.4), 0.5, False),)),),
)  # fmt: skip
INGESTED = Ingested(
    symbol="X", source="s", format="f", files=("a",), rows_read=3, rows_kept=2, rows_new=2,
    first_ns=1, last_ns=2, bad_counts={"late": 1}, bad=(BadRow("a", 3, "late"),),
)  # fmt: skip


@pytest.mark.parametrize(
    "result",
    [DRIFT, INGESTED, Judgement(VERSION, ENTRY.gates, ENTRY)],
    ids=lambda r: type(r).__name__,
)
def test_a_result_comes_back_as_it_was(result: object) -> None:
    kept = persisted(type(result))
    assert kept.loads(kept.dumps(result)) == result


def test_a_trained_version_comes_back_as_it_was(artifact_manifest: Manifest) -> None:
    made = Trained(version=VERSION, manifest=artifact_manifest, new=True, fold_table="", card="c")
    kept = persisted(Trained)
    assert kept.loads(kept.dumps(made)) == made


@pytest.fixture
def artifact_manifest() -> Manifest:
    return Manifest(
        model="direction-X", family="trees", symbol="X", spec_name="core-bar",
        spec_fingerprint="f", cadence="bar", bar_ns=1, horizon_ns=2, window=1, n_features=3,
        files={"a": FileEntry("00", 1)}, metrics={"dsr": 1.0}, calibration=Calibration(),
        expected_move_pips=1.0, train_start_ns=1, train_end_ns=2, holdout_start_ns=3,
        data_hash="d", code_revision="c", seed=1, parameters={"depth": 4, "x": "y"}, trials=1,
    )  # fmt: skip


def test_many_come_back_as_a_list() -> None:
    rows = [Swept("a", ("x",), 1), Swept("b", (), 0)]
    kept = persisted(Swept, many=True)
    assert kept.loads(kept.dumps(rows)) == rows


def test_a_failure_keeps_its_sentence() -> None:
    kept = persisted(Drift)
    found = kept.loads(kept.dumps(BadInput("no such thing")))
    assert isinstance(found, RecoverableError)
    assert str(found) == "BadInput: no such thing"


def test_nothing_but_json_is_written() -> None:
    assert msgspec.json.decode(persisted(Drift).dumps(DRIFT))["symbol"] == "X"
    kept = TypedJson(kind="a:B").model_dump()
    assert kept == {"type": "tickpath-json", "kind": "a:B", "many": False}
