"""A recording that fails is told and counted; nobody else notices."""

from pathlib import Path
from typing import Any

import pytest

from core.config import DecisionConfig, RiskConfig, TradingConfig
from core.costs import CostModel
from serving.recorder import Recorder
from trading.events import Timer
from trading.recording import SessionHeader, SessionReader, SessionWriter


class Disk:
    """A file that takes `room` bytes, `chunk` at a time, and then raises."""

    closed = False

    def __init__(self, file: Any, room: int, chunk: int) -> None:
        self._file, self._room, self._chunk = file, room, chunk

    def write(self, data: Any) -> int:
        taken = min(len(data), self._chunk, self._room)
        if not taken:
            raise OSError(28, "No space left on device")
        self._room -= taken
        return int(self._file.write(data[:taken]))

    def close(self) -> None:
        self.closed = True
        self._file.close()


def recorder_on(path: Path, room: int, chunk: int = 7) -> Recorder:
    header = SessionHeader(
        decision_base=1, started_ns=1, trading=TradingConfig(), decision=DecisionConfig(),
        risk=RiskConfig(), costs=CostModel(), instruments=(),
    )  # fmt: skip
    recorder = Recorder()
    recorder.writer = SessionWriter(path, header, buffer=memoryview(bytearray(1)))
    recorder.writer._file = Disk(recorder.writer._file, room, chunk)  # type: ignore[assignment]
    return recorder


def test_a_short_write_is_completed(tmp_path: Path) -> None:
    recorder = recorder_on(tmp_path / "a.events", room=1 << 20)
    events = [Timer(now) for now in range(1, 20)]
    for event in events:
        recorder.write(event)
    recorder.close()
    reader = SessionReader(tmp_path / "a.events")
    assert list(reader.events()) == events
    assert reader.torn_bytes == 0


def test_a_full_disk_is_told_once_and_the_rest_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = recorder_on(tmp_path / "a.events", room=60)
    for now in range(1, 20):
        recorder.write(Timer(now))
    recorder.flush()
    recorder.close()
    assert recorder.failed
    read = list(SessionReader(tmp_path / "a.events").events())
    assert len(read) + 1 + recorder.lost == 19
    assert caplog.text.count("not recorded any more") == 1
