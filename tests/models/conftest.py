"""One small trained artifact for all tests that only read it."""

import pytest

from models.export import write_artifact
from tests.models.synthetic import Made, make_dataset, train_on


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    dataset = make_dataset()
    result = train_on(dataset, trials=2)
    folder = tmp_path_factory.mktemp("artifact")
    manifest, sha256 = write_artifact(folder, result, dataset, code_revision="abc")
    return Made(folder, manifest, sha256, result, dataset)
