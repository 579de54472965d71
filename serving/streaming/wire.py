"""uvicorn's WebSocket protocol with a door for frames that are ready made.

A message of the stream is one frame for all who listen; encoding and sending it by an ASGI call
per client costs some ten times as much. `StreamWire` is found in the scope of a connection.
"""

import socket
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request

EXTENSION = "tickpath.wire"
# Of the kernel: a peer that stops reading is noticed after this much, not after megabytes.
_KERNEL_BYTES = 65_536
_ABORT_SECS = 1.0
_TRY_LATER = 1013


class StreamWire(WebSocketsSansIOProtocol):
    """A connection that can be written to directly; satisfies `serving.streaming.client.Wire`."""

    drained: Callable[[], None] | None = None

    def handle_connect(self, event: Request) -> None:
        """Let the application find the connection in its scope."""
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][EXTENSION] = self

    def resume_writing(self) -> None:
        """Tell the listener that there is room again."""
        super().resume_writing()
        if self.drained is not None:
            self.drained()

    def narrow(self, drained: Callable[[], None]) -> None:
        """Keep little unsent, and call `drained` when there is room again."""
        self.drained = drained
        self.transport.set_write_buffer_limits(high=16_384, low=4_096)
        found = self.transport.get_extra_info("socket")
        if found is not None and found.family != socket.AF_UNIX:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)

    @property
    def unsent(self) -> int:
        """Bytes that neither kernel nor peer has taken."""
        return self.transport.get_write_buffer_size()

    def push(self, frame: bytes) -> None:
        """Send a frame unless the connection is going away."""
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.transport.write(frame)

    def cut(self, reason: str) -> None:
        """Say goodbye, and hang up if that is not heard."""
        self.push(Frame(Opcode.CLOSE, Close(_TRY_LATER, reason).serialize()).serialize(mask=False))
        self.close_sent = True
        self.loop.call_later(_ABORT_SECS, self.transport.abort)
