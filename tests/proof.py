"""``make proof``: the full counts, one test at a time, in the background, resumable.

Tests marked ``proof`` are collected and run one by one; each result, with the figures that the test
recorded by ``record_property``, goes to ``var/proof/results.json`` as soon as it is there. A second
start at the same revision goes on where the first stopped. ``--wait`` stays in the foreground.
"""

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "var" / "proof"
RESULTS = FOLDER / "results.json"
PYTEST = [
    sys.executable,
    "-m",
    "pytest",
    "-q",
    "-m",
    "proof",
    "-p",
    "no:randomly",
    "--timeout=7200",
]
FAMILY = ["-o", "junit_family=xunit1"]  # the one that has room for figures


def revision() -> str:
    """Commit that the figures belong to, marked when the tree differs from it."""
    run = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def collect() -> list[str]:
    """Node ids of all proofs."""
    run = subprocess.run(
        [*PYTEST, "--collect-only"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [line for line in run.stdout.splitlines() if "::" in line]


def prove(node: str) -> dict[str, object]:
    """Run one proof; return its verdict, seconds and recorded figures."""
    report = FOLDER / "report.xml"
    report.unlink(missing_ok=True)
    start = time.monotonic()
    run = subprocess.run([*PYTEST, *FAMILY, node, f"--junit-xml={report}"], cwd=ROOT, check=False)
    figures = {}
    if report.exists():
        properties = ET.parse(report).getroot().iter("property")
        figures = {item.get("name"): item.get("value") for item in properties}
    verdict = "passed" if run.returncode == 0 else "failed"
    return {"verdict": verdict, "secs": round(time.monotonic() - start, 1), "figures": figures}


def load(at: str) -> dict[str, dict[str, object]]:
    """Results so far at this revision."""
    if not RESULTS.exists():
        return {}
    kept = json.loads(RESULTS.read_text())
    return kept["proofs"] if kept["revision"] == at else {}


def run_all() -> int:
    """Run what has not passed yet; return 1 when anything failed."""
    at = revision()
    results = load(at)
    for node in collect():
        if results.get(node, {}).get("verdict") == "passed":
            continue
        print(f"== {node}", flush=True)
        results[node] = prove(node)
        RESULTS.write_text(json.dumps({"revision": at, "proofs": results}, indent=2) + "\n")
    failed = [node for node, result in results.items() if result["verdict"] != "passed"]
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed", flush=True)
    return 1 if failed else 0


def main() -> None:
    """Start in the background, or run in the foreground with ``--wait``."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if "--wait" in sys.argv:
        sys.exit(run_all())
    with (FOLDER / "proof.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.proof", "--wait"],
            cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    print(f"process {child.pid} is at it; log {FOLDER / 'proof.log'}, results {RESULTS}")


if __name__ == "__main__":
    main()
