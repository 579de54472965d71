"""The inference protocol by the stock Triton client, against a real server on a real socket."""

import asyncio
import gzip
import json
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import urllib3

from core.errors import NotFound, Unavailable
from models.inference.artifact import LoadedModel, load_verified
from models.shelf import Shelf
from registry.loading import SERVING_FILE, RegisteredVersion
from serving.inference.catalogue import Catalogue
from serving.inference.service import Inference
from tests.models.conftest import made as _made
from tests.models.synthetic import Made
from tests.serving.server import Server

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tritonclient.http as triton
    import tritonclient.http.aio as triton_aio
    from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.filterwarnings("ignore")  # gevent's, inside the client

made = _made
NAME = "direction-EURUSD"


class Registry:
    """Knows versions 1 to 5, all of the same bytes; 9 has another hash than its copy."""

    def __init__(self, folder: Path, made: Made) -> None:
        self.folder = folder
        self.made = made
        self.away = False
        self.asked = 0

    def version(self, model: str, version: str) -> RegisteredVersion:
        self.asked += 1
        if self.away:
            raise Unavailable("the registry is away")
        if model != NAME or version not in "123459":
            raise NotFound(f"the registry has no version {version} of {model!r}")
        sha256 = "0" * 64 if version == "9" else self.made.sha256
        return RegisteredVersion(model, version, "", sha256)

    def fetch(self, version: RegisteredVersion) -> Path:
        target = self.folder / version.model / version.version
        shutil.copytree(self.made.folder, target)
        return target


class Running:
    """A server, the registry behind it, and the model that trades."""

    def __init__(self, platform: Any, made: Made, folder: Path) -> None:
        self.made = made
        self.registry = Registry(folder, made)
        self.trading = load_verified(made.folder, made.sha256)
        self.trading.version = "1"
        self.serving: dict[str, LoadedModel] = {NAME: self.trading}
        catalogue = Catalogue(self.registry, folder, lambda: self.serving)
        self.shelf = Shelf(catalogue.load, 3, 1 << 30, time.monotonic)
        platform.inference = Inference(catalogue, self.shelf)
        self.server = Server(platform)
        self.rows = np.ascontiguousarray(self.trading.canary_rows, np.float32)

    @property
    def url(self) -> str:
        return f"http://{self.server.address}"


@pytest.fixture
def running(platform: Any, made: Made, tmp_path: Path) -> Iterator[Running]:
    found = Running(platform, made, tmp_path / "models")
    with found.server:
        yield found


def rows_of(array: Any, *, binary: bool, name: str = "rows", kind: str = "FP32") -> Any:
    given = triton.InferInput(name, list(array.shape), kind)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("count", [1, 2, 40])
def test_the_stock_client_infers(
    running: Running, binary_in: bool, binary_out: bool, coding: str | None, count: int
) -> None:
    client = triton.InferenceServerClient(running.server.address)
    rows = np.resize(running.rows, (count, running.rows.shape[1]))
    wanted = [
        triton.InferRequestedOutput(name, binary_data=binary_out)
        for name in ("in_domain", "probability")
    ]
    result = client.infer(
        NAME, [rows_of(rows, binary=binary_in)], outputs=wanted, request_id="7", priority=1,
        timeout=10_000_000, request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )  # fmt: skip
    scored = running.trading.predict(rows)
    assert np.array_equal(result.as_numpy("probability"), scored)
    inside = [running.trading.domain_score(row) <= running.trading.domain_limit for row in rows]
    assert np.array_equal(result.as_numpy("in_domain"), inside)
    head = result.get_response()
    assert (head["model_name"], head["model_version"], head["id"]) == (NAME, "1", "7")
    assert [one["name"] for one in head["outputs"]] == ["in_domain", "probability"]
    client.close()


def test_the_stock_client_asks_what_there_is(running: Running) -> None:
    client = triton.InferenceServerClient(running.server.address)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(NAME)
    assert not client.is_model_ready(NAME, "2")
    assert client.get_server_metadata()["name"] == "tickpath"
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    columns = running.rows.shape[1]
    for version in ("", "2"):
        shown = client.get_model_metadata(NAME, version)
        assert shown["inputs"] == [{"name": "rows", "datatype": "FP32", "shape": [-1, columns]}]
        assert [one["name"] for one in shown["outputs"]] == ["probability", "in_domain"]
        assert client.get_model_config(NAME, version)["input"][0]["data_type"] == "TYPE_FP32"
    assert client.is_model_ready(NAME, "2")  # describing it has loaded it
    client.infer(NAME, [rows_of(running.rows, binary=True)])
    stats = client.get_inference_statistics(NAME)["model_stats"][0]
    assert (stats["execution_count"], stats["inference_count"]) == (1, len(running.rows))
    assert len(client.get_inference_statistics()["model_stats"]) == 1
    client.close()


def test_the_stock_client_lists_loads_and_unloads(running: Running) -> None:
    client = triton.InferenceServerClient(running.server.address)
    client.get_model_metadata(NAME, "2")
    client.get_model_metadata(NAME, "3")
    listed = {(one["version"], one["state"]) for one in client.get_model_repository_index()}
    assert listed == {("1", "READY"), ("2", "READY"), ("3", "READY")}
    client.unload_model(NAME)
    listed = {(one["version"], one["state"]) for one in client.get_model_repository_index()}
    assert listed == {("1", "READY"), ("2", "UNAVAILABLE"), ("3", "UNAVAILABLE")}
    client.load_model(NAME)
    assert client.is_model_ready(NAME)
    running.serving.clear()
    client.load_model(NAME)  # the newest that is here, now that none trades
    assert client.is_model_ready(NAME, "3")
    client.close()


def test_the_asynchronous_client_does_the_same(running: Running) -> None:
    async def walk() -> None:
        async with triton_aio.InferenceServerClient(running.server.address) as client:
            assert await client.is_server_ready()
            await client.load_model(NAME)
            result = await client.infer(NAME, [rows_of(running.rows, binary=True)])
            scored = running.trading.predict(running.rows)
            assert np.array_equal(result.as_numpy("probability"), scored)
            with pytest.raises(InferenceServerException, match="no model is called 'nope'"):
                await client.infer("nope", [rows_of(running.rows, binary=True)])

    asyncio.run(walk())


def test_the_stock_client_gets_typed_errors(running: Running) -> None:
    client = triton.InferenceServerClient(running.server.address)
    rows = running.rows

    def refused(words: str, *args: Any, **more: Any) -> None:
        with pytest.raises(InferenceServerException, match=words) as error:
            client.infer(*args, **more)
        assert error.value.status() in ("400", "404", "409", "422")

    refused("no model is called", "nope", [rows_of(rows, binary=True)])
    refused("no version 8", NAME, [rows_of(rows, binary=True)], model_version="8")
    refused("versions are numbers", NAME, [rows_of(rows, binary=True)], model_version="x")
    refused("has SHA-256", NAME, [rows_of(rows, binary=True)], model_version="9")
    refused("shape", NAME, [rows_of(rows[:, 1:], binary=True)])
    refused("is FP32", NAME, [rows_of(rows.astype("f8"), binary=True, kind="FP64")])
    refused("the one input", NAME, [rows_of(rows, binary=True, name="x")])
    refused(
        "no output is called 'y'", NAME, [rows_of(rows, binary=True)],
        outputs=[triton.InferRequestedOutput("y")],
    )  # fmt: skip
    with pytest.raises(InferenceServerException, match="no model is called"):
        client.load_model("nope")
    client.close()


def test_a_version_that_is_here_needs_no_registry(running: Running) -> None:
    client = triton.InferenceServerClient(running.server.address)
    client.get_model_metadata(NAME, "2")
    client.unload_model(NAME)
    asked, running.registry.away = running.registry.asked, True
    client.get_model_metadata(NAME, "2")
    assert running.registry.asked == asked
    with pytest.raises(InferenceServerException, match="away"):
        client.get_model_metadata(NAME, "4")
    client.close()


def test_what_trades_is_told_with_the_registry_away(running: Running) -> None:
    home = running.registry.folder / NAME
    shutil.copytree(running.made.folder, home / "1")
    told = running.registry.version(NAME, "1")
    (home / SERVING_FILE).write_bytes(msgspec.json.encode(told))
    running.registry.away = True
    client = triton.InferenceServerClient(running.server.address)
    result = client.infer(NAME, [rows_of(running.rows[:1], binary=True)])
    assert result.as_numpy("probability")[0] == running.trading.predict_row(running.rows[0])
    client.close()


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("POST", f"/v2/models/{NAME}/infer", {}, b""),
        ("POST", f"/v2/models/{NAME}/infer", {}, b"{"),
        ("POST", f"/v2/models/{NAME}/infer", {}, b'{"inputs": []}'),
        ("POST", f"/v2/models/{NAME}/infer", {"Inference-Header-Content-Length": "-1"}, b"{}"),
        ("POST", f"/v2/models/{NAME}/infer", {"Inference-Header-Content-Length": "99"}, b"{}"),
        ("POST", f"/v2/models/{NAME}/infer", {"Content-Encoding": "gzip"}, b"{}"),
        ("POST", f"/v2/models/{NAME}/infer", {"Content-Encoding": "br"}, b"{}"),
        ("POST", f"/v2/models/{NAME}/infer", {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
        ("POST", "/v2/repository/index", {}, b"[]"),
        ("POST", "/v2/repository/models/x/load", {}, b"{"),
        ("GET", "/v2/models/nope", {}, b""),
        ("GET", "/v2/models/nope/ready", {}, b""),
        ("GET", "/v2/nope", {}, b""),
        ("PUT", "/v2", {}, b""),
    ],
)
def test_errors_are_the_protocols_own(
    running: Running, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    answer = urllib3.request(method, running.url + path, headers=headers, body=body)
    assert 400 <= answer.status < 500
    assert set(json.loads(answer.data)) == {"error"}


def test_a_body_that_inflates_too_far_is_refused(running: Running) -> None:
    bomb = gzip.compress(bytes(64_000_000))
    answer = urllib3.request(
        "POST", f"{running.url}/v2/models/{NAME}/infer", body=bomb,
        headers={"Content-Encoding": "gzip"},
    )  # fmt: skip
    assert answer.status == 413


@pytest.mark.parametrize("path", ["/v2/repository/index", f"/v2/repository/models/{NAME}/load"])
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_empty_bodies_and_missing_types_are_taken(running: Running, path: str, body: bytes) -> None:
    assert urllib3.request("POST", running.url + path, body=body).status == 200


def test_a_request_whose_time_is_up_is_told(running: Running) -> None:
    client = triton.InferenceServerClient(running.server.address)
    many = np.resize(running.rows, (200_000, running.rows.shape[1]))
    with pytest.raises(InferenceServerException, match="timeout"):
        client.infer(NAME, [rows_of(many, binary=True)], timeout=1)
    client.close()
