"""Keeps Lightning from what it does to a process: advertising, warning of its own doings, ending it on Ctrl-C."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_EXPECTED_WARNINGS = (
    ".*does not have many workers.*",  # reading a few rows of a file needs none
    ".*is not supported for .* on this device.*",
    ".*in eval mode at the start of training.*",  # the moving average stays in it
    ".*recommended to use .*sync_dist.*",  # what is logged was summed over the processes already
    ".*LeafSpec.*",  # Lightning's own use of what PyTorch deprecates
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning from advertising, and from warning of its own doings."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt, now and later: Lightning turns it into an exit, and ignores all that follow.

    Raises
    ------
    KeyboardInterrupt
        In place of the SystemExit that Lightning makes of it.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():  # only there may a handler be set
            signal.signal(signal.SIGINT, handler)
