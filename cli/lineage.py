"""``tickpath lineage``: everything that made a version, drawn as a tree."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from rich.text import Text
from rich.tree import Tree

from cli.console import make_console
from cli.learn import known, known_number
from core.settings import load_config
from models.manifest import model_name
from registry.origin import Origin, RunRecord, origin_of

_MISSING = "not recorded"


def show_lineage(symbol: str, version: str) -> None:
    """Print the tree of a version."""
    name = model_name(known(symbol))
    make_console().print(tree_of(origin_of(load_config(), name, known_number(version))))


def tree_of(origin: Origin) -> Tree:
    """Draw what made a version."""
    version, made = origin.version, origin.manifest
    held = f" ({', '.join(origin.aliases)})" if origin.aliases else ""
    tree = Tree(Text(f"{version.model} version {version.version}{held}", "bold"))
    _branch(tree, "data", _data(origin))
    _branch(
        tree,
        "features",
        (
            ("spec", f"{made.spec_name}, {made.n_features} columns"),
            ("fingerprint", made.spec_fingerprint),
            ("samples", f"{made.cadence}, {made.window} to a prediction"),
            ("peers", ", ".join(made.peers) or "none"),
        ),
    )
    _branch(tree, "code", _code(origin))
    _branch(tree, "model", _model(origin))
    _mapping(tree, "parameters", made.parameters)
    _mapping(tree, "metrics", {name: f"{value:.6g}" for name, value in made.metrics.items()})
    files = ((name, f"{e.size} bytes, {e.sha256[:12]}") for name, e in sorted(made.files.items()))
    _branch(tree, "files", [*files, ("manifest", version.manifest_sha256)])
    _runs(tree, origin)
    return tree


def _data(origin: Origin) -> Iterable[tuple[str, str]]:
    made = origin.manifest
    yield "source", origin.version.tags.get("data_source", _MISSING)
    yield "snapshot", made.data_hash or _MISSING
    yield "trained on", f"{_time(made.train_start_ns)} to {_time(made.train_end_ns)}"
    yield "held out", f"from {_time(made.holdout_start_ns)}"


def _code(origin: Origin) -> Iterable[tuple[str, str]]:
    made = origin.manifest
    yield "revision", made.code_revision
    yield "environment lock", origin.version.tags.get("environment_hash", _MISSING)
    yield "libraries", ", ".join(f"{n} {v}" for n, v in sorted(made.libraries.items())) or _MISSING
    yield "seed", str(made.seed)


def _model(origin: Origin) -> Iterable[tuple[str, str]]:
    made = origin.manifest
    yield "family", f"{made.family}, served by {made.engine}"
    yield "horizon", f"{made.horizon_ns / 1e9:g} s"
    yield "calibration", made.calibration.kind
    yield "trials", str(made.trials)
    yield "gates", origin.version.tags.get("gates", "not judged")


def _runs(tree: Tree, origin: Origin) -> None:
    if origin.run is None:
        _branch(tree, "run", (("run", "deleted from MLflow"),))
        return
    branch = tree.add(Text("run", "cyan"))
    _run(branch, origin.run)
    for parent in origin.parents:
        branch = branch.add(Text("parent run", "cyan"))
        _run(branch, parent)
        _mapping(branch, "parameters", parent.parameters)


def _run(branch: Tree, run: RunRecord) -> None:
    _leaf(branch, run.name or "run", f"{run.id}, {run.status}")
    _leaf(branch, "figures", ", ".join(run.figures) or "none")
    others = [path for path in run.files if path not in run.figures]
    _leaf(branch, "files", ", ".join(others) or "none")
    _leaf(branch, "logged", f"{len(run.parameters)} parameters, {len(run.metrics)} metrics")


def _branch(tree: Tree, name: str, rows: Iterable[tuple[str, str]]) -> None:
    branch = tree.add(Text(name, "cyan"))
    for key, value in rows:
        _leaf(branch, key, value)


def _mapping(tree: Tree, name: str, values: Mapping[str, object]) -> None:
    _branch(tree, name, ((key, str(value)) for key, value in sorted(values.items())))


def _leaf(tree: Tree, name: str, value: str) -> None:
    tree.add(Text.assemble((f"{name}: ", "dim"), value))


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M UTC")
