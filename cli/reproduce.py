"""``tickpath reproduce``: a registered version once more from stored quotes, byte by byte."""

from cli.configured import load_config
from cli.console import make_console, table
from cli.learn import known, known_number
from core.config import Config
from core.instruments import DEFAULT_INSTRUMENTS
from models.inference.artifact import load_verified
from models.manifest import model_name
from models.reproduce import Reproduction, reproduce
from registry.lineage import code_revision
from registry.loading import RegistryReader
from serving.homes import homes_of
from storage.adapters import open_ticks


def run_reproduce(symbol: str, version: str, *, any_code: bool) -> int:
    """Train a version again and print both hashes; the exit code is 0 when all is equal."""
    name, number = known(symbol), known_number(version)
    console = make_console()
    found = reproduce_version(load_config(), name, number, any_code=any_code)
    rows = [("registered", found.expected_sha256), ("made again", found.found_sha256)]
    title = f"{model_name(name)} version {number}: SHA-256 of {found.file}"
    console.print(table(title, ("which", "hash"), rows))
    for difference in found.differences:
        console.print(f"DIFFERENT: {difference}")
    if found.equal:
        console.print("equal to the byte")
    return 0 if found.equal else 1


def reproduce_version(config: Config, symbol: str, version: str, *, any_code: bool) -> Reproduction:
    """Fetch a version from the registry and train it again.

    Raises
    ------
    BadInput
        When quotes, code, a library or settings are not those that made the version.
    NotFound, Unavailable, ArtifactRefused
        When the registry has no such version, does not answer, or its files are not sound.
    """
    reader = RegistryReader(config.mlflow, homes_of(config).models)
    registered = reader.version(model_name(symbol), version)
    folder = reader.fetch(registered)
    model = load_verified(folder, registered.manifest_sha256)
    return reproduce(
        model.manifest,
        open_ticks(config.storage),
        DEFAULT_INSTRUMENTS.by_symbol(symbol),
        code_revision(),
        any_code=any_code,
    )
