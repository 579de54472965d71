"""Start ClickHouse, PostgreSQL and Redis on data folders and ports of their own, and stop them.

A server dies with the thread that started it (``setpriv --pdeathsig``), also when that is killed.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import Unavailable
from storage.servers.packages import Program, find

NOBODY = 65534
_START_SECS = 60.0
_STOP_SECS = 20.0
_POLL_SECS = 0.05

_CLICKHOUSE_CONFIG = """<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>{port}</tcp_port>
  <path>{folder}/data/</path>
  <tmp_path>{folder}/tmp/</tmp_path>
  <user_files_path>{folder}/user_files/</user_files_path>
  <format_schema_path>{folder}/schemas/</format_schema_path>
  <users_config>{folder}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <mark_cache_size>67108864</mark_cache_size>
  <uncompressed_cache_size>67108864</uncompressed_cache_size>
  <timezone>UTC</timezone>
</yandex>
"""
_CLICKHOUSE_USERS = """<yandex>
  <profiles><default><max_memory_usage>4000000000</max_memory_usage></default></profiles>
  <users><default>
    <password></password><networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile><quota>default</quota>
  </default></users>
  <quotas><default></default></quotas>
</yandex>
"""


@dataclass(slots=True)
class Server:
    """A server on loopback that can be stopped, frozen and started again on the same port.

    Attributes
    ----------
    folder : Path
        Its data and its log, ``server.log``.
    answers : callable
        Whether it is ready for commands; must not raise.
    """

    name: str
    port: int
    folder: Path
    command: Sequence[str]
    environment: dict[str, str]
    answers: Callable[[int], bool]
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises
        ------
        Unavailable
            When it exits or does not answer in time; the message ends with its log.
        """
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own servers)
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.folder,
            )
        deadline = time.monotonic() + _START_SECS
        while not self.answers(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"{self.name} did not start; its log ends:\n{self._tail()}")
            time.sleep(_POLL_SECS)

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise Unavailable(f"{self.name} is not running")
        return self._process.pid

    def stop(self) -> None:
        """Ask it to leave, and kill it when it does not; its data stay."""
        self._end(signal.SIGINT if self.name == "postgres" else signal.SIGTERM)

    def kill(self) -> None:
        """Kill it at once; its data stay as a crash leaves them."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop its clock: connections stay open and nothing is answered."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(_STOP_SECS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _signal_all(self, how: signal.Signals) -> None:
        """Signal the server and its children: PostgreSQL has a process for each connection."""
        for pid in (self.pid, *_children(self.pid)):
            os.kill(pid, how)

    def _tail(self) -> str:
        return (self.folder / "server.log").read_bytes()[-2_000:].decode(errors="replace")


@contextmanager
def clickhouse(packages: Path) -> Iterator[Server]:
    """Run a ClickHouse server (native protocol only, user ``default`` without a password)."""
    program, port = _program("clickhouse-server", packages), free_port()
    with _folder() as folder:
        for name, text in (("config", _CLICKHOUSE_CONFIG), ("users", _CLICKHOUSE_USERS)):
            (folder / f"{name}.xml").write_text(text.format(port=port, folder=folder))
        command = [str(program.path), f"--config-file={folder}/config.xml"]
        yield from _running("clickhouse", port, folder, program, command)


@contextmanager
def postgres(packages: Path) -> Iterator[Server]:
    """Run a PostgreSQL server: superuser ``postgres``, trusted on loopback."""
    program, port = _program("postgres", packages), free_port()
    with _folder() as folder:
        initdb = [str(program.path.with_name("initdb")), "-D", f"{folder}/data", "-U", "postgres"]
        options = ["-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        done = subprocess.run(  # noqa: S603 (our own servers)
            [*_as_user(), *initdb, *options],
            env=program.environment(),
            cwd=folder,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise Unavailable(f"initdb failed: {done.stderr.decode(errors='replace')[-500:]}")
        command = [str(program.path), "-D", f"{folder}/data", "-k", str(folder), "-p", str(port)]
        yield from _running("postgres", port, folder, program, [*command, "-h", "127.0.0.1"])


@contextmanager
def redis(packages: Path) -> Iterator[Server]:
    """Run a Redis server that keeps an append-only file."""
    program, port = _program("redis-server", packages), free_port()
    with _folder() as folder:
        options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
        command = [str(program.path), *options, "--appendonly", "yes"]
        yield from _running("redis", port, folder, program, command)


def free_port() -> int:
    """Return a port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _program(name: str, packages: Path) -> Program:
    found = find(name, packages)
    if found is None:
        raise Unavailable(f"there is no {name} here; `make servers` fetches it")
    return found


def _running(
    name: str, port: int, folder: Path, program: Program, command: list[str]
) -> Iterator[Server]:
    full = [*_as_user(), *command]
    server = Server(name, port, folder, full, program.environment(), _PROBES[name])
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _as_user() -> list[str]:
    """Prefix that ties a server to us and, for root, drops its rights: initdb refuses root."""
    drop = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return ["setpriv", *(drop if os.geteuid() == 0 else ()), "--pdeathsig", "KILL"]


@contextmanager
def _folder() -> Iterator[Path]:
    """Provide a folder that the server's user owns and can reach."""
    folder = Path(tempfile.mkdtemp(prefix="tickpath-server-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def _exchange(port: int, request: bytes) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as connection:
            connection.settimeout(1.0)
            connection.sendall(request)
            return connection.recv(16)
    except OSError:
        return b""


def _text(value: str) -> bytes:
    return bytes((len(value),)) + value.encode()


def _clickhouse_answers(port: int) -> bool:
    # The hello of the native protocol: client 1.1, revision 54_380, then who we are.
    revision = bytes((0xEC, 0xA8, 0x03))
    hello = b"\0" + _text("probe") + b"\1\1" + revision + _text("") + _text("default") + _text("")
    return bool(_exchange(port, hello))


def _postgres_answers(port: int) -> bool:
    # A start-up packet; an authentication request or a named error shows whether it takes clients.
    body = (196_608).to_bytes(4, "big") + b"user\0postgres\0database\0postgres\0\0"
    return _exchange(port, (len(body) + 4).to_bytes(4, "big") + body)[:1] == b"R"


def _redis_answers(port: int) -> bool:
    return _exchange(port, b"PING\r\n").startswith(b"+PONG")


_PROBES: dict[str, Callable[[int], bool]] = {
    "clickhouse": _clickhouse_answers,
    "postgres": _postgres_answers,
    "redis": _redis_answers,
}
