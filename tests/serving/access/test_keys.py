"""Keys: what opens a door, what does not, and what the file says."""

import hmac
import stat
from pathlib import Path
from typing import Any

import pytest

from core.errors import BadInput, NotFound, SettingsError
from serving.access import keys
from serving.access.keys import KeyFile, KeyRefused, KeyRing, mint
from serving.access.opening import FollowedKeys
from serving.access.roles import SCOPES_OF, Role, Scope

NOW = 1_700_000_000_000_000_000
SEC = 1_000_000_000


def test_a_key_opens_what_its_role_may() -> None:
    row, text = mint("ann", Role.TRADER, ["PAPER"], NOW)
    who = KeyRing([row]).find(text, NOW)
    assert (who.name, who.scopes) == ("ann", SCOPES_OF[Role.TRADER])
    assert who.owns("PAPER")
    assert not who.owns("OTHER")


def test_an_admin_cannot_trade_nor_lift_a_halt() -> None:
    assert not SCOPES_OF[Role.ADMIN] & {Scope.TRADE, Scope.RISK}


def wrong(text: str) -> list[str]:
    _, key_id, secret = text.split("_", 2)
    return [
        "", "tp", "tp_", f"tp_{key_id}", f"tp_{key_id}_", text[:-1], text + "A", text.upper(),
        f"xx_{key_id}_{secret}", f"tp_{'0' * 12}_{secret}", f"tp_{key_id}_{'A' * 43}",
        f"tp__{secret}", f" {text}", "\x00", "é" * 60,
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(15))
def test_a_wrong_key_opens_nothing_and_says_no_more_than_another(number: int) -> None:
    row, text = mint("ann", Role.ADMIN, ["*"], NOW)
    with pytest.raises(KeyRefused) as refused:
        KeyRing([row]).find(wrong(text)[number], NOW)
    assert str(refused.value) == str(KeyRefused())


def test_every_look_up_compares_hashes_of_one_length(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def compare(a: str, b: str) -> bool:
        compared.append((len(a), len(b)))
        return hmac.compare_digest(a, b)

    class Hmac:
        compare_digest = staticmethod(compare)

    monkeypatch.setattr(keys, "hmac", Hmac)
    row, text = mint("ann", Role.ADMIN, ["*"], NOW)
    ring = KeyRing([row])
    ring.find(text, NOW)
    for bad in wrong(text):
        with pytest.raises(KeyRefused):
            ring.find(bad, NOW)
    assert compared == [(64, 64)] * 16


@pytest.mark.parametrize(
    ("field", "opens"),
    [("expires_ns", False), ("revoked_ns", False), ("created_ns", True)],
)
def test_a_key_ends_when_it_expires_or_is_revoked(field: str, opens: bool) -> None:
    row, text = mint("ann", Role.VIEWER, ["*"], NOW)
    row = keys.msgspec.structs.replace(row, **{field: NOW})
    ring = KeyRing([row])
    assert ring.find(text, NOW - 1).name == "ann"
    if opens:
        assert ring.find(text, NOW).name == "ann"
    else:
        with pytest.raises(KeyRefused):
            ring.find(text, NOW)


def test_the_file_holds_no_secret_and_is_ours_alone(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys" / "keys.json")
    row, text = mint("ann", Role.VIEWER, ["*"], NOW)
    file.add(row)
    assert text.split("_", 2)[2] not in file.path.read_text()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert file.rows() == [row]


def test_a_second_key_of_a_name_is_refused_while_the_first_is_in_force(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    first, _ = mint("ann", Role.VIEWER, ["*"], NOW)
    file.add(first)
    with pytest.raises(BadInput, match="ann has a key"):
        file.add(mint("ann", Role.ADMIN, ["*"], NOW)[0])
    file.revoke(first.id, NOW)
    file.add(mint("ann", Role.ADMIN, ["*"], NOW)[0])
    with pytest.raises(NotFound, match="no key"):
        file.revoke("absent", NOW)


def test_rotation_leaves_both_good_for_the_overlap(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    old, old_text = mint("ann", Role.TRADER, ["A"], NOW, NOW + 100 * SEC)
    file.add(old)
    new, new_text = file.rotate(old.id, NOW + SEC, 10)
    assert (new.role, new.accounts) == (old.role, old.accounts)
    assert new.expires_ns == NOW + 101 * SEC
    ring = file.ring()
    for at, texts in ((NOW + 10 * SEC, (old_text, new_text)), (NOW + 11 * SEC, (new_text,))):
        assert all(ring.find(text, at).name == "ann" for text in texts)
    with pytest.raises(KeyRefused):
        ring.find(old_text, NOW + 11 * SEC)


def test_a_revoked_key_is_noticed_and_a_broken_file_opens_nothing(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    row, text = mint("ann", Role.VIEWER, ["*"], NOW)
    file.add(row)
    followed = FollowedKeys(str(file.path))
    assert ring_of(followed).find(text, NOW)
    file.revoke(row.id, NOW)
    followed.look()
    with pytest.raises(KeyRefused):
        ring_of(followed).find(text, NOW)
    file.path.write_text("[{]")
    followed.look()
    with pytest.raises(KeyRefused):
        ring_of(followed).find(text, NOW)


def ring_of(followed: FollowedKeys) -> Any:
    ring = followed.ring()
    assert ring is not None
    return ring


@pytest.mark.parametrize("content", [None, b"{}", b'[{"id": 1}]', b"\xff"])
def test_serving_does_not_start_on_a_bad_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"keys"):
        FollowedKeys(str(path))
