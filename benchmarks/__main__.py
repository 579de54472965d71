"""``python -m benchmarks [name ...]``: run benchmarks and record the figures with their machine.

Each ``bench_<name>.py`` has ``run() -> dict`` of figures that can be written as JSON. One file per
run goes to ``benchmarks/results``; ``benchmarks/baseline.json`` is the one that is kept.
"""

import importlib
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.bars import show

HERE = Path(__file__).parent
LIBRARIES = ("numpy", "numba", "xgboost-cpu", "pyarrow", "msgspec", "fastapi", "uvicorn", "uvloop")


def machine() -> dict[str, object]:
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": models[0].split(":")[1].strip() if models else platform.processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: library_version(name) for name in LIBRARIES},
        "revision": revision(),
    }


def library_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def revision() -> str:
    run = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout.strip()


def main() -> None:
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    wanted = sys.argv[1:] or known
    if unknown := set(wanted) - set(known):
        sys.exit(f"no benchmark called {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    record: dict[str, Any] = {"machine": machine(), "taken": time.strftime("%F %T %z")}
    failed = []
    for name in wanted:
        print(f"== {name}", flush=True)
        try:
            figures = importlib.import_module(f"benchmarks.bench_{name}").run()
        except Exception as error:  # noqa: BLE001 - the others are still worth their time
            traceback.print_exc()
            figures = {"failed": repr(error)}
            failed.append(name)
        record[name] = figures
        print(json.dumps(figures, indent=2), flush=True)
    for name in wanted:
        show(name, record[name].get("bars", {}))
    path = HERE / "results" / time.strftime("%Y%m%d-%H%M%S.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(f"recorded in {path.relative_to(Path.cwd())}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
