"""A link to a server that can be cut: before a request, or after it, so that only the answer is lost."""

from __future__ import annotations

import contextlib
import socket
import threading


class CutLink:
    """Listens on ``port`` of loopback and forwards to *target*'s."""

    def __init__(self, target: int) -> None:
        self.target = target
        """Whoever connects from now on is led there."""
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
        """What the client says; a request may come in pieces, and its answers take another way."""
        loses_answer = threading.Event()
        try:
            far = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            near.close()
            return
        with near, far:
            threading.Thread(target=self._answer, args=(far, near, loses_answer), daemon=True).start()
            asked = b""
            with contextlib.suppress(OSError):
                while piece := near.recv(1 << 20):
                    if self.is_down:
                        break
                    asked = asked[-(1 << 16) :] + piece
                    word = self.lose_answers_to
                    if word is not None and word in asked:
                        self.lose_answers_to = None
                        loses_answer.set()
                    far.sendall(piece)
            for end in (near, far):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _answer(self, far: socket.socket, near: socket.socket, loses_answer: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while answer := far.recv(1 << 20):
                if loses_answer.is_set():
                    self.lost += 1
                    break
                near.sendall(answer)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
