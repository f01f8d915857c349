"""Tensors into a safetensors file. Knows nothing of what they are."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from gliomask.files import whole_file


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write tensors by name, with texts in the header; whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written: the disk is full, say.
    """
    with whole_file(path) as part:
        try:
            save_file(dict(tensors), part, metadata=dict(metadata))
        except SafetensorError as error:  # which is no OSError
            raise OSError(errno.EIO, f"cannot be written ({error})", str(path)) from error
