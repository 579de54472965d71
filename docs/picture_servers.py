"""Take the pictures of the Prefect and MLflow pages: ``python docs/picture_servers.py [home]``.

Starts both servers and a worker on free ports, lets them work as `tickpath up` would (ingest,
train, promote, then a market that changes, and drift that starts a training), and takes pictures
of their pages with a headless Chromium. A `home` that is given is kept, and what is in it is
pictured as it is; without one everything lies in a temporary folder.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from browser import Page, open_page

from cli.supervisor import Supervisor, free_port
from cli.up import start_learning
from core.config import Config, MlflowConfig, PrefectConfig, StorageConfig
from core.instruments import DEFAULT_INSTRUMENTS
from flows.client import PrefectApi, declared_deployments, deploy_all, run_deployment
from market.simulator import DEFAULT_MODEL, simulate
from models.manifest import model_name
from registry.loading import CHALLENGER, CHAMPION, RegistryReader, local_copies
from registry.tracking import connect
from storage.parquet import TickStore

IMAGES = Path(__file__).resolve().parent / "images"
SYMBOL = "EURUSD"
WIDTH, HEIGHT = 1_280, 860
MLFLOW_VIEW = {
    "mlflow.workflowType_v1": '"machine_learning"',
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
}
"""What its page keeps of a user who trains models and has closed the panel of its assistant."""


def main(home: Path) -> None:
    """Take all pictures."""
    config = replace(
        Config(),
        storage=StorageConfig(home=home),
        mlflow=MlflowConfig(port=free_port()),
        prefect=PrefectConfig(port=free_port()),
    )
    with Supervisor(config, lambda name, state, _: say(name, state)) as supervisor:
        start_learning(supervisor, config, schedules=False)
        if not (home / "ticks").is_dir():
            make_content(config)
        deploy_all(config)  # with their schedules, as they are after `tickpath up`
        with open_page(WIDTH, HEIGHT) as page:
            picture_prefect(page, config)
            picture_mlflow(page, config)


def make_content(config: Config) -> None:
    """Run the flows on simulated quotes, a change of the market included."""
    symbol = {"symbol": SYMBOL}
    for name, parameters in (
        ("ingest", {**symbol, "source": "simulator"}),
        *((name, symbol) for name in ("train", "promote", "drift")),
        *((name, {}) for name in ("scenarios", "housekeeping")),
    ):
        say("flow", name)
        run_deployment(config, name, parameters)
    change_the_market(config)
    run_deployment(config, "drift", symbol)
    reader = RegistryReader(config.mlflow, local_copies(config.storage))
    model, deadline = model_name(SYMBOL), time.monotonic() + 600.0
    while reader.resolve(model, CHALLENGER).version == reader.resolve(model, CHAMPION).version:
        if time.monotonic() > deadline:
            sys.exit("drift did not start a training")
        time.sleep(2.0)
    for name in ("evaluate", "backtest"):
        say("flow", name)
        run_deployment(config, name, symbol)


def change_the_market(config: Config) -> None:
    """Add a week that is three times as restless."""
    store = TickStore(config.storage.ticks)
    start = int(store.read(SYMBOL).ts[-1]) + 7 * 86_400 * 10**9 // 2
    model = replace(DEFAULT_MODEL, volatility_pips=3.0 * DEFAULT_MODEL.volatility_pips)
    instrument = DEFAULT_INSTRUMENTS.by_symbol(SYMBOL)
    columns = simulate(instrument, seed=8, days=5.0, start_ns=start, model=model).columns
    store.append(SYMBOL, columns)


def picture_prefect(page: Page, config: Config) -> None:
    """Picture deployments, runs, the training that drift started, automation and report."""
    base, api = config.prefect.api_url.removesuffix("/api"), PrefectApi(config.prefect)
    take(page, f"{base}/deployments", "prefect-deployments", *declared_deployments()[:6])
    take(page, f"{base}/runs", "prefect-runs", "Completed", "backtest")
    started = next(r for r in api.runs_of("train") if r["created_by"]["type"] == "AUTOMATION")
    take(page, f"{base}/runs/flow-run/{started['id']}", "prefect-retrain", started["name"])
    take(page, f"{base}/automations", "prefect-automation", "drift starts")
    drifted = next(r for r in api.runs_of("drift") if r["state_type"] == "COMPLETED")
    report = next(r for r in api.artifacts(drifted["id"]) if r["key"] == f"drift-{SYMBOL.lower()}")
    take(page, f"{base}/artifacts/artifact/{report['id']}", "prefect-drift", "thresholds")


def picture_mlflow(page: Page, config: Config) -> None:
    """Picture runs, versions with their aliases, a version with its card, the HTML report."""
    url, client, model = config.mlflow.url, connect(config.mlflow), model_name(SYMBOL)
    experiment = client.get_experiment_by_name(config.mlflow.experiment)
    if experiment is None:
        sys.exit(f"MLflow has no experiment {config.mlflow.experiment}")
    page.show(url)
    for name, value in MLFLOW_VIEW.items():
        page.value(f"localStorage.setItem({name!r}, {value!r})")
    runs = f"{url}/#/experiments/{experiment.experiment_id}/runs"
    take(page, runs, "mlflow-runs", f"train-{SYMBOL}")
    take(page, f"{url}/#/models/{model}", "mlflow-versions", CHAMPION, CHALLENGER)
    champion = RegistryReader(config.mlflow, local_copies(config.storage)).resolve(model, CHAMPION)
    version = client.get_model_version(model, champion.version)
    take(page, f"{url}/#/models/{model}/versions/{champion.version}", "mlflow-version", "Out of")
    figures = f"{runs}/{version.run_id}/artifacts/trades.png"
    take(page, figures, "mlflow-figure", "trades.png")
    (drifted,) = client.search_runs(
        [experiment.experiment_id], f"tags.drift_of = '{model}/{champion.version}'"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(drifted.info.run_id, "drift.html", folder)
        take(page, Path(path).as_uri(), "drift-report", "Nearness")


def take(page: Page, url: str, name: str, *wanted: str) -> None:
    """Show an address and write its picture."""
    page.show(url, *wanted)
    page.press('[data-component-id="mlflow.assistant.chat_panel.close"]')
    path = IMAGES / f"{name}.png"
    page.save(path)
    say(path.name, path.stat().st_size // 1_000, "KB")


def say(*words: object) -> None:
    """Tell what was just done."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory(prefix="tickpath-pictures-") as temporary:
            main(Path(temporary))
