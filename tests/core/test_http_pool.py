"""Calls over one pooled session: bounded, in order, outcomes instead of errors."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from core import http_pool
from core.http_pool import Answered, Call, Failed, HttpPool


class Site:
    """Answers at ``/<n>``; later calls are answered sooner."""

    def __init__(self) -> None:
        self.at_once = self.most_at_once = self.calls = 0
        self.peers: set[object] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.peers.add(request.transport.get_extra_info("peername"))
        name = request.match_info["name"]
        try:
            if name == "never":
                await asyncio.sleep(60)
            if name == "broken":
                request.transport.abort()
                return web.Response()
            if name == "moved":
                return web.Response(status=302, headers={"Location": "/1"})
            if name == "large":
                return web.Response(body=bytes(10_000))
            await asyncio.sleep((int(name) % 3) * 0.002)
            return web.Response(status=503 if int(name) == 13 else 200, text=name)
        finally:
            self.at_once -= 1


def on_site(test: Callable[[Site, str], Awaitable[None]]) -> None:
    async def run() -> None:
        site, application = Site(), web.Application()
        application.router.add_get("/{name}", site.answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        listening = web.TCPSite(runner, "127.0.0.1", 0)
        await listening.start()
        port = runner.addresses[0][1]
        try:
            await test(site, f"http://127.0.0.1:{port}")
        finally:
            await runner.cleanup()

    asyncio.run(run())


def test_outcomes_come_in_order_and_no_more_calls_run_than_are_allowed() -> None:
    async def test(site: Site, url: str) -> None:
        async with HttpPool() as pool:
            calls = [Call(f"{url}/{number}") for number in range(60)]
            found = [one async for one in pool.in_order(calls, parallel=5)]
        assert [one.body for one in found] == [str(number).encode() for number in range(60)]
        assert [one.status for one in found].index(503) == 13
        assert found[13].worth_retrying
        assert not found[13].ok
        assert site.most_at_once <= 5
        assert len(site.peers) <= 5, "connections are kept and used again"

    on_site(test)


def test_the_bounds_of_the_session() -> None:
    async def test(site: Site, url: str) -> None:
        async with HttpPool() as pool:
            connector, timeout = pool._session.connector, pool._session.timeout
            assert (connector.limit, connector.limit_per_host) == (100, 30)
            assert connector._keepalive_timeout == 30.0
            assert timeout.total == 5.0
            calls = [Call(f"{url}/{number}") for number in range(90)]
            found = [one async for one in pool.in_order(calls, parallel=90)]
            assert len(found) == 90
            assert site.most_at_once <= http_pool.PER_HOST

    on_site(test)


def test_what_goes_wrong_is_an_outcome_and_hurts_no_other_call() -> None:
    async def test(site: Site, url: str) -> None:
        async with HttpPool(total_secs=0.3, most_bytes=5_000) as pool:
            names = ("1", "broken", "2", "never", "large", "moved", "3")
            found = [one async for one in pool.in_order(Call(f"{url}/{name}") for name in names)]
            assert [type(one) for one in found] == [
                Answered, Failed, Answered, Failed, Failed, Answered, Answered,
            ]  # fmt: skip
            assert "no answer within 0.3 s" in found[3].reason
            assert not found[4].worth_retrying
            assert found[5].status == 302
            assert isinstance(await pool.call(Call("http://127.0.0.1:1/x")), Failed)
            assert not (await pool.call(Call("no address"))).worth_retrying

    on_site(test)


def test_leaving_early_cancels_what_is_begun() -> None:
    async def test(site: Site, url: str) -> None:
        async with HttpPool() as pool:
            outcomes = pool.in_order([Call(f"{url}/1"), *[Call(f"{url}/never")] * 40], parallel=8)
            assert (await anext(outcomes)).ok
            await outcomes.aclose()
            assert site.calls <= 9

    on_site(test)
