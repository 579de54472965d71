"""Settings groups: frozen, plain dataclasses, so that the live path never sees pydantic.

Each constructor gets its own group; `core.settings` is the only reader of the environment and of
``tickpath.toml``. Risk limits default to zero on purpose: a missing limit denies.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal

from core.config_serving import CacheConfig as CacheConfig  # noqa: PLC0414 - given on
from core.config_serving import ServingConfig as ServingConfig  # noqa: PLC0414 - given on
from core.costs import CostModel
from core.upkeep import DriftConfig, HousekeepingConfig

_STRICT = {"extra": "forbid"}

Family = Literal["trees", "tcn", "gru", "mlp"]
FAMILIES: tuple[Family, ...] = ("trees", "tcn", "gru", "mlp")


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    """Where things are kept; `home` holds every file the platform writes.

    Ticks are kept as Parquet files or on a ClickHouse server, the ledger in SQLite or on
    PostgreSQL; `tickpath store copy` brings what is there from one to the other. `query_threads`
    and `query_bytes` bound each query of ClickHouse. What a server does not take waits on the disk,
    at most `spill_bytes` of it. With `analysis_store` "clickhouse" decisions and latency samples
    are also written there; with `tick_bus` "redis" live quotes are also published on Redis Streams.
    Bars of a server are kept for `query_cache_secs`. Every `maintain_secs` (0 never) indexes are
    moved forward; quotes and samples older than `keep_days` are forgotten then, 0 keeps all.
    """

    __pydantic_config__ = _STRICT
    home: Path = Path("var")
    tick_store: Literal["parquet", "clickhouse"] = "parquet"
    ledger_store: Literal["sqlite", "postgres"] = "sqlite"
    clickhouse_url: str = "clickhouse://127.0.0.1:9000/default"
    postgres_url: str = "postgresql://tickpath@127.0.0.1:5432/tickpath"
    timeout_secs: float = 5.0
    query_threads: int = 2
    query_bytes: int = 2_000_000_000
    pool_min: int = 10
    pool_max: int = 50
    spill_bytes: int = 4_000_000_000
    analysis_store: Literal["none", "clickhouse"] = "none"
    tick_bus: Literal["none", "redis"] = "none"
    tick_bus_url: str = "redis://127.0.0.1:6379/0"
    query_cache_entries: int = 1_000
    query_cache_bytes: int = 64_000_000
    query_cache_secs: float = 60.0
    maintain_secs: float = 3_600.0
    keep_days: int = 0

    @property
    def ticks(self) -> Path:
        """Root of the Parquet tick store."""
        return self.home / "ticks"

    @property
    def ledger(self) -> Path:
        """SQLite ledger file."""
        return self.home / "ledger.sqlite"

    @property
    def spill(self) -> Path:
        """Rows that wait for a store."""
        return self.home / "spill"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketConfig:
    """How market data is read. `max_bad_rows` is a fraction of the rows of a file.

    Archives of Dukascopy are downloaded from `dukascopy_url`; the flow ``ingest`` takes the last
    `dukascopy_days` of them for a symbol whose source they are.
    """

    __pydantic_config__ = _STRICT
    max_bad_rows: float = 0.02
    mid_spread_pips: float = 1.0
    ring_capacity: int = 65_536
    dukascopy_url: str = "https://datafeed.dukascopy.com/datafeed"
    dukascopy_days: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesConfig:
    """Features of your own, and the watch over the live ones.

    `modules` are imported before a spec is looked up by name: what they register with
    `features.spec.register_spec` can be trained and served. Every `skew_check_secs` rows of the
    live features are compared with the batch, 0 never; at most `skew_batch` quotes are recomputed
    in one go.
    """

    __pydantic_config__ = _STRICT
    modules: tuple[str, ...] = ()
    skew_check_secs: float = 5.0
    skew_batch: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryConfig:
    """Budgets of serving by area, in MB of a million bytes; taken from the system at the start.

    Unreachable objects are collected when nothing has come in for `gc_idle_ms`, at least every
    `gc_secs` where that ever happens.
    """

    __pydantic_config__ = _STRICT
    market_data_mb: float = 100.0
    features_mb: float = 50.0
    predictions_mb: float = 30.0
    orders_mb: float = 20.0
    gc_idle_ms: float = 20.0
    gc_secs: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a model is made. Horizons and windows are in samples (closed bars or ticks).

    `features` is the family of the spec, `<family>-<cadence>` its name: "full"; "core", its
    simpler half; "cross", which adds the dollar's strength and so needs the quotes of all `peers`,
    in training and live; or one of your own.

    With `label` "barrier" the model learns which side would first have earned `barrier_pips` net of
    cost; what it earns is still measured over the horizon, as it is traded. `early_stopping` is the
    number of trees without gain on later rows after which no more are grown; 0 grows all `trees`.
    `combinatorial` adds the paths of CPCV(6, 2) to the report, for fifteen more fits.

    `family` is "trees" (XGBoost), a network over a `window` of feature rows ("tcn", "gru"), or
    "mlp", a network over one row. `objective` "return" has trees learn the size of the move instead
    of its side. Rows count by the independence of their labels; `class_weight` "balanced" lets both
    sides count alike, `cost_weight` "stake" lets a row count by what its wrong side would cost.
    The settings from `window` on are those of networks: an epoch draws `epoch_rows`, and `patience`
    is the number of epochs without gain on later rows after which there are no more.
    """

    __pydantic_config__ = _STRICT
    family: Family = "trees"
    objective: Literal["direction", "return"] = "direction"
    class_weight: Literal["none", "balanced"] = "none"
    cost_weight: Literal["none", "stake"] = "none"
    cadence: Literal["auto", "bar", "tick"] = "auto"
    features: str = "full"
    peers: tuple[str, ...] = ("EURUSD", "GBPUSD", "USDJPY")
    label: Literal["horizon", "barrier"] = "horizon"
    barrier_pips: float = 5.0
    calibration: Literal["platt", "isotonic"] = "platt"
    early_stopping: int = 20
    combinatorial: bool = False
    horizon_bars: int = 15
    horizon_secs: float = 60.0
    holdout_fraction: float = 0.2
    folds: int = 4
    embargo_samples: int = 60
    trees: int = 200
    depth: int = 4
    learning_rate: float = 0.05
    min_child_weight: float = 10.0
    subsample: float = 0.8
    colsample_bytree: float = 0.8
    reg_lambda: float = 10.0
    seed: int = 7
    window: int = 64
    channels: int = 16
    epochs: int = 20
    patience: int = 4
    epoch_rows: int = 4_096
    batch_rows: int = 256
    dropout: float = 0.1
    weight_decay: float = 0.001
    network_rate: float = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningConfig:
    """How parameters are searched for.

    A `batch` of trials is tried without knowing of each other's results, so that the search ends
    the same on any number of cores; `startup` trials are drawn at random first, and none is pruned
    before as many are complete. `workers` is how many are tried at once; 0 takes every core.
    """

    __pydantic_config__ = _STRICT
    trials: int = 20
    batch: int = 4
    startup: int = 8
    workers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionConfig:
    """Decision policy: when an edge is worth acting on.

    `min_sureness` is the share of the half-width of the move's conformal interval that an edge must
    reach: at 1 only a move that is a gain all over its interval is traded, 0 asks for nothing.
    """

    __pydantic_config__ = _STRICT
    margin_pips: float = 0.1
    min_sureness: float = 0.0
    max_quote_age_ms: float = 2_000.0
    max_spread_pips: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingConfig:
    """The account, the strategy's size, and how long an order may stay unacknowledged.

    `strict_sync` has every order wait for the disk before it is sent. A record that waits longer
    than `sync_stall_ms` for the disk halts trading. Every `snapshot_records` records of the journal
    the account is stored, so that a start replays no more than those.
    """

    __pydantic_config__ = _STRICT
    account: str = "PAPER"
    currency: str = "USD"
    balance: Decimal = Decimal(100_000)
    order_lots: Decimal = Decimal("0.10")
    ack_timeout_ms: float = 2_000.0
    enabled_at_start: bool = False
    strict_sync: bool = False
    sync_stall_ms: float = 1_000.0
    snapshot_records: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskConfig:
    """Pre-trade limits. Zero, the default, denies: each limit must be stated to trade.

    Money is in account currency. A day's loss is counted from 17:00 New York, a drawdown from the
    highest equity; at the ``_reducing`` amount positions may only shrink, at ``_halted`` trading
    stops until a human enables it. Rates are per strategy and symbol. A strategy whose orders in
    one symbol and side are executed `max_executions` times within the window is switched off.
    """

    __pydantic_config__ = _STRICT
    symbols: tuple[str, ...] = ()
    max_order_lots: Decimal = Decimal(0)
    max_order_notional: Decimal = Decimal(0)
    max_position_lots: Decimal = Decimal(0)
    max_instrument_notional: Decimal = Decimal(0)
    max_gross_notional: Decimal = Decimal(0)
    max_net_notional: Decimal = Decimal(0)
    max_currency_notional: Decimal = Decimal(0)
    max_open_orders: int = 0
    min_equity: Decimal = Decimal(0)
    collar_pips: float = 0.0
    max_quote_age_ms: float = 0.0
    duplicate_window_ms: float = 0.0
    day_loss_reducing: Decimal = Decimal(0)
    day_loss_halted: Decimal = Decimal(0)
    drawdown_reducing: Decimal = Decimal(0)
    drawdown_halted: Decimal = Decimal(0)
    max_orders_per_sec: float = 0.0
    order_burst: int = 0
    max_cancels_per_sec: float = 0.0
    cancel_burst: int = 0
    max_executions: int = 0
    executions_window_secs: float = 0.0
    max_decision_age_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FixConfig:
    """Our side of the FIX sessions: orders (durable) and market data (reset at logon)."""

    __pydantic_config__ = _STRICT
    host: str = "127.0.0.1"
    port: int = 9878
    sender: str = "TICKPATH"
    target: str = "VENUE"
    heartbeat_secs: int = 10
    reconnect_min_ms: float = 50.0
    reconnect_max_ms: float = 2_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueConfig:
    """The simulated venue. `speed` is tape time over real time; 0 means no pause at all.

    Orders wait `latency_ms`, or what is drawn from `latency_file`: a line for each measured
    latency, in ms. `faults_per_min` connections misbehave a minute, on average, for the first
    `faults_secs`; 0 is never. `seed` is behind every draw.
    """

    __pydantic_config__ = _STRICT
    speed: float = 60.0
    max_quotes_per_sec: float = 1_000.0
    latency_ms: float = 0.2
    latency_file: str = ""
    partial_ratio: float = 0.2
    reject_ratio: float = 0.02
    faults_per_min: float = 0.0
    faults_secs: float = 600.0
    seed: int = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowConfig:
    """The MLflow server that `tickpath up` starts, or one that runs already."""

    __pydantic_config__ = _STRICT
    host: str = "127.0.0.1"
    port: int = 5000
    experiment: str = "tickpath"

    @property
    def url(self) -> str:
        """Base address of the tracking server."""
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefectConfig:
    """The Prefect server that `tickpath up` starts, or one that runs already."""

    __pydantic_config__ = _STRICT
    host: str = "127.0.0.1"
    port: int = 4200

    @property
    def api_url(self) -> str:
        """Address of the Prefect API."""
        return f"http://{self.host}:{self.port}/api"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionConfig:
    """Who lets a version trade whose gates all passed: nobody (auto) or a person (manual).

    `policy` names a file of gates; empty stands for the project's own, ``registry/policy.toml``.
    """

    __pydantic_config__ = _STRICT
    mode: Literal["auto", "manual"] = "auto"
    approval_timeout_secs: int = 86_400
    policy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All groups together."""

    storage: StorageConfig = field(default_factory=StorageConfig)
    market: MarketConfig = field(default_factory=MarketConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    costs: CostModel = field(default_factory=CostModel)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tuning: TuningConfig = field(default_factory=TuningConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    trading: TradingConfig = field(default_factory=TradingConfig)
    risk: RiskConfig = field(default_factory=RiskConfig)
    fix: FixConfig = field(default_factory=FixConfig)
    venue: VenueConfig = field(default_factory=VenueConfig)
    serving: ServingConfig = field(default_factory=ServingConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    mlflow: MlflowConfig = field(default_factory=MlflowConfig)
    prefect: PrefectConfig = field(default_factory=PrefectConfig)
    promotion: PromotionConfig = field(default_factory=PromotionConfig)
    drift: DriftConfig = field(default_factory=DriftConfig)
    housekeeping: HousekeepingConfig = field(default_factory=HousekeepingConfig)
