"""The audit: kept in order, verified whole, taken up again after a crash."""

from pathlib import Path

import pytest

from core.errors import JournalCorrupt
from serving.access.audit import AuditLog, Call, read_calls

CALLS = [Call(n, "ann", "POST", f"/v1/orders/{n}", 201) for n in range(5)]


def write(path: Path, calls: list[Call]) -> None:
    log = AuditLog(path)
    for call in calls:
        log.write(call)
    log.close()


def test_calls_come_back_in_order_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "A.chain"
    write(path, CALLS[:2])
    write(path, CALLS[2:])
    assert list(read_calls(path)) == CALLS


def test_a_torn_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "A.chain"
    write(path, CALLS[:3])
    whole = path.read_bytes()
    for cut in range(1, 60):
        path.write_bytes(whole[:-cut])
        write(path, CALLS[3:4])
        kept = list(read_calls(path))
        assert kept[-1] == CALLS[3]
        assert kept[:-1] == CALLS[: len(kept) - 1]
        assert len(kept) == 3


def test_any_changed_byte_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "A.chain"
    write(path, CALLS)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            assert len(list(read_calls(path))) < len(CALLS)  # taken for a torn end
        except JournalCorrupt:
            continue


def test_a_changed_record_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "A.chain"
    write(path, CALLS)
    whole = bytearray(path.read_bytes())
    whole[45] ^= 1
    path.write_bytes(whole)
    with pytest.raises(JournalCorrupt, match=r"A\.chain"):
        AuditLog(path)
