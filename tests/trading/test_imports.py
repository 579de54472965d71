import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tops(statement):
    code = f"import sys\n{statement}\nprint(' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    return {name.split(".")[0] for name in run.stdout.split()}


def test_the_engine_pulls_in_numpy_numba_msgspec_and_our_lower_packages_only():
    names = "engine, trading.journal, trading.recording, trading.reconciliation, trading.inbox"
    pulled = tops(f"import trading.{names}") - tops("import numpy, msgspec, numba")
    foreign = pulled - sys.stdlib_module_names - {"core", "monitoring", "trading", "fix"}
    assert not foreign
    assert not pulled & {"sqlite3", "uvloop", "fastapi"}
