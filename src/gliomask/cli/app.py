"""Finds the command, runs it, and turns errors into one line and an exit status; with --json also into an object.

Knows the commands' names and nothing of what they do; a command's module is imported when it is asked for.
Exit status: 0 done, 1 inputs failed or the index found problems (listed), 2 wrong usage or a missing extra, 130
interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from io import TextIOWrapper

from gliomask.errors import GliomaskError, MissingExtraError, UsageError

COMMANDS = {
    "demo": "the whole road on simulated patients (or your own folder): train, evaluate, predict, pictures",
    "phantom": "simulate patients in the layout of the Kaggle data set",
    "fetch": "download the LGG data set from Kaggle",
    "index": "what is in a folder of slices, and what is wrong with it",
    "convert": "volumes with outlines (NIfTI, DICOM) made into a folder to train on",
    "explore": "figures of a data set: distribution, samples, masks, augmentations",
    "train": "train a network; makes a run folder with an exported model",
    "evaluate": "score a trained model, or masks of any program, patient by patient",
    "compare": "evaluated models side by side, with paired differences",
    "report": "one HTML page about a run: scores, curves, patients, missed tumours",
    "radiogenomics": "the shape of tumours against their molecular subtypes, manual and predicted",
    "leak": "what a split by slice adds to the score: trains both ways, scores the same slices",
    "predict": "masks and pictures for slices, NIfTI and DICOM",
    "serve": "the same on a web page of this computer, for those who use no command line",
    "export": "export the weights that a run keeps again",
    "models": "the models that come with gliomask, and the networks that can be trained",
}
_IN_PARALLEL = {"train", "leak"}
"""Commands that may run in several processes, the first of which talks to machines."""
_OPTIONAL = {
    **dict.fromkeys(("torch", "lightning", "safetensors", "onnx", "onnxscript", "tensorboard"), "train"),
    **dict.fromkeys(("starlette", "uvicorn"), "web"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # names of files need be no text, or none of this terminal's
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in {"-h", "--help"}:
        sys.stdout.write(_overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from gliomask import __version__

        sys.stdout.write(f"gliomask {__version__}\n")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        sys.stderr.write(f"gliomask: unknown command {command!r}; expected one of {', '.join(COMMANDS)}\n")
        return 2
    return _guarded(command, rest)


def _guarded(command: str, arguments: list[str]) -> int:
    complain = partial(_complain, command, arguments)
    try:
        status = import_module(f"gliomask.cli.{command}").main(arguments)
    except GliomaskError as error:
        return complain(str(error), 2 if isinstance(error, UsageError | MissingExtraError) else 1)
    except ModuleNotFoundError as error:
        extra = _OPTIONAL.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return complain(str(MissingExtraError(error.name or "", extra)), 2)
    except KeyboardInterrupt:
        return complain("interrupted; what was complete is kept", 130)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        if error.errno is None:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        cure = "check its name, its permissions and the space left"
        return complain(f"{where}{error.strerror}; expected a usable file or folder; {cure}", 1)
    return int(status)


def _complain(command: str, arguments: list[str], sentence: str, status: int) -> int:
    line = f"gliomask {command}: {sentence}"
    sys.stderr.write(line + "\n")
    if "--json" in arguments:
        from gliomask.training.environment import is_main_process

        if command not in _IN_PARALLEL or is_main_process():
            sys.stdout.write(json.dumps({"error": line}, indent=2) + "\n")
    return status


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: gliomask COMMAND [OPTIONS]",
            "",
            "Brain-MRI tumour segmentation: train, evaluate and run models whose scores can be believed.",
            "",
            *lines,
            "",
            "`gliomask COMMAND --help` shows a command's options; `gliomask --version` the version.",
            "Exit status: 0 done, 1 an input failed or `index` found a problem, 2 wrong usage or an extra is missing,",
            "130 interrupted.",
            "",
        ]
    )
