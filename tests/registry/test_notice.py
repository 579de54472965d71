"""Notices of new champions over a real Redis: heard at once, missed without harm."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from core.config import CacheConfig
from registry import notice
from registry.notice import listen, teller
from tests.redis_server import RedisServer


def test_a_notice_is_heard_also_after_redis_was_away(tmp_path: Path, monkeypatch: object) -> None:
    monkeypatch.setattr(notice, "_AGAIN_SECS", 0.05)  # type: ignore[attr-defined]
    server = RedisServer(tmp_path / "redis")
    server.start()
    try:
        asyncio.run(_walk(server))
    finally:
        server.kill()


async def _walk(server: RedisServer) -> None:
    config = CacheConfig(second="redis", url=server.url)
    heard = asyncio.Semaphore(0)
    listening = asyncio.create_task(listen(config, heard.release))
    tell = teller(config)
    await _once(heard)  # what changed before anybody listened
    tell("direction-EURUSD")
    await _once(heard)
    await asyncio.to_thread(server.kill)
    tell("direction-EURUSD")  # lost, and no harm done
    await asyncio.to_thread(server.start)
    await _once(heard)  # connected again
    tell("direction-EURUSD")
    await _once(heard)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def _once(heard: asyncio.Semaphore) -> None:
    async with asyncio.timeout(20):
        await heard.acquire()


def test_without_redis_nobody_is_told() -> None:
    tell: Callable[[str], None] = teller(CacheConfig(second="memory", url="redis://127.0.0.1:1/0"))
    tell("direction-EURUSD")
