"""Chunks and threads give the bits of one pass; a memory map is enough."""

from dataclasses import fields

import numpy as np
import pytest

from core.columns import QuoteColumns
from features.batch import chunks_of, compute, compute_chunks, compute_many
from features.spec import spec_named


def joined(parts):
    return (
        np.concatenate([part.rows for part in parts]).tobytes(),
        np.concatenate([part.index for part in parts]).tolist(),
        np.concatenate([part.warm for part in parts]).tolist(),
        sum(part.late for part in parts),
    )


def whole(rows):
    return rows.rows.tobytes(), rows.index.tolist(), rows.warm.tolist(), rows.late


@pytest.mark.parametrize("name", ["full-bar", "full-tick"])
@pytest.mark.parametrize("n_quotes", [1, 7, 999, 10_000])
def test_chunks_give_the_rows_of_the_whole_tape(name, n_quotes, make_ticks):
    columns = make_ticks(3_000)
    order = np.r_[0:1500, 900:920, 1500:3000]
    columns = columns[order]
    spec = spec_named(name)
    parts = list(compute_chunks(spec, chunks_of(columns, n_quotes), 1e-4))
    assert len(parts) == -(-3_020 // n_quotes)
    assert joined(parts) == whole(compute(spec, columns, 1e-4))


def test_a_tape_is_computed_from_a_memory_map(tmp_path, make_minutes):
    columns = make_minutes(2_000)
    for column in fields(columns):
        np.save(tmp_path / f"{column.name}.npy", getattr(columns, column.name))
    mapped = QuoteColumns(
        *(np.load(tmp_path / f"{c.name}.npy", mmap_mode="r") for c in fields(columns))
    )
    spec = spec_named("full-bar")
    parts = list(compute_chunks(spec, chunks_of(mapped, 256), 1e-4))
    assert joined(parts) == whole(compute(spec, columns, 1e-4))


def test_no_chunks_give_no_rows(make_minutes):
    assert list(compute_chunks(spec_named("full-bar"), iter(()), 1e-4)) == []


@pytest.mark.parametrize("workers", [1, 2, None])
def test_several_instruments_at_once_give_the_rows_of_each(workers, make_minutes):
    spec = spec_named("full-bar")
    tapes = {
        name: (make_minutes(1_200, seed=seed, price=price)[:n], pip)
        for seed, (name, n, price, pip) in enumerate(
            [("EURUSD", 900, 1.1, 1e-4), ("USDJPY", 1_200, 150.0, 1e-2), ("GBPUSD", 0, 1.3, 1e-4)]
        )
    }
    got = compute_many(spec, tapes, workers)
    assert list(got) == list(tapes)
    for name, (columns, pip) in tapes.items():
        assert whole(got[name]) == whole(compute(spec, columns, pip))
