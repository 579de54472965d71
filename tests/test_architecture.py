"""The house's walls, looked at from outside: sizes, names, and what an import pulls in."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = [
    "core",
    "fix",
    "monitoring",
    "market",
    "storage",
    "features",
    "models",
    "registry",
    "trading",
    "venue",
    "backtest",
    "serving",
    "flows",
    "cli",
]
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
HOT_PATH_FOREIGN = {
    "asyncio", "pydantic", "fastapi", "starlette", "mlflow", "prefect", "xgboost", "torch",
    "pandas", "pyarrow", "sklearn", "redis", "sqlite3", "logging.config", "requests",
}  # fmt: skip
EMPTY_NAMES = re.compile(
    r"(Manager|Handler|Helper|Optimized|UltraFast|Enhanced|Utils)$|^(Fast|Ultra)"
)


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = node.body
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(body) > 1:
        body = body[1:]
    return (node.end_lineno or 0) - body[0].lineno + 1


def imported_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    return set(run.stdout.split())


def test_sources_are_found() -> None:
    assert len(SOURCES) > len(PACKAGES)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    too_long = {node.name: body_lines(node) for node in functions(path) if body_lines(node) > 50}
    assert not too_long


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_say_something(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert not [name for name in classes if EMPTY_NAMES.search(name)]
    assert not re.fullmatch(r"(utils?|helpers?|common|misc)\.py", path.name)


def test_trading_engine_imports_only_the_hot_path_libraries() -> None:
    bare = imported_after("import numpy, numba, msgspec")
    pulled = imported_after("import trading.engine") - bare
    tops = {name.split(".")[0] for name in pulled}
    ours = {"core", "fix", "monitoring", "trading", "numpy", "numba", "msgspec"}
    assert not tops - sys.stdlib_module_names - ours


def test_hot_path_sees_no_driver_and_no_framework() -> None:
    bare = imported_after("import numpy, numba, msgspec")
    pulled = imported_after("import trading.engine, features.engine, models.pool") - bare
    assert not {name.split(".")[0] for name in pulled} & HOT_PATH_FOREIGN


def test_serving_imports_no_training_library() -> None:
    tops = {name.split(".")[0] for name in imported_after("import serving.app, serving.wiring")}
    assert not tops & {
        "mlflow",
        "xgboost",
        "torch",
        "onnx",
        "sklearn",
        "pandas",
        "prefect",
        "optuna",
    }


def test_on_quote_has_no_await_try_or_logging() -> None:
    path = ROOT / "trading" / "engine.py"
    (on_quote,) = [node for node in functions(path) if node.name == "on_quote"]
    banned = (ast.Await, ast.Try, ast.AsyncFor, ast.AsyncWith, ast.With)
    assert not [node for node in ast.walk(on_quote) if isinstance(node, banned)]
    assert body_lines(on_quote) <= 25
    source = ast.unparse(on_quote)
    assert "log" not in source
    assert "config" not in source


STRAY_MODULES = {"asyncio", "concurrent", "multiprocessing", "random", "secrets", "time", "uuid"}
STRAY_CALLS = {
    "now", "utcnow", "today", "urandom", "getrandom", "create_task", "ensure_future", "Thread",
    "Timer", "SystemClock", "run_in_executor", "call_soon", "call_later",
}  # fmt: skip


def is_stray(node: ast.AST) -> bool:
    """Tell a clock, dice, a task or a thread: what would differ when a walk is played again.

    `perf_counter_ns` is for durations that are measured, and decides nothing.
    """
    match node:
        case ast.ImportFrom(module="time", names=[ast.alias(name="perf_counter_ns")]):
            return False
        case ast.ImportFrom(module=str(module)):
            return module.split(".")[0] in STRAY_MODULES
        case ast.Import(names=names):
            return any(alias.name.split(".")[0] in STRAY_MODULES for alias in names)
        case ast.Attribute(attr="random"):
            return True
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name in STRAY_CALLS
    return False


def strays(tree: ast.AST) -> list[ast.AST]:
    return [node for node in ast.walk(tree) if is_stray(node)]


# Threads that hash segments side by side before the engine exists; each gives the same result.
STRAYS_ALLOWED = {("trading/segments.py", "Thread")}


def test_trading_reads_no_clock_and_rolls_no_dice() -> None:
    found = {
        (str(path.relative_to(ROOT)), ast.unparse(getattr(node, "func", node)).split(".")[-1])
        for path in (ROOT / "trading").rglob("*.py")
        for node in strays(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found <= STRAYS_ALLOWED


@pytest.mark.parametrize(
    "line",
    [
        "import time", "from time import time_ns", "from time import monotonic, perf_counter_ns",
        "import random", "from random import Random", "np.random.default_rng()", "import uuid",
        "import secrets", "os.urandom(8)", "datetime.now(UTC)", "date.today()", "import asyncio",
        "loop.create_task(work())", "threading.Thread(target=work)", "clock = SystemClock()",
        "from concurrent.futures import ThreadPoolExecutor",
    ],
)  # fmt: skip
def test_the_check_for_strays_can_fail(line: str) -> None:
    assert strays(ast.parse(line))


def test_nothing_unpickles() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for name in ("serving", "registry", "models", "trading", "storage", "features", "flows")
        for path in (ROOT / name).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if unpickles(node)
    ]
    assert not found


def unpickles(node: ast.AST) -> bool:
    modules = {"pickle", "cloudpickle", "joblib", "dill"}
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in modules for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] in modules
    if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
        return getattr(node.value, "value", True) is not False
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "load_model"
        and "mlflow" in ast.unparse(node)
    )


def test_the_pickle_check_can_fail() -> None:
    bad = "import pickle\nnp.load(f, allow_pickle=True)\nmlflow.xgboost.load_model(x)"
    assert sum(unpickles(node) for node in ast.walk(ast.parse(bad))) == 3
