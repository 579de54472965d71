"""Settings of a command that looks up feature specs, with the modules that hold your own."""

from core import settings
from core.config import Config
from features.user import load_modules


def load_config() -> Config:
    """Read the settings and import the modules that they name; raises BadInput."""
    config = settings.load_config()
    load_modules(config.features.modules)
    return config
