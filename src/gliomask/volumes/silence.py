"""Keeps other packages from speaking while files are read, in several threads at once. Knows no file format.

Loggers, warning filters and settings belong to the whole process: of threads that change and restore them by turns, one
restores what another had changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Lock


def shared(context: Callable[[], AbstractContextManager[None]]) -> Callable[[], AbstractContextManager[None]]:
    """Return a context that any number of threads may be in: the first enters `context`, the last to go leaves it."""
    lock, stack = Lock(), ExitStack()
    inside = 0

    @contextmanager
    def entered() -> Iterator[None]:
        nonlocal inside
        with lock:
            if not inside:
                stack.enter_context(context())
            inside += 1
        try:
            yield
        finally:
            with lock:
                inside -= 1
                if not inside:
                    stack.close()

    return entered


@contextmanager
def muted(*names: str) -> Iterator[None]:
    """Let these loggers, and those below them, say nothing."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
