"""Runs the web page: a socket, a folder that is gone at the end, and what answers. Knows no command line."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

import uvicorn

from gliomask import __version__
from gliomask.errors import UsageError
from gliomask.files import locked_folder, remove_left
from gliomask.inference.predictor import Predictor
from gliomask.serve.application import application
from gliomask.serve.guard import Guard, names_of
from gliomask.serve.jobs import Jobs
from gliomask.serve.upload import Limits
from gliomask.serve.uploads import Uploads

_HEX = re.compile("[0-9a-f]{32}")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Parameters
    ----------
    host
        Name or address of this computer.
    port
        0 takes one that is free.

    Raises
    ------
    UsageError
        If there is no such host, or the port is taken or not allowed.
    """
    try:
        return _listening(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            found, cure = f"port {port} is in use", "choose another --port, or 0 for any that is free"
        elif isinstance(error, PermissionError):
            found, cure = f"port {port} is not allowed to you", "choose one above 1023"
        else:
            found, cure = f"cannot listen at {host} ({error.strerror or error})", "choose another --host"
        raise UsageError(f"{found}; expected an address of this computer and a free port; {cure}") from error


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that is told to be one of TCP: then asyncio sends small answers at once, not 40 ms later."""
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two programs listen at one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen()
    except BaseException:
        listening.close()
        raise
    return listening


def address_of(listening: socket.socket) -> str:
    """Return the address of the page, as a browser on this computer takes it."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - how all addresses are written
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


@contextmanager
def server(
    predictor: Predictor, host: str, limits: Limits, ending: Callable[[], object] = lambda: None
) -> Iterator[uvicorn.Server]:
    """Yield what answers requests; all files that came, and all results, are gone after the block.

    Parameters
    ----------
    predictor
        The model.
    host
        Where it will listen: by this name it may be asked, too.
    limits
        How much is taken, and how long it is kept.
    ending
        Called when no more is answered, before the end of the studies in hand is waited for. Meanwhile signals are
        ignored (in the main thread): files that are being written would stay.
    """
    with _place() as folder:
        uploads, jobs = Uploads(folder, limits), Jobs(predictor)
        about = {
            "model": predictor.contract.name,
            "precision": predictor.precision,
            "version": __version__,
            "size": limits.size,
            "files": limits.files,
            "seconds": limits.seconds,
        }
        try:
            yield uvicorn.Server(_config(application(uploads, jobs, names_of(host), about)))
        finally:
            with _undisturbed():
                ending()
                uploads.clear()
                jobs.close()


@contextmanager
def _place() -> Iterator[Path]:
    """Yield a folder of which other users see nothing, gone after the block; remove those of servers that were killed.

    A server that was killed, or whose computer went down, could not do that itself, and the images of patients stayed.
    """
    temporary = Path(gettempdir()).resolve()
    prefix = f"gliomask-serve-{re.sub('[^A-Za-z0-9]+', '-', socket.gethostname())}-"  # locks may end at the computer

    def make() -> Path:
        folder = temporary / f"{prefix}{uuid.uuid4().hex}"
        folder.mkdir(mode=0o700)
        return folder

    remove_left(path for path in temporary.glob(f"{prefix}*") if _HEX.fullmatch(path.name.removeprefix(prefix)))
    folder, handle = locked_folder(make)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle is not None:
            os.close(handle)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore the signals that end a program, in the only thread that can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = {"SIGINT", "SIGTERM", "SIGHUP"} & signal.Signals.__members__.keys()
    before = {name: signal.signal(signal.Signals[name], signal.SIG_IGN) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(signal.Signals[name], handler)


def _config(app: Guard) -> uvicorn.Config:
    """Return how requests are answered: quietly, for what is asked names files and ids, and so do tracebacks."""
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
