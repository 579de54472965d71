"""Where each symbol's quotes come from, remembered beside the tick store.

One symbol has one source: simulated quotes never mix with real ones under the same name.
"""

import os
from pathlib import Path

import msgspec

from core.errors import BadInput

SIMULATOR = "simulator"
DUKASCOPY = "dukascopy"
_NAMED = (SIMULATOR, DUKASCOPY)
_FILE = "sources.json"


class Sources:
    """Source of each ingested symbol: ``simulator``, ``dukascopy``, or a file's or folder's path.

    Parameters
    ----------
    folder : Path
        Root of the tick store.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE

    def all(self) -> dict[str, str]:
        """Symbols and their sources, in order of symbol."""
        if not self._file.is_file():
            return {}
        try:
            found = msgspec.json.decode(self._file.read_bytes(), type=dict[str, str])
        except msgspec.DecodeError as error:
            raise BadInput(f"{self._file} cannot be read: {error}") from error
        return dict(sorted(found.items()))

    def resolve(self, symbol: str, wished: str, *, replace: bool) -> str:
        """Source to ingest from: the wished one, else the known one, else the simulator.

        Raises
        ------
        BadInput
            When the symbol has quotes of another source and they are not to be replaced.
        """
        known = self.all().get(symbol)
        source = known or SIMULATOR
        if wished:
            source = wished if wished in _NAMED else str(Path(wished).expanduser().resolve())
        if known not in (None, source) and not replace:
            raise BadInput(
                f"{symbol} already has quotes of {known}; they are not mixed with those of "
                f"{source}; `--replace` drops the stored ones first"
            )
        return source

    def remember(self, symbol: str, source: str) -> None:
        """Note the source of a symbol; atomic."""
        rows = {**self.all(), symbol: source}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(f".{os.getpid()}.tmp")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2))
        partial.replace(self._file)
