"""Order and decision ids: never drawn by chance, never used twice, also after a crash."""

import hashlib
from contextlib import suppress

from core.errors import JournalError
from trading.ports import Journal
from trading.records import IdBlock, encode

MODEL_STRATEGY = "model"
BLOCK = 10_000
_SEPARATOR = "\x1f"


def client_order_id(account: str, key: str, *, model: bool = False) -> str:
    """Client order id of an idempotency key: 80 bits of BLAKE2b as 20 hexadecimal digits.

    The model's keys are a space of their own (BLAKE2's personalisation), so that no caller's key
    can take the place of a decision id. Should two keys ever meet in one id, the book refuses the
    second order.
    """
    text = f"{account}{_SEPARATOR}{key}".encode()
    space = MODEL_STRATEGY.encode() if model else b""
    return hashlib.blake2b(text, digest_size=10, person=space).hexdigest()


def decision_prefix(account: str) -> str:
    """First letters of the account's decision ids; the ledger holds those of all accounts."""
    return f"{account}-D"


def decision_number(decision_id: str, account: str) -> int | None:
    """Count of a decision id; None when it is of another account."""
    name, _, number = decision_id.rpartition("-D")
    return int(number) if name == account and number.isdecimal() else None


class IdBlocks:
    """Counted ids in blocks that are reserved in the journal, and synced, ahead of use.

    After a crash the rest of the block is given up, so that no id is ever used twice. When the
    journal has failed, counting goes on without reservation: then no order is sent any more, and
    decisions may still be watched.

    Parameters
    ----------
    journal : Journal
        Where blocks are reserved.
    prefix : str
        First letters of the ids; each prefix counts on its own.
    size : int
        Ids in a block.
    """

    def __init__(self, journal: Journal, prefix: str, size: int = BLOCK) -> None:
        self._journal = journal
        self.prefix = prefix
        self._size = size
        self._next = 1
        self._reserved = 1
        self._journaled = 1

    @property
    def journaled(self) -> int:
        """End of the newest block that the journal holds, where counting begins after a crash."""
        return self._journaled

    @property
    def next_number(self) -> int:
        """Number of the id that comes next."""
        return self._next

    def start_at(self, number: int) -> None:
        """Count on from `number`, with nothing reserved: after recovery, and in replay."""
        self._next = self._reserved = number

    def recover(self, block: IdBlock) -> None:
        """Skip the ids of a block that the journal holds."""
        if block.prefix == self.prefix and block.end > self._next:
            self._journaled = block.end
            self.start_at(block.end)

    def top_up(self) -> None:
        """Reserve the next block when half of the current one is used."""
        if self._reserved - self._next <= self._size // 2:
            self._reserve()

    def reserve_ahead(self) -> int:
        """Append the next block without a sync, when half of the current one is used.

        Returns the block's end, for `granted` once the journal is synced; 0 when none is due or
        the journal fails.
        """
        if self._reserved - self._next > self._size // 2:
            return 0
        end = max(self._reserved, self._next) + self._size
        try:
            self._journal.append(encode(IdBlock(self.prefix, end)))
        except JournalError:
            return 0
        self._journaled = end
        return end

    def granted(self, end: int) -> None:
        """Use the ids below `end`: their reservation is on the disk."""
        self._reserved = max(self._reserved, end)

    def take(self) -> str:
        """Return the next id, reserving a block first if none is left."""
        if self._next >= self._reserved:
            self._reserve()
        number, self._next = self._next, self._next + 1
        return f"{self.prefix}{number}"

    def _reserve(self) -> None:
        end = max(self._reserved, self._next) + self._size
        with suppress(JournalError):
            self._journal.append(encode(IdBlock(self.prefix, end)))
            self._journaled = end
            self._journal.sync()
        self._reserved = end
