"""Settings groups of what looks after versions and files once they are there."""

from dataclasses import dataclass

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftConfig:
    """When the quotes after the training are no longer what a version was made with.

    Windows hold at most `window_rows` feature rows. Drift is told when something is over its
    threshold in `windows` of them on end; in one window of unchanged rows that happens by chance
    with a probability of `false_alarm`.
    """

    __pydantic_config__ = _STRICT
    window_rows: int = 1_024
    windows: int = 3
    false_alarm: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class HousekeepingConfig:
    """How long what runs leave behind is kept, in days; the newest of a kind always stays.

    `sessions_days` is for recordings, `copies_days` for local copies of versions that serve no
    more, `results_days` for built data sets and the results of flow runs. Zero keeps everything.
    """

    __pydantic_config__ = _STRICT
    sessions_days: float = 30.0
    copies_days: float = 30.0
    results_days: float = 7.0
