"""The application under uvicorn in a thread, and a wire that only listens."""

import socket
import threading
import time
from typing import Any

import msgspec
import uvicorn
from websockets.frames import Frame

from serving.access.guard import Access
from serving.app import create_app
from serving.streaming.wire import StreamWire


class Server:
    """Serves a platform on a free port."""

    def __init__(self, platform: Any, access: Access | None = None, **settings: Any) -> None:
        config = uvicorn.Config(
            create_app(platform, access), loop="uvloop", http="httptools", ws=StreamWire,
            ws_per_message_deflate=False, log_level="error", **settings,
        )  # fmt: skip
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self.socket],))

    def __enter__(self) -> "Server":
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self.socket.close()


class Heard:
    """A wire whose peer takes what `takes` allows; keeps the messages that were pushed."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.unsent = 0
        self.cut_for = ""

    def push(self, frame: bytes) -> None:
        self.frames.append(frame)

    def cut(self, reason: str) -> None:
        self.cut_for = reason

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [message for frame in self.frames for message in msgspec.json.decode(payload(frame))]

    @property
    def topics(self) -> set[str]:
        return {message["topic"] for message in self.messages}


def payload(frame: bytes) -> bytes:
    """Data of one unmasked WebSocket frame."""

    def read(data: bytearray, count: int) -> Any:
        found = bytes(data[:count])
        del data[:count]
        return found
        yield

    left = bytearray(frame)
    parser = Frame.parse(lambda count: read(left, count), mask=False)
    try:
        next(parser)
    except StopIteration as done:
        assert not left
        return bytes(done.value.data)
    raise AssertionError("an incomplete frame")
