"""A deployment whose entry point does not import would only be noticed when it runs."""

import importlib
import re
import subprocess
import sys

import pytest
import yaml

from flows.client import declared_deployments
from flows.environment import ROOT

DECLARED = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


def test_the_client_reads_the_same_names_as_a_yaml_reader() -> None:
    assert declared_deployments() == [row["name"] for row in DECLARED]


@pytest.mark.parametrize("row", DECLARED, ids=lambda row: row["name"])
def test_entry_points_are_modules_that_hold_the_flow(row: dict[str, str]) -> None:
    assert re.fullmatch(r"flows\.\w+\.\w+", row["entrypoint"])
    module, _, name = row["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    assert type(flow).__name__ == "Flow"
    assert flow.name == row["name"]
    assert set(row.get("parameters", {})) <= set(flow.parameters.properties)


def test_deployments_share_one_pool_and_never_overlap_themselves() -> None:
    for row in DECLARED:
        assert row["work_pool"]["name"] == "tickpath"
        # What the drift event starts waits, for it may be about another symbol.
        late = "ENQUEUE" if "triggers" in row else "CANCEL_NEW"
        assert row["concurrency_limit"] == {"limit": 1, "collision_strategy": late}
        assert row["schedules"]


def test_the_client_needs_no_prefect() -> None:
    code = "import sys, flows.client; print('prefect' in sys.modules or 'mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
