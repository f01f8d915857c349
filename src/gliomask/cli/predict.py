"""``gliomask predict``: masks, and pictures of them, for slices and folders of slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from gliomask.cli.console import Flag, OutputOptions, Printer, parse
from gliomask.config import DeviceName, EngineName
from gliomask.errors import DataError, UsageError
from gliomask.models.trained import DEFAULT

if TYPE_CHECKING:
    from gliomask.inference.studies import Study


@dataclass(frozen=True, kw_only=True)
class PredictOptions(OutputOptions):
    """Write a mask for each slice, and for each study the pictures: probabilities, contours, and a GIF of a stack.

    Where ``<slice>_mask`` lies beside a slice it is taken as the truth: drawn in green, and scored.
    """

    inputs: tyro.conf.Positional[tuple[Path, ...]]
    """Slices (TIFF or PNG), or folders of them; ``<name>_<number>`` files of a folder are one stack."""
    model: str = DEFAULT
    """Bundled model (`gliomask models`), run folder, or a model.onnx with its model.json beside it."""
    engine: EngineName = "auto"
    """What computes: auto is OpenVINO where it is installed and the processor has bfloat16, else ONNX Runtime."""
    device: DeviceName = "cpu"
    """cuda needs ONNX Runtime's GPU package."""
    out: Path = Path("predictions")
    """Folder for the results, one folder a study."""
    probabilities: Flag = False
    """Write the probabilities too, as float32 TIFF."""
    no_pictures: Flag = False
    """Masks only."""
    overwrite: Flag = False
    """Replace masks that are there already."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; a study that cannot be read is reported and the others go on (exit status 1)."""
    options = parse(PredictOptions, "predict", arguments)
    if not options.inputs:
        raise UsageError("nothing to predict; expected slices, or folders of them")
    from gliomask.inference.predictor import Predictor
    from gliomask.inference.studies import find_studies
    from gliomask.reporting.results import Keep, predict_study

    printer = Printer(options)
    predictor = Predictor.load(options.model, engine=options.engine, device=options.device)
    studies = find_studies(options.inputs, results=options.out)
    _require_own_folders(studies)
    keep = Keep(pictures=not options.no_pictures, probabilities=options.probabilities, overwrite=options.overwrite)
    results: list[dict[str, Any]] = []
    failed = 0
    with printer.progress("predicting") as progress:
        for done, study in enumerate(studies, start=1):
            try:
                results.append(predict_study(study, predictor, options.out, keep))
            except DataError as error:
                printer.error(str(error))
                failed += 1
            if progress is not None:
                progress(done, len(studies))
    for result in results:
        dice = "" if result["dice"] is None else f", Dice {result['dice']:.4f}"
        found = f"{result['tumour_pixels']} pixels" if result["tumour_pixels"] else "EMPTY MASK: no tumour found"
        printer.line(f"{result['study']}: {result['slices']} slices, {found}{dice}; {result['folder']}")
    printer.result({"studies": results, "failed": failed})
    return 1 if failed else 0


def _require_own_folders(studies: Sequence[Study]) -> None:
    twice = [name for name, count in Counter(study.name for study in studies).items() if count > 1]
    if twice:
        raise UsageError(
            f"{twice[0]} is the name of several studies; expected different names, because results go to OUT/NAME; "
            "predict them one by one, each with its own --out"
        )
