"""``gliomask predict``: masks, and pictures of them, for slices, NIfTI files, DICOM series and folders of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from gliomask.cli.console import Flag, OutputOptions, Printer, ends_like_ctrl_c, parse
from gliomask.config import DeviceName, EngineName, PredictionPrecision
from gliomask.errors import UsageError
from gliomask.models.trained import DEFAULT
from gliomask.share import ALL, Share

if TYPE_CHECKING:
    from gliomask.studies.inputs import Inputs


@dataclass(frozen=True, kw_only=True)
class PredictOptions(OutputOptions):
    """Write a mask for each study, a summary, and pictures: contours, probabilities, and a GIF of a stack.

    TIFF and PNG slices, NIfTI files, DICOM series (folders or zips), BIDS data sets, and folders of many of them. The
    mask lies on the grid of the input. Where ``<slice>_mask`` lies beside a slice it is taken as the truth: drawn in
    green, and scored.
    """

    inputs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Files, folders (searched to any depth) and zips; ``<name>_<number>`` slices of a folder are one stack."""
    flair: Path | None = None
    """Instead of inputs: FLAIR of one patient (NIfTI, DICOM folder or zip), perhaps with --pre and --post."""
    pre: Path | None = None
    """T1 before contrast, resampled onto FLAIR's grid."""
    post: Path | None = None
    """T1 after contrast, resampled onto FLAIR's grid."""
    series: str | None = None
    """Number or part of the description of the DICOM series that is FLAIR, where the descriptions do not tell."""
    model: str = DEFAULT
    """Bundled model (`gliomask models`), run folder, or a model.onnx with its model.json beside it."""
    engine: EngineName = "auto"
    """What computes: auto is OpenVINO for bfloat16, and for int8 where it is installed; otherwise ONNX Runtime."""
    precision: PredictionPrecision = "auto"
    """float32: masks are the same on every processor; bfloat16 (OpenVINO) and int8 (8-bit integers) are faster, masks
    differ a little (docs/prediction.md); auto: float32, but bfloat16 where OpenVINO is installed and there is AMX."""
    device: DeviceName = "cpu"
    """cuda needs ONNX Runtime's GPU package."""
    threads: int = 0
    """Processor threads of the network: 0 takes one for each core, of which a container may have a share only."""
    flips: Flag = False
    """Predict every slice mirrored as well and average, for twice the time of the network."""
    smallest_component: float | None = None
    """Leave connected parts of a mask out that have fewer voxels than this fraction of the largest part's: 0 keeps all,
    1 only the largest. What the model asks for if not given."""
    out: Path = Path("predictions")
    """Folder for the results: one folder a study, summary.csv and summary.json."""
    probabilities: Flag = False
    """Write the probabilities too, as float32."""
    no_pictures: Flag = False
    """Masks and summaries only."""
    preview: Flag = False
    """Draw three planes through the tumour of each study."""
    overwrite: Flag = False
    """Predict studies that are done already once more, and replace their results."""
    part: str = "1/1"
    """K/N: of all studies that are found every N-th, from the K-th on. Calls with the other parts, on other machines,
    may have the same --out."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; a study that cannot be read is reported and the others go on (exit status 1)."""
    options = parse(PredictOptions, "predict", arguments)
    _check(options)
    part = Share.read(options.part)
    from gliomask.inference.predictor import Predictor
    from gliomask.results.batch import predict_all
    from gliomask.results.loaded import Keep

    printer, start = Printer(options), time.perf_counter()
    predictor = Predictor.load(
        options.model,
        engine=options.engine,
        precision=options.precision,
        device=options.device,
        threads=options.threads,
        flips=options.flips,
        smallest_component=options.smallest_component,
    )
    found = _find(options, printer)
    keep = Keep(
        pictures=not options.no_pictures,
        probabilities=options.probabilities,
        preview=options.preview,
        overwrite=options.overwrite,
    )
    results: list[dict[str, Any]] = []
    errors: list[str] = []
    predicted, mine = predict_all(found, predictor, options.out, keep, part), found.mine(part)
    if part != ALL:
        printer.line(f"part {part}: {len(mine.studies)} of {len(found.studies)} studies")
    with printer.progress("predicting") as progress, closing(predicted), ends_like_ctrl_c():
        for outcome in predicted:
            if isinstance(outcome, dict):
                results.append(outcome)
                _tell(outcome, printer)
            else:
                errors.append(outcome.reason)
                printer.error(outcome.reason)
            if progress is not None:
                progress(len(results) + len(errors), len(mine.studies) + len(mine.errors))
    if predictor.mirrored_seconds:
        spent, cost = time.perf_counter() - start, predictor.mirrored_seconds
        printer.line(f"--flips: the mirrored slices took {cost:.1f} of {spent:.1f} s")
    printer.result({"studies": results, "failed": len(errors), "errors": errors})
    return 1 if errors else 0


def _check(options: PredictOptions) -> None:
    if options.threads < 0:
        raise UsageError(f"--threads {options.threads}; expected a number of threads, or 0")
    if options.flair is None and (options.pre is not None or options.post is not None):
        raise UsageError("--pre and --post belong to one patient's --flair; expected that as well")
    if options.flair is not None and options.inputs:
        raise UsageError("--flair is one patient's; expected either that or inputs")
    if options.flair is None and not options.inputs:
        raise UsageError("nothing to predict; expected slices, NIfTI files, DICOM series, or folders of them")


def _find(options: PredictOptions, printer: Printer) -> Inputs:
    from gliomask.studies.inputs import Inputs, find_inputs
    from gliomask.studies.volume import VolumeStudy, named_study

    if options.flair is not None:
        found = Inputs((named_study(options.flair, options.pre, options.post, series=options.series),))
    else:
        with printer.progress("looking for studies") as progress:
            found = find_inputs(options.inputs, results=options.out, series=options.series, progress=progress)
    in_dicom = any(isinstance(study, VolumeStudy) and study.is_dicom for study in found.studies)
    if options.series is not None and found.studies and not in_dicom and not found.errors:
        raise UsageError(f"--series {options.series} chooses among DICOM series; expected DICOM, or leave it out")
    return found


def _tell(result: dict[str, Any], printer: Printer) -> None:
    printer.line(_told(result))
    for warning in result["warnings"]:
        printer.line(f"  NOTE: {warning}")


def _ml(volume: float) -> str:
    return f"{volume:.1f}" if volume >= 1 else f"{volume:.2g}"


def _told(result: dict[str, Any]) -> str:
    """Say in a line what was found."""
    parts = f" in {result['components']} parts" if result["components"] > 1 else ""
    if not result["tumour_voxels"]:
        size = "EMPTY MASK: no tumour found"
    elif result["volume_ml"] is None:
        size = f"{result['tumour_voxels']} pixels{parts}"
    else:
        size = f"{_ml(result['volume_ml'])} ml{parts}, largest diameter {result['largest_diameter_mm']:.0f} mm"
    dice = "" if result["dice"] is None else f", Dice {result['dice']:.4f}"
    done = " (done already)" if result["skipped"] else ""
    alone = " (FLAIR alone)" if result.get("sequences") == ["flair"] else ""
    return f"{result['study']}: {result['slices']} slices{alone}, {size}{dice}; {result['folder']}{done}"
