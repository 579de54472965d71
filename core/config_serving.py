"""Settings of the HTTP door and of the rows that it is asked for; see `core.config`."""

from dataclasses import dataclass, field
from typing import Literal

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingConfig:
    """The HTTP door and how often it looks at the champion alias.

    `keys` is the file of API keys (`tickpath keys`); without one everybody on this machine may do
    everything, and only loopback is listened on. `key` is the one that the commands show. Each
    principal may call `requests_per_sec` times, `burst_secs` of that at once; 0 sets no bound.
    Of all callers together `orders_per_sec` new or changed orders are taken, `orders_burst_secs` of
    that at once; more are refused with 503 before they are read. Cancels never are.
    Pages of `origins` may call, besides those of this machine. `certificate` and `private_key`,
    PEM files, make it HTTPS. Beside what trades, `versions_at_hand` model versions of together
    `versions_bytes` are kept loaded for requests of the inference protocol; those that `preload`
    names are loaded at the start and stay. The champion alias is looked at every `poll_secs`, give
    or take the share `poll_jitter` of it, so that many processes do not ask at once. When another
    process takes over, connections end with their next answer, at the latest after `drain_ms`.
    """

    __pydantic_config__ = _STRICT
    host: str = "127.0.0.1"
    port: int = 8080
    keys: str = ""
    key: str = field(default="", repr=False)
    requests_per_sec: float = 0.0
    burst_secs: float = 1.0
    orders_per_sec: float = 250.0
    orders_burst_secs: float = 0.1
    origins: tuple[str, ...] = ()
    certificate: str = ""
    private_key: str = ""
    versions_at_hand: int = 3
    versions_bytes: int = 100_000_000
    preload: tuple[str, ...] = ()
    poll_secs: float = 1.0
    poll_jitter: float = 0.2
    stream_queue: int = 1_000
    drain_ms: float = 250.0

    @property
    def url(self) -> str:
        """Where programs of this machine reach it."""
        scheme = "https" if self.certificate else "http"
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig:
    """Caches of feature rows that are asked for on demand; the tick path uses none of them.

    `second` is the second level: "memory" is in this process and needs no server, "redis" is shared
    by all processes at `url`. `store_ms` is the longest that a call to it may take; after
    `breaker_failures` in a row it is left alone for `breaker_open_ms`. Values of at least
    `compress_bytes` are compressed. `compute_ms` is the deadline of a computation, after which the
    last good row is given, marked stale. With "redis" each process tells its live rows to the
    others every `share_ms`; 0 tells none. Of networks `predictions` are kept for `prediction_secs`,
    for requests that ask for the same row again.
    """

    __pydantic_config__ = _STRICT
    rows: int = 1_000
    second: Literal["memory", "redis"] = "memory"
    second_bytes: int = 16_000_000
    url: str = "redis://127.0.0.1:6379/0"
    ttl_secs: float = 3_600.0
    store_ms: float = 2.0
    compress_bytes: int = 8_192
    write_queue: int = 1_000
    breaker_failures: int = 5
    breaker_open_ms: float = 1_000.0
    compute_ms: float = 25.0
    compute_threads: int = 2
    compute_queue: int = 16
    history_quotes: int = 5_000
    share_ms: float = 250.0
    predictions: int = 5_000
    prediction_secs: float = 30.0
