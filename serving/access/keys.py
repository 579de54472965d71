"""API keys: a short public id and a 256-bit secret, of which only the hash is kept.

A key reads ``tp_<id>_<secret>``. The secret is random, so that one SHA-256 is as good as a slow
password hash. Whatever is wrong with a key, one sentence is the answer, after the same comparison.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec

from core.errors import AppError, BadInput, NotFound, SettingsError
from serving.access.roles import SCOPES_OF, Principal, Role

_MARK = "tp"
_NOBODY = "0" * 64
_NS = 1_000_000_000


class KeyRefused(AppError):
    """A key that opens nothing; which of its parts is wrong is not said."""

    def __init__(self) -> None:
        super().__init__("an API key is needed: `Authorization: Bearer tp_...`, valid and in force")


class KeyRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key as the file holds it; times in ns UTC, 0 for never."""

    id: str
    name: str
    role: Role
    accounts: tuple[str, ...]
    secret_sha256: str
    created_ns: int
    expires_ns: int = 0
    revoked_ns: int = 0

    def in_force(self, now_ns: int) -> bool:
        """Tell whether the key is neither revoked nor expired."""
        revoked = self.revoked_ns and self.revoked_ns <= now_ns
        return not revoked and not (self.expires_ns and self.expires_ns <= now_ns)

    def principal(self) -> Principal:
        """Who holds the key."""
        return Principal(self.name, SCOPES_OF[self.role], frozenset(self.accounts))


def mint(
    name: str, role: Role, accounts: Iterable[str], now_ns: int, expires_ns: int = 0
) -> tuple[KeyRow, str]:
    """Make a key; return its row and the text that is shown once."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    row = KeyRow(key_id, name, role, tuple(accounts), _hash(secret), now_ns, expires_ns)
    return row, f"{_MARK}_{key_id}_{secret}"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class KeyRing:
    """Keys by id.

    Parameters
    ----------
    rows : iterable of KeyRow
    """

    def __init__(self, rows: Iterable[KeyRow] = ()) -> None:
        self._rows = {row.id: row for row in rows}

    def find(self, text: str, now_ns: int) -> Principal:
        """Return who holds the key `text`.

        Raises
        ------
        KeyRefused
            When it is malformed, foreign, expired or revoked.
        """
        mark, _, rest = text.partition("_")
        key_id, _, secret = rest.partition("_")
        row = self._rows.get(key_id)
        same = hmac.compare_digest(_hash(secret), row.secret_sha256 if row else _NOBODY)
        if not (row and same and mark == _MARK and row.in_force(now_ns)):
            raise KeyRefused
        return row.principal()


class KeyFile:
    """The file of keys; only commands write it, serving reads it again when it changes.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[KeyRow]:
        """Return what the file holds.

        Raises
        ------
        SettingsError
            When there is no such file, or it is none of ours.
        """
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=list[KeyRow])
        except OSError as error:
            raise SettingsError(f"keys cannot be read: {self.path}: {error.strerror}") from None
        except msgspec.DecodeError as error:
            raise SettingsError(f"{self.path} is no file of keys: {error}") from None

    def ring(self) -> KeyRing:
        """Return the keys, ready to look up; raises as `rows`."""
        return KeyRing(self.rows())

    def stamp(self) -> int:
        """Return what changes whenever the file does; 0 while it is missing."""
        try:
            found = self.path.stat()
        except OSError:
            return 0
        return hash((found.st_mtime_ns, found.st_ino, found.st_size))

    def add(self, row: KeyRow) -> None:
        """Add a key; raises BadInput when a key in force has its name."""
        rows = self.rows() if self.path.exists() else []
        if any(one.name == row.name and one.in_force(row.created_ns) for one in rows):
            raise BadInput(f"{row.name} has a key; rotate it, or revoke it first")
        self._write([*rows, row])

    def revoke(self, key_id: str, now_ns: int) -> KeyRow:
        """End a key at `now_ns`, which may lie ahead; raises NotFound."""
        rows = self.rows()
        found = next((row for row in rows if row.id == key_id), None)
        if found is None:
            raise NotFound(f"no key has the id {key_id}")
        ended = msgspec.structs.replace(found, revoked_ns=now_ns)
        self._write([ended if row.id == key_id else row for row in rows])
        return ended

    def rotate(self, key_id: str, now_ns: int, overlap_secs: int) -> tuple[KeyRow, str]:
        """Replace a key by a new one of the same holder; the old one ends after the overlap."""
        old = self.revoke(key_id, now_ns + overlap_secs * _NS)
        life = old.expires_ns - old.created_ns if old.expires_ns else 0
        row, text = mint(old.name, old.role, old.accounts, now_ns, now_ns + life if life else 0)
        self._write([*self.rows(), row])
        return row, text

    def _write(self, rows: list[KeyRow]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1))
        draft.replace(self.path)
