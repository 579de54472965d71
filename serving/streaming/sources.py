"""Rows of the sampled topics, from the running platform."""

from collections.abc import Iterator
from typing import Any

from core.instruments import InstrumentTable
from serving.ports import Platform
from serving.streaming.sampling import Sampler
from serving.views import QuoteView, StageView


def sampler_of(platform: Platform, instruments: InstrumentTable) -> Sampler:
    """Make what feeds quotes, positions and latency to the stream of `platform`."""

    def quotes() -> Iterator[tuple[str, Any, Any]]:
        for terms in instruments:
            quote = platform.newest_quote(terms.id)
            if quote is not None:
                view = QuoteView(terms.symbol, quote.bid, quote.ask, quote.ts_event, quote.seq)
                yield terms.symbol, quote.seq, view

    def positions() -> Iterator[tuple[str, Any, Any]]:
        view = platform.positions()
        yield view.account, view, view

    def latency() -> Iterator[tuple[str, Any, Any]]:
        for stage, found in platform.latencies().items():
            if found.samples:
                micros = [round(ns / 1e3, 1) for ns in (found.p50, found.p95, found.p99, found.max)]
                yield stage, found.samples, StageView(stage, found.samples, *micros)

    return Sampler(platform.hub, quotes, positions, latency)
