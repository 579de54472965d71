"""A relay in a process of its own that notes when each message left for the venue.

``python -m benchmarks.fix_tap UPSTREAM FILE`` prints its port. Each line of the file is a time of
`perf_counter_ns`, which is the same clock in all processes of a Linux machine, and a MsgType.
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter_ns
from typing import NamedTuple, TextIO

import uvloop

_FRAME = re.compile(rb"\x0135=([^\x01]+)\x01.*?\x0110=\d{3}\x01", re.DOTALL)


class Left(NamedTuple):
    """A message that left, and when."""

    at_ns: int
    msg_type: str


class Tap(NamedTuple):
    """A running tap: its port, and the file it writes."""

    port: int
    file: Path

    def read(self) -> list[Left]:
        """Return what has left so far."""
        rows = (line.split() for line in self.file.read_text().splitlines())
        return [Left(int(row[0]), row[1]) for row in rows if len(row) == 2]


async def _pump(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, out: TextIO | None
) -> None:
    kept = b""
    while data := await source.read(65_536):
        target.write(data)
        if out is not None:
            now, kept, taken = perf_counter_ns(), kept + data, 0
            for match in _FRAME.finditer(kept):
                out.write(f"{now} {match[1].decode()}\n")
                taken = match.end()
            kept = kept[taken:]
            out.flush()
    target.close()


async def _main(upstream: int, file: str) -> None:
    with Path(file).open("a") as out:

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            theirs, ours = await asyncio.open_connection("127.0.0.1", upstream)
            await asyncio.gather(_pump(reader, ours, out), _pump(theirs, writer, None))

        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


@contextmanager
def fix_tap(upstream: int, file: Path) -> Iterator[Tap]:
    """Run a tap in front of `upstream`; it ends with the block."""
    command = [sys.executable, "-m", "benchmarks.fix_tap", str(upstream), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield Tap(int(process.stdout.readline()), file)
        finally:
            process.kill()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]), sys.argv[2]))
