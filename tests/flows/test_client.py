"""A run that failed is told in one sentence, as the error that ended it."""

from pathlib import Path

import pytest

from core.errors import BadInput, Conflict, NotFound, RecoverableError, Unavailable
from flows.client import FlowRunFailed, failure

PREFIX = "Flow run encountered an exception: "


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("BadInput", BadInput),
        ("core.errors.BadInput", BadInput),
        ("UnknownInstrument", BadInput),
        ("core.errors.SettingsError", BadInput),
        ("NotFound", NotFound),
        ("Conflict", Conflict),
        ("core.errors.Unavailable", Unavailable),
    ],
)
def test_what_the_caller_can_mend_is_raised_as_itself(
    said: str, kind: type[RecoverableError]
) -> None:
    sentence = "README.md has no known format: it begins with 'x'"
    error = failure("ingest", "FAILED", f"{PREFIX}{said}: {sentence}", Path("var/logs"))
    assert type(error) is kind
    assert str(error) == sentence


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (f"{PREFIX}ArtifactRefused: model.ubj has\nanother hash", "ArtifactRefused: model.ubj has "
         "another hash"),
        (f"{PREFIX}ValueError: 3", "ValueError: 3"),
        ("its worker was stopped", "its worker was stopped"),
    ],
)  # fmt: skip
def test_what_no_input_explains_names_the_log(message: str, told: str) -> None:
    error = failure("train", "CRASHED", message, Path("var/logs"))
    assert type(error) is FlowRunFailed
    assert str(error) == f"flow run train ended CRASHED: {told} (see var/logs/worker.log)"
