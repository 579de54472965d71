"""A data set that was kept is the one that was built, and never one of something else."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from core.config import TrainingConfig
from core.costs import CostModel
from models.dataset import Dataset
from models.dataset_store import dataset_key, kept, read_dataset, write_dataset
from tests.models.synthetic import make_dataset


def same(one: Dataset, other: Dataset) -> bool:
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(Dataset)]
    whole = [(one.history.rows, other.history.rows), (one.history.ts, other.history.ts)]
    arrays = [(a, b) for a, b in (*pairs, *whole) if isinstance(a, np.ndarray)]
    plain = [f.name for f in fields(Dataset) if f.name != "history"]
    values = [(getattr(one, name), getattr(other, name)) for name in plain]
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in arrays) and all(
        a == b for a, b in values if not isinstance(a, np.ndarray)
    )


def test_it_comes_back_bit_by_bit(tmp_path: Path) -> None:
    dataset = make_dataset()
    write_dataset(tmp_path / "set", dataset)
    found = read_dataset(tmp_path / "set")
    assert found is not None
    assert same(found, dataset)


def test_it_is_built_once(tmp_path: Path) -> None:
    built = []

    def build() -> Dataset:
        built.append(1)
        return make_dataset()

    first, second = (kept(tmp_path / "set", build) for _ in range(2))
    assert len(built) == 1
    assert same(first, second)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_damaged_one_is_built_again(tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", make_dataset())
    (tmp_path / "set" / "rows.npy").write_bytes(b"\0")
    assert read_dataset(tmp_path / "set") is None
    assert len(kept(tmp_path / "set", make_dataset)) == len(make_dataset())
    assert read_dataset(tmp_path / "set") is not None


def test_the_key_tells_all_apart_that_decides_the_rows() -> None:
    plain, costs = TrainingConfig(), CostModel()
    keys = {
        dataset_key(*made)
        for made in (
            ("d", "c", plain, costs),
            ("e", "c", plain, costs),
            ("d", "f", plain, costs),
            ("d", "c", replace(plain, horizon_bars=16), costs),
            ("d", "c", replace(plain, features="core"), costs),
            ("d", "c", replace(plain, family="tcn"), costs),
            ("d", "c", plain, replace(costs, slippage_pips=0.3)),
        )
    }
    assert len(keys) == 7
    # How a model is fitted does not change what it is fitted to.
    assert dataset_key("d", "c", replace(plain, trees=9, seed=1), costs) in keys
