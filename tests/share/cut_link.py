"""A link to a server that can be cut: before a request, or after it, so that only the answer is lost."""

from __future__ import annotations

import socket
import threading


class CutLink:
    """Listens on ``port`` of loopback and forwards to *target*'s."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lose_answers_to: bytes | None = None
        """Cut the link when the server answers a request that holds this."""
        self.lost = 0
        self.is_down = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.is_down:
                near.close()
                continue
            threading.Thread(target=self._forward, args=(near,), daemon=True).start()

    def _forward(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._target)) as far:
            try:
                while request := near.recv(1 << 20):
                    if self.is_down:
                        return
                    far.sendall(request)
                    answer = far.recv(1 << 20)
                    if self.lose_answers_to is not None and self.lose_answers_to in request:
                        self.lose_answers_to = None
                        self.lost += 1
                        return
                    near.sendall(answer)
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()
