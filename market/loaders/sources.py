"""Which files of a path belong to a symbol."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import BadInput
from market.loaders.layout import Layout, detect, is_parquet, price_side

_SUFFIXES = (".csv", ".txt", ".parquet", ".gz")
_CURRENCIES = "USD EUR GBP JPY CHF AUD NZD CAD SEK NOK DKK SGD HKD CNH MXN ZAR TRY PLN XAU XAG"
_PAIR = re.compile(r"(?=({0})({0}))".format("|".join(_CURRENCIES.split())))


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or the bid file and the ask file of the same bars; `layouts` is empty for Parquet.

    Attributes
    ----------
    paths : tuple of Path
        (file,) or (bid file, ask file).
    layouts : tuple of Layout
        Of each text file.
    """

    paths: tuple[Path, ...]
    layouts: tuple[Layout, ...]

    @property
    def format(self) -> str:
        """Name of the format."""
        return self.layouts[0].format if self.layouts else "parquet"


def find(path: Path, symbol: str) -> list[Source]:
    """Find the sources of `symbol` at a file or in a folder.

    Raises
    ------
    BadInput
        When there is none, a file is of another symbol, a partner file is missing, the folder
        mixes formats, or something cannot be read.
    """
    with readable(path):
        return _find(path, symbol)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the system says of `path` (no right, damaged, gone) into BadInput naming it."""
    try:
        yield
    except OSError as error:
        said = " ".join((error.strerror or str(error)).split())
        raise BadInput(f"{error.filename or path.name} cannot be read: {said}") from None


def _find(path: Path, symbol: str) -> list[Source]:
    if not path.exists():
        raise BadInput(f"{path} does not exist")
    if path.is_file():
        _check_name(path, symbol)
        return [_source(path)]
    if not path.is_dir():
        raise BadInput(f"{path} is neither a file nor a folder")
    files = sorted(
        file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES and file.is_file()
    )
    ours = [file for file in files if symbol in _plain(file)]
    if not ours:
        found = ", ".join(file.name for file in files[:5]) or "no data file"
        raise BadInput(f"{path} holds no file for {symbol}; it holds {found}")
    sources = list({source.paths: source for source in map(_source, ours)}.values())
    formats = sorted({source.format for source in sources})
    if len(formats) > 1:
        raise BadInput(f"{path} mixes {' and '.join(formats)} files for {symbol}; name one file")
    return sources


def _plain(path: Path) -> str:
    return re.sub(r"[^A-Z0-9]", "", path.name.upper())


def _check_name(path: Path, symbol: str) -> None:
    named = {"".join(pair) for pair in _PAIR.findall(_plain(path))}
    if named and symbol not in named:
        raise BadInput(f"{path.name} is a file of {', '.join(sorted(named))}, not of {symbol}")


def _source(path: Path) -> Source:
    with readable(path):
        parquet = is_parquet(path)
    if parquet:
        return Source((path,), ())
    layout = detect(path)
    if layout.format != "fxcm":
        return Source((path,), (layout,))
    partner = _partner(path)
    if not partner.is_file():
        raise BadInput(f"{path.name} needs its other side, {partner.name}, beside it")
    other = detect(partner)
    if other.format != "fxcm":
        raise BadInput(f"{partner.name} has not the format of its other side, {path.name}")
    if price_side(path) == "bid":
        return Source((path, partner), (layout, other))
    return Source((partner, path), (other, layout))


def _partner(path: Path) -> Path:
    swap = {"bid": "ask", "Bid": "Ask", "BID": "ASK"}
    swap |= {ask: bid for bid, ask in swap.items()}
    pattern = r"(?<![A-Za-z])(" + "|".join(swap) + r")(?![A-Za-z])"
    return path.with_name(re.sub(pattern, lambda found: swap[found.group(1)], path.name, count=1))
