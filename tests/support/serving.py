"""A web page that tests ask, as a browser would, on a free port of this computer. Knows nothing of what they prove."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from gliomask.inference.predictor import Predictor

pytest.importorskip("uvicorn", reason="the extra web is not installed")

from gliomask.serve.server import listen, server
from gliomask.serve.upload import Limits


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks a server; nothing is changed on the way to it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Ask; headers are named with ``_`` for ``-``."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            lower = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, lower, answer.read())
        finally:
            connection.close()

    def new(self) -> str:
        answer = self.ask("POST", "/uploads")
        assert answer.status == 201
        return str(answer.json["id"])

    def put(self, upload: str, name: str, content: bytes) -> Answer:
        return self.ask("PUT", f"/uploads/{upload}/files/{quote(name)}", content)

    def send(self, *files: tuple[str, Path]) -> str:
        """Send files under names, and return the id of their upload."""
        upload = self.new()
        for name, path in files:
            assert self.put(upload, name, path.read_bytes()).status == 201
        return upload

    def predict(self, upload: str) -> Any:
        """Start a prediction, wait for its end, and return what is said of it."""
        assert self.ask("POST", f"/uploads/{upload}/predict").status == 202
        for _ in range(600):
            told = self.ask("GET", f"/uploads/{upload}").json
            if told["state"] in {"done", "failed"}:
                return told
            time.sleep(0.05)
        raise TimeoutError(upload)

    def result(self, upload: str, study: int, told: Any, name: str) -> bytes:
        """Return the file of a study that has this name."""
        number = [file["name"] for file in told["studies"][study]["files"]].index(name)
        return self.ask("GET", f"/uploads/{upload}/results/{study}/{number}").body


@contextmanager
def serving(model: str, limits: Limits | None = None, host: str = "127.0.0.1") -> Iterator[Client]:
    """Serve a model in a thread, as if it listened at ``host``."""
    with listen("127.0.0.1", 0) as listening, server(Predictor.load(model), host, limits or Limits()) as answering:
        thread = Thread(target=answering.run, args=([listening],))
        thread.start()
        try:
            yield Client(listening.getsockname()[1])
        finally:
            answering.should_exit = True
            thread.join()
