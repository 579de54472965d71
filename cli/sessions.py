"""Recorded sessions: what they came to, and whether a replay comes to the same."""

import re
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from backtest.arrivals import arrivals_of
from backtest.outcome import Comparison, Outcome, outcome_from_journal
from backtest.replay import StoredParts, fresh_account, replay_recording
from backtest.report import Report, make_report
from core.config import Config
from core.errors import BadInput, JournalCorrupt, NotFound
from core.instruments import InstrumentTable
from core.types import Decision
from models.inference.artifact import LoadedModel, load_verified
from models.manifest import FILE_NAME, file_entry
from serving.homes import Homes, homes_of
from storage.adapters import open_ledger, open_ticks
from trading.events import QuoteIn
from trading.ids import decision_number
from trading.journal_reader import read_journal
from trading.recording import SessionHeader, SessionReader
from venue.server import LOG_FILE, VenueStatus, read_status
from venue.store import read_log
from venue.tape import read_parts

_EVERY_DECISION = 1 << 31


class Replayed(NamedTuple):
    """A session as it was, as the replay has it, and how they compare."""

    session: Outcome
    replay: Outcome
    comparison: Comparison
    report: Report


def newest_session(config: Config) -> Path:
    """Return the configured account's newest recording; raises NotFound when there is none."""
    account = config.trading.account
    named = re.compile(rf"{re.escape(account)}-\d{{8}}-\d{{6}}-\d{{9}}\.events")
    folder = homes_of(config).sessions
    found = [path for path in sorted(folder.glob("*.events")) if named.fullmatch(path.name)]
    if not found:
        raise NotFound(f"account {account} has no recorded session under {folder}")
    return found[-1]


def replay_session(config: Config, path: Path) -> Replayed:
    """Replay a recording on the stored tape and compare it with journal and ledger.

    Raises
    ------
    BadInput
        When the file is no recording, or the tape it was traded on is not stored any more.
    """
    if not path.is_file():
        raise BadInput(f"there is no recording {path}")
    reader = SessionReader(path)
    header = reader.header
    config = replace(config, trading=header.trading)
    homes = homes_of(config)
    following = _next_header(path, header)
    expected = outcome_from_journal(
        _records(homes, following),
        fresh_account(header),
        _decisions(config, header, following),
        (event.quote for event in reader.events() if isinstance(event, QuoteIn)),
    )
    instruments = InstrumentTable(header.instruments)
    store = open_ticks(config.storage)
    status = _status(homes)
    tape = read_parts(store, instruments, status.parts).columns
    parts = StoredParts(instruments, store, lambda name, version: _model(homes, name, version))
    arrivals = arrivals_of(read_log(homes.venue / LOG_FILE), tape)
    reader.header = msgspec.structs.replace(header, recovered=_recovered(homes, header))
    comparison, outcome = replay_recording(reader, expected, tape, status.venue, arrivals, parts)
    report = make_report(outcome, tape, instruments, header.costs)
    return Replayed(expected, outcome, comparison, report)


def _next_header(path: Path, header: SessionHeader) -> SessionHeader | None:
    """Header of the account's session after this one, which says where this one's records end."""
    later = [other for other in sorted(path.parent.glob("*.events")) if other.name > path.name]
    for other in later:
        found = SessionReader(other).header
        if found.trading.account == header.trading.account:
            return found
    return None


def _records(homes: Homes, following: SessionHeader | None) -> list[bytes]:
    """Journal records up to the end of the session; read without taking the journal's lock."""
    if following is None:
        return _payloads(homes, None)
    return list(_recovered(homes, following))


def _recovered(homes: Homes, header: SessionHeader) -> tuple[bytes, ...]:
    """Journal records that the session began with."""
    if header.recovered or not header.journal_records:
        return header.recovered
    return tuple(_payloads(homes, header.journal_records))


def _payloads(homes: Homes, count: int | None) -> list[bytes]:
    """First `count` records of the journal, or all."""
    if not any(homes.journal.glob("segment-*.log")):
        raise BadInput(f"there is no journal under {homes.journal} to compare with")
    try:
        found = [entry.payload for entry in islice(read_journal(homes.journal), count)]
    except JournalCorrupt as error:
        raise BadInput(str(error)) from None
    if count is not None and len(found) < count:
        raise BadInput(f"the journal under {homes.journal} has fewer records than the session")
    return found


def _decisions(
    config: Config, header: SessionHeader, following: SessionHeader | None
) -> list[Decision]:
    """Decisions of the session from the ledger, in the order they were taken."""
    end = following.decision_base if following is not None else _EVERY_DECISION << 20
    with closing(open_ledger(config.storage)) as ledger:
        stored = ledger.decisions(limit=_EVERY_DECISION)
    account = config.trading.account
    counted = ((decision_number(row.decision_id, account), row) for row in stored)
    numbered = {number: row for number, row in counted if number is not None}
    last = header.decision_base
    taken = []
    for number in sorted(numbered):
        if header.decision_base <= number < end and number - last <= 1:
            taken.append(numbered[number])
            last = number
    return taken


def _status(homes: Homes) -> VenueStatus:
    status = read_status(homes.venue)
    if status is None:
        raise BadInput(f"the venue of the session left no status under {homes.venue}")
    return status


def _model(homes: Homes, name: str, version: str) -> LoadedModel:
    """Load the local copy; it was verified against the registry when it was served."""
    folder = homes.models / name / version
    if not folder.is_dir():
        raise BadInput(f"there is no local copy of {name} version {version} under {homes.models}")
    return load_verified(folder, file_entry(folder / FILE_NAME).sha256)
