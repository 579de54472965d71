"""The tree shows all that made a version, and says what was not recorded."""

import io
from dataclasses import replace

from rich.console import Console

from cli.lineage import tree_of
from models.manifest import FileEntry
from registry.loading import RegisteredVersion
from registry.origin import Origin, RunRecord
from tests.registry.conftest import make_manifest

RUN = RunRecord(
    "r" * 32, "train-EURUSD", "FINISHED", {"trees": "3"}, {"dsr": 0.99}, ("card.md", "trades.png")
)
SEARCH = RunRecord("s" * 32, "search-EURUSD-1", "FINISHED", {"best.depth": "5"}, {}, ())
ORIGIN = Origin(
    version=RegisteredVersion(
        "direction-EURUSD", "7", "mlflow-artifacts:/1", "ab" * 32, "",
        {"data_source": "simulator", "environment_hash": "e" * 64, "gates": "passed"},
    ),
    manifest=make_manifest(
        files={"leaves.npy": FileEntry("cd" * 32, 55)}, libraries={"xgboost": "3.2.0"}
    ),
    run=RUN,
    parents=(SEARCH,),
    aliases=("challenger", "champion"),
)  # fmt: skip


def drawn(origin: Origin) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(tree_of(origin))
    return out.getvalue()


def test_everything_that_made_it_is_shown() -> None:
    text = drawn(ORIGIN)
    made = ORIGIN.manifest
    for wanted in (
        "direction-EURUSD version 7 (challenger, champion)",
        *(made.data_hash, made.spec_fingerprint, made.code_revision, "e" * 64, "simulator"),
        *("seed: 7", "trees: 3", "dsr: 0.99", "xgboost 3.2.0", "gates: passed", "ab" * 32),
        *("trades.png", "card.md", RUN.id, SEARCH.id, "best.depth: 5", "55 bytes, cdcdcdcdcdcd"),
    ):
        assert wanted in text, wanted
    assert text.index("parent run") > text.index(RUN.id)


def test_what_is_missing_is_said() -> None:
    bare = replace(ORIGIN, version=RegisteredVersion("m", "1", "s", "h"), run=None, parents=())
    text = drawn(bare)
    assert "environment lock: not recorded" in text
    assert "gates: not judged" in text
    assert "run: deleted from MLflow" in text
