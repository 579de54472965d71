"""``tickpath explain``: what each feature added to one decision of a registered version."""

from datetime import UTC, datetime

import numpy as np

from cli.configured import load_config
from cli.console import make_console, table
from cli.learn import known, known_number
from core.config import Config
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from models.explain import Explanation, explain_row
from models.inference.artifact import load_verified
from models.manifest import model_name
from models.stored import rows_of
from registry.loading import RegistryReader
from serving.homes import homes_of
from storage.adapters import open_ticks

_SHOWN = 15


def run_explain(symbol: str, version: str, at: datetime | None) -> None:
    """Print the TreeSHAP values of the newest row, or of the last one at or before `at` (UTC)."""
    name, number = known(symbol), known_number(version)
    told, ts = explain_version(load_config(), name, number, at)
    when = datetime.fromtimestamp(ts / 1e9, UTC).strftime("%F %T")
    print_explanation(f"{model_name(name)} version {number}, row of {when} UTC", told)


def print_explanation(title: str, told: Explanation) -> None:
    """Print a prediction and what made it, largest first."""
    console = make_console()
    rows = [(name, f"{x:.6g}", f"{part:+.4f}") for name, x, part in told.values[:_SHOWN]]
    rest = sum(part for _, _, part in told.values[_SHOWN:])
    rows.append((f"{len(told.values[_SHOWN:])} others", "", f"{rest:+.4f}"))
    rows.append(("without any feature", "", f"{told.base:+.4f}"))
    rows.append(("log-odds in all", "", f"{told.margin:+.4f}"))
    console.print(table(title, ("column", "value", "adds to the log-odds"), rows))
    console.print(f"calibrated P(up) {told.p:.4f}")


def explain_version(
    config: Config, symbol: str, version: str, at: datetime | None
) -> tuple[Explanation, int]:
    """Fetch a version and take apart its prediction for a stored row; also when the row was, in ns.

    Raises
    ------
    BadInput
        When no warm row is stored that early, or the version is no model of trees.
    NotFound, Unavailable, ArtifactRefused
        When the registry has no such version, does not answer, or its files are not sound.
    """
    reader = RegistryReader(config.mlflow, homes_of(config).models)
    registered = reader.version(model_name(symbol), version)
    folder = reader.fetch(registered)
    made = load_verified(folder, registered.manifest_sha256).manifest
    instrument = DEFAULT_INSTRUMENTS.by_symbol(symbol)
    store = open_ticks(config.storage)
    history = rows_of(made, store, instrument, config.training, config.costs).history
    until = history.ts[-1] if at is None else round(at.replace(tzinfo=UTC).timestamp() * 1e9)
    row = int(np.searchsorted(history.ts, until, side="right")) - 1
    if row < 0:
        raise BadInput(f"no warm row of {symbol} is stored at or before {at}")
    return explain_row(folder, history.rows[row]), int(history.ts[row])
