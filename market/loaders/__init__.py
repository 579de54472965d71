"""Loaders: files of market data to clean columns of quotes, and a report on what was dropped."""

from market.loaders.load import load
from market.loaders.report import BadRow, Loaded, LoadReport

__all__ = ["BadRow", "LoadReport", "Loaded", "load"]
