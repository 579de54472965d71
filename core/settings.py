"""The only reader of the environment and of ``tickpath.toml``."""

import json
import os
from dataclasses import fields
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from core.config import (
    CacheConfig,
    Config,
    DecisionConfig,
    FeaturesConfig,
    FixConfig,
    MarketConfig,
    MemoryConfig,
    MlflowConfig,
    PrefectConfig,
    PromotionConfig,
    RiskConfig,
    ServingConfig,
    StorageConfig,
    TradingConfig,
    TrainingConfig,
    TuningConfig,
    VenueConfig,
)
from core.costs import CostModel
from core.errors import SettingsError
from core.instruments import DEFAULT_INSTRUMENTS
from core.upkeep import DriftConfig, HousekeepingConfig

PREFIX = "TICKPATH_"
FILE_VARIABLE = "TICKPATH_CONFIG"
ROOT_VARIABLE = "TICKPATH_ROOT"
_LAST_PORT = 65_535


class _Environment(EnvSettingsSource):
    """The environment, with lists written as JSON inside a group (``["EURUSD"]``)."""

    def __call__(self) -> dict[str, Any]:
        return {
            group: {name: _listed(value) for name, value in values.items()}
            for group, values in super().__call__().items()
        }


def _listed(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("["):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value  # the field's own type refuses it, by name


class _Settings(BaseSettings):
    """Environment over ``tickpath.toml`` over defaults, with unknown names refused."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    storage: StorageConfig = StorageConfig()
    market: MarketConfig = MarketConfig()
    features: FeaturesConfig = FeaturesConfig()
    memory: MemoryConfig = MemoryConfig()
    costs: CostModel = CostModel()
    training: TrainingConfig = TrainingConfig()
    tuning: TuningConfig = TuningConfig()
    decision: DecisionConfig = DecisionConfig()
    trading: TradingConfig = TradingConfig()
    risk: RiskConfig = RiskConfig()
    fix: FixConfig = FixConfig()
    venue: VenueConfig = VenueConfig()
    serving: ServingConfig = ServingConfig()
    cache: CacheConfig = CacheConfig()
    mlflow: MlflowConfig = MlflowConfig()
    prefect: PrefectConfig = PrefectConfig()
    promotion: PromotionConfig = PromotionConfig()
    drift: DriftConfig = DriftConfig()
    housekeeping: HousekeepingConfig = HousekeepingConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = TomlConfigSettingsSource(settings_cls, toml_file=settings_file())
        return init_settings, _Environment(settings_cls), file


def settings_file() -> Path:
    """``$TICKPATH_CONFIG``, or ``tickpath.toml`` in the current folder."""
    return Path(os.environ.get(FILE_VARIABLE, "tickpath.toml"))


def _refuse_unknown_groups() -> None:
    known = set(_Settings.model_fields)
    for name in os.environ:
        if not name.upper().startswith(PREFIX) or name in (FILE_VARIABLE, ROOT_VARIABLE):
            continue
        group = name[len(PREFIX) :].split("__")[0].lower()
        if group not in known or "__" not in name:
            raise SettingsError(
                f"environment variable {name} names no settings group; "
                f"groups: {', '.join(sorted(known))}"
            )


def _refuse_missing_file() -> None:
    named = os.environ.get(FILE_VARIABLE)
    if named is not None and not Path(named).is_file():
        raise SettingsError(f"{FILE_VARIABLE} names {named}, which is no file")


def _refuse_out_of_domain(config: Config) -> None:
    """Refuse numbers that no setting can have: none is negative, endless or not a number."""
    for group in fields(config):
        values = getattr(config, group.name)
        for setting in fields(values):
            value = getattr(values, setting.name)
            if isinstance(value, int | float | Decimal) and not 0 <= value < inf:
                raise SettingsError(f"setting {group.name}.{setting.name}: {value} is no amount")
            if setting.name == "port" and not 1 <= value <= _LAST_PORT:
                raise SettingsError(f"setting {group.name}.port: {value} is no port")
    if config.market.max_bad_rows > 1 or not 0 < config.training.holdout_fraction < 1:
        raise SettingsError("market.max_bad_rows and training.holdout_fraction are shares of one")
    _refuse_none_at_all(config)
    _refuse_useless_cache(config.cache)
    if config.features.skew_batch < 1:
        raise SettingsError("features.skew_batch is at least 1")
    for symbol in config.risk.symbols:
        DEFAULT_INSTRUMENTS.by_symbol(symbol)


def _refuse_none_at_all(config: Config) -> None:
    training, tuning = config.training, config.tuning
    if min(training.folds, training.trees, training.depth) < 1:
        raise SettingsError("training.folds, training.trees and training.depth are at least 1")
    if min(tuning.trials, tuning.batch) < 1:
        raise SettingsError("tuning.trials and tuning.batch are at least 1")


def _refuse_useless_cache(cache: CacheConfig) -> None:
    counts = (cache.breaker_failures, cache.compute_threads, cache.history_quotes, cache.rows - 1)
    times = (cache.store_ms, cache.compute_ms, cache.breaker_open_ms, cache.ttl_secs)
    if min(counts) < 1 or min(times) <= 0:
        raise SettingsError("cache: rows are at least 2, other counts 1, and times above zero")


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"setting {where}: {first['msg']}"


def load_config(**overrides: Any) -> Config:
    """Read all settings once.

    Parameters
    ----------
    **overrides
        Whole groups or dicts of fields that win over environment and file.

    Raises
    ------
    SettingsError
        For an unknown name, a misspelt group or a value out of its domain.
    """
    _refuse_unknown_groups()
    _refuse_missing_file()
    try:
        read = _Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    except ValueError as error:
        raise SettingsError(f"{settings_file()}: {error}") from None
    config = Config(**{name: getattr(read, name) for name in _Settings.model_fields})
    _refuse_out_of_domain(config)
    return config
