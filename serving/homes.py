"""Where an account keeps what must outlive the process, all under the configured home."""

from dataclasses import dataclass
from pathlib import Path

from core.config import Config
from core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Homes:
    """Folders of one account; accounts never share a journal or a FIX session.

    Attributes
    ----------
    journal, fix, venue : Path
        Order journal, our FIX session store, the simulated venue's state.
    sessions : Path
        Recorded sessions of all accounts.
    spill : Path
        Rows of the ledger that wait for its store.
    models : Path
        Verified local copies of model versions.
    audit : Path
        Chain of the calls that changed something, a file.
    handover : Path
        Local socket at which the next process asks for the account.
    """

    journal: Path
    fix: Path
    venue: Path
    sessions: Path
    models: Path
    spill: Path
    audit: Path
    handover: Path


def homes_of(config: Config) -> Homes:
    """Return the folders of the configured account.

    Raises
    ------
    SettingsError
        When the account's name cannot be a folder's.
    """
    home, account = config.storage.home, config.trading.account
    if not account or not account.replace("-", "").replace("_", "").isalnum():
        raise SettingsError(
            f"trading.account {account!r} may hold letters, digits, '-' and '_' only"
        )
    return Homes(
        journal=home / "journal" / account,
        fix=home / "fix" / account,
        venue=home / "venue" / account,
        sessions=home / "sessions",
        models=home / "models",
        spill=config.storage.spill / account,
        audit=home / "audit" / f"{account}.chain",
        handover=home / "handover" / f"{account}.socket",
    )
