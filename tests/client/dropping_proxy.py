"""A TCP proxy that loses answers: the server did the work, and the client never hears of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class DroppingProxy:
    """`lose(n)`: of the next n connections the request gets through and the answer does not."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._to_lose = 0
        self.num_lost = 0
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def lose(self, num: int) -> None:
        self._to_lose = num

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            lose = self._to_lose > 0
            self._to_lose -= lose
            threading.Thread(target=self._carry, args=(client, lose), daemon=True).start()

    def _carry(self, client: socket.socket, lose: bool) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target_port)) as server:
            up = threading.Thread(target=_pump, args=(client, server), daemon=True)
            up.start()
            if lose:
                server.recv(65536)  # the server has answered: its work is done
                self.num_lost += 1
                client.shutdown(socket.SHUT_RDWR)
                return
            _pump(server, client)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


@contextmanager
def dropping_proxy(target_port: int) -> Iterator[DroppingProxy]:
    proxy = DroppingProxy(target_port)
    try:
        yield proxy
    finally:
        proxy.close()
