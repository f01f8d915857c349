"""ONNX Runtime and OpenVINO, imported where needed, and so that neither reports to anybody. Knows no network."""

from __future__ import annotations

import os
import sys
from threading import Lock
from types import ModuleType
from typing import Any

from gliomask.errors import MissingExtraError

_TELEMETRY = "openvino_telemetry"
_one_at_a_time = Lock()


def import_onnxruntime() -> Any:
    """Return the package ONNX Runtime, without its telemetry.

    By itself it keeps an identifier of the machine in the home directory and reports processes and sessions to a
    server. ``ORT_DISABLE_TELEMETRY`` stops that if it is set before the package is first imported in a process; builds
    for Windows have events of an older kind, too. A program that imported it before has what it has; one that set the
    variable itself is left its choice.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # noqa: PLC0415 - slow to import, and OpenVINO does without

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def import_openvino() -> Any:
    """Return the package OpenVINO, without its telemetry.

    By itself it tells a server of each import, without having asked, from a process that it starts for that, and waits
    for it when the program ends. Where the package of its telemetry cannot be imported, it goes on without. A program
    that imported OpenVINO before has what it has.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]  # None makes an import fail
    with _one_at_a_time:
        before = {_TELEMETRY: modules[_TELEMETRY]} if _TELEMETRY in modules else {}
        modules[_TELEMETRY] = None
        try:
            import openvino  # noqa: PLC0415 - a large package that few need
        except ModuleNotFoundError as error:
            raise MissingExtraError("openvino", "openvino") from error
        finally:
            modules.pop(_TELEMETRY, None)
            modules.update(before)
    return openvino
