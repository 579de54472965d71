"""Where a version comes from, as tags that the registry can be searched by."""

import hashlib
import subprocess
from pathlib import Path

from models.manifest import Manifest

_ROOT = Path(__file__).resolve().parent.parent
UNKNOWN = "unknown"
LOCK = "requirements.lock"


def code_revision(root: Path = _ROOT) -> str:
    """Return the commit, with a hash of the changes on top of it; "unknown" without git."""
    revision = _git(root, "rev-parse", "--short=12", "HEAD")
    if not revision:
        return UNKNOWN
    changes = _git(root, "diff", "HEAD")
    return f"{revision}+{hashlib.sha256(changes.encode()).hexdigest()[:8]}" if changes else revision


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 (fixed arguments)
            ["git", "-C", str(root), *arguments],  # noqa: S607 (the user's git)
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def environment_hash(root: Path = _ROOT) -> str:
    """SHA-256 of the file that locks every package; "unknown" where it is not there."""
    try:
        return hashlib.sha256((root / LOCK).read_bytes()).hexdigest()
    except OSError:
        return UNKNOWN


def environment_tags() -> dict[str, str]:
    """Tell which packages a version was made with."""
    return {"environment_hash": environment_hash()}


def version_tags(manifest: Manifest) -> dict[str, str]:
    """Tell what a version was made from: data, spec, code, seed, cadence, horizon, trials."""
    names = (
        *("symbol", "family", "spec_name", "spec_fingerprint", "cadence", "horizon_ns"),
        *("data_hash", "code_revision", "seed", "trials", "holdout_start_ns"),
    )
    return {name: str(getattr(manifest, name)) for name in names}
