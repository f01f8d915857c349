"""``gliomask convert``: a folder to train on from volumes with outlines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from gliomask.cli.console import Flag, OutputOptions, Printer, ends_like_ctrl_c, parse
from gliomask.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(OutputOptions):
    """Make a folder to train on, or to score, from volumes (NIfTI, DICOM) with outlines of the tumour.

    Slices are turned, scaled and cut as `predict` does it, and written with their masks in the layout of the Kaggle
    data set. Run again, it goes on with those who are new.
    """

    inputs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Folders (searched to any depth), NIfTI files and zips, as of `predict`: FLAIR, with T1 before and after contrast
    beside it in DICOM, BIDS and BraTS."""
    masks: Path | None = None
    """Folder of the outlines, called like the patients (P001.nii.gz, P001_seg.nii.gz, of DICOM also P001_seg.dcm);
    else beside each FLAIR."""
    labels: tuple[int, ...] = ()
    """Numbers (or segments) in the outlines that are tumour; all above 0 if not given."""
    series: str | None = None
    """Number or part of the description of the DICOM series that is FLAIR, where the descriptions do not tell."""
    size: int = 256
    """Side of the slices in pixels; one size for all patients."""
    out: Path
    """Folder to write to: one folder a patient, and volumes.csv with the distances in mm."""
    overwrite: Flag = False
    """Make patients anew who were made of other files or with other options."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; a patient who cannot be used is reported and the others go on (exit status 1)."""
    options = parse(ConvertOptions, "convert", arguments)
    if not options.inputs:
        raise UsageError("nothing to convert; expected folders, NIfTI files or zips with FLAIR volumes")
    from gliomask.conversion.convert import Conversion, convert_all
    from gliomask.conversion.finder import OutlineFinder
    from gliomask.studies.inputs import find_inputs

    conversion = Conversion(options.size, options.labels, overwrite=options.overwrite)
    printer, outlines = Printer(options), OutlineFinder(options.masks)
    with printer.progress("looking for studies") as progress:
        found = find_inputs(options.inputs, series=options.series, progress=progress)
    patients: list[dict[str, Any]] = []
    errors: list[str] = []
    converted = convert_all(found, outlines, options.out, conversion)
    with printer.progress("converting") as progress, closing(converted), ends_like_ctrl_c():
        for outcome in converted:
            if isinstance(outcome, dict):
                patients.append(outcome)
                _tell(outcome, printer)
            else:
                errors.append(outcome.reason)
                printer.error(outcome.reason)
            if progress is not None:
                progress(len(patients) + len(errors), len(found.studies) + len(found.errors))
    if patients:
        printer.line(f"{len(patients)} patients in {options.out}; `gliomask index {options.out}` checks them")
    printer.result({"folder": options.out, "patients": patients, "failed": len(errors), "errors": errors})
    return 1 if errors else 0


def _tell(patient: dict[str, Any], printer: Printer) -> None:
    spacing = " x ".join(f"{step:.3g}" for step in patient["spacing_mm"])
    alone = " (FLAIR alone)" if patient["sequences"] == ["flair"] else ""
    blank = f", {patient['left_out']} blank left out" if patient["left_out"] else ""
    done = " (done already)" if patient["skipped"] else ""
    printer.line(
        f"{patient['patient']}: {patient['slices']} slices{alone}, {patient['tumour_slices']} with tumour{blank}, "
        f"{spacing} mm, {patient['outline']}; {patient['folder']}{done}"
    )
    for warning in patient["warnings"]:
        printer.line(f"  NOTE: {warning}")
