"""Where the server programs are: on PATH, with Debian, or unpacked into a folder of ours.

``python -m storage.servers.packages FOLDER`` fetches what is missing and prints what it found.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from core.errors import Unavailable

_DEBIAN = {
    "clickhouse-server": ("clickhouse-server", "clickhouse-common"),
    "postgres": ("postgresql-15",),
    "redis-server": ("redis-server",),
}
_INSTALLED = Path("/usr/lib/postgresql")
_APT_SECS = 600


class Program(NamedTuple):
    """A server program and the folders of libraries that it needs beside the machine's own."""

    path: Path
    libraries: tuple[Path, ...] = ()

    def environment(self) -> dict[str, str]:
        """Return the environment to run it in."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        found = {"LD_LIBRARY_PATH": ":".join(map(str, self.libraries))} if self.libraries else {}
        return {**inherited, "LC_ALL": "C", **found}


def find(name: str, folder: Path) -> Program | None:
    """Look for a program (a key of what Debian has) without fetching anything."""
    on_path = shutil.which(name)
    if on_path:
        return Program(Path(on_path).resolve())
    for installed in sorted(_INSTALLED.glob(f"*/bin/{name}"), reverse=True):
        return Program(installed)
    if not (folder / f"{name}.complete").exists():
        return None
    unpacked = next(_programs(folder, name), None)
    return Program(unpacked, tuple(_library_folders(folder))) if unpacked else None


def install(name: str, folder: Path) -> Program:
    """Return the program, fetched from Debian's archive when it is not here yet.

    Raises
    ------
    Unavailable
        When apt is missing, the archive does not answer, or the packages lack the program.
    """
    found = find(name, folder)
    if found is not None:
        return found
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise Unavailable(f"{name} is not on PATH, and there is no apt-get to fetch it with")
    folder.mkdir(parents=True, exist_ok=True)
    _unpack(_DEBIAN[name], folder)
    (folder / f"{name}.complete").touch()
    found = find(name, folder)
    if found is None:
        raise Unavailable(f"Debian's packages {', '.join(_DEBIAN[name])} hold no {name}")
    return found


def _unpack(names: tuple[str, ...], folder: Path) -> None:
    """Download the packages and what they depend on, and unpack them side by side."""
    debs = folder / "debs"
    debs.mkdir(exist_ok=True)
    options = ["-o", "Debug::NoLocking=1"]
    listing = _plan(names, options)
    if listing is None:
        options += _own_lists(folder)
        _run(["apt-get", *options, "update", "-qq"], debs)
        listing = _plan(names, options)
    if not listing:
        raise Unavailable(f"apt knows no packages {', '.join(names)}")
    _run(["apt-get", *options, "download", "-qq", *listing], debs)
    for deb in sorted(debs.glob("*.deb")):
        _run(["dpkg", "-x", str(deb), str(folder)], debs)
        deb.unlink()


def _plan(names: tuple[str, ...], options: list[str]) -> list[str] | None:
    """Names of the packages that this machine lacks; None when apt has no list of packages."""
    command = ["apt-get", *options, "install", "--simulate", "-y", "--no-install-recommends"]
    run = subprocess.run(  # noqa: S603 (fixed arguments)
        [*command, *names], capture_output=True, text=True, check=False, timeout=_APT_SECS
    )
    if run.returncode != 0:
        return None
    return re.findall(r"^Inst (\S+)", run.stdout, re.MULTILINE)


def _own_lists(folder: Path) -> list[str]:
    """Let apt keep its lists with us, where a normal user may write."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / "apt" / part).mkdir(parents=True, exist_ok=True)
    places = {"Dir::State::Lists": "lists", "Dir::Cache": "cache"}
    return [word for key, part in places.items() for word in ("-o", f"{key}={folder}/apt/{part}")]


def _run(command: list[str], folder: Path) -> None:
    run = subprocess.run(  # noqa: S603 (fixed arguments)
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=_APT_SECS
    )
    if run.returncode != 0:
        raise Unavailable(f"{' '.join(command[:2])} failed: {run.stderr.strip()[-500:]}")


def _programs(folder: Path, name: str) -> Iterator[Path]:
    for place in ("usr/bin", "usr/sbin", "usr/lib/postgresql/*/bin"):
        yield from (path for path in folder.glob(f"{place}/{name}") if path.is_file())


def _library_folders(folder: Path) -> Iterator[Path]:
    for place in ("usr/lib/*-linux-gnu", "lib/*-linux-gnu", "usr/lib/clickhouse"):
        yield from folder.glob(place)


def main(arguments: list[str]) -> None:
    """Fetch everything and tell where it is."""
    folder = Path(arguments[0]).resolve()
    found: Mapping[str, Program] = {name: install(name, folder) for name in _DEBIAN}
    for name, program in found.items():
        sys.stdout.write(f"{name}: {program.path}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
