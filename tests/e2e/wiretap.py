"""A TCP relay that keeps what the client sent: evidence of what left the process."""

import contextlib
import re
import socket
import threading
from collections import Counter

_NEW_ORDER = re.compile(rb"\x0135=D\x01.*?\x0111=([^\x01]+)\x01")
_FRAME = re.compile(rb"8=FIX\.4\.4\x01.*?\x0110=\d{3}\x01", re.DOTALL)


class WireTap:
    """Relays every connection to `upstream`; both ends see each other's EOF, after all bytes."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sent: list[bytearray] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def new_orders(self) -> Counter[bytes]:
        """How often each client order id left in a New Order Single."""
        frames = (frame for sent in self._sent for frame in _FRAME.findall(bytes(sent)))
        return Counter(match[1] for frame in frames if (match := _NEW_ORDER.search(frame)))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                venue = socket.create_connection(("127.0.0.1", self._upstream), 5.0)
            except OSError:
                client.close()
                continue
            venue.settimeout(None)
            sent = bytearray()
            self._sent.append(sent)
            for source, target, copy in ((client, venue, sent), (venue, client, None)):
                threading.Thread(
                    target=self._pump, args=(source, target, copy), daemon=True
                ).start()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket, copy: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if copy is not None:
                    copy += data
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        if copy is None:  # the venue is gone: nothing more can reach it
            with contextlib.suppress(OSError):
                source.close()
                target.close()
