"""``gliomask convert``: a folder to train on from volumes with outlines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from gliomask.cli.console import Flag, OutputOptions, Printer, parse
from gliomask.errors import DataError, GliomaskError, in_a_line

if TYPE_CHECKING:
    from gliomask.inference.inputs import Inputs
    from gliomask.inference.volume_study import VolumeStudy


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(OutputOptions):
    """Make a folder to train on, or to score, from volumes (NIfTI, DICOM) with outlines of the tumour.

    Slices are turned, scaled and cut as `predict` does it, and written with their masks in the layout of the Kaggle
    data set. Run again, it goes on with those who are new.
    """

    inputs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders (searched to any depth), NIfTI files and zips, as of `predict`: FLAIR, with T1 before and after contrast
    beside it in BIDS and BraTS."""
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
    from gliomask.conversion.convert import check_size, convert_study
    from gliomask.conversion.outlines import OutlineFinder
    from gliomask.inference.inputs import find_inputs

    check_size(options.size)
    printer, outlines = Printer(options), OutlineFinder(options.masks)
    with printer.progress("looking for studies") as progress:
        found = find_inputs(options.inputs, series=options.series, progress=progress)
    studies, failures = _apart(found, options.out)
    for failure in failures:
        printer.error(failure)
    patients: list[dict[str, Any]] = []
    with printer.progress("converting") as progress:
        for done, study in enumerate(studies, start=1):
            try:
                patients.append(
                    convert_study(
                        study,
                        outlines,
                        options.out,
                        size=options.size,
                        labels=options.labels,
                        overwrite=options.overwrite,
                    )
                )
                _tell(patients[-1], printer)
            except (GliomaskError, OSError, MemoryError) as error:
                failures.append(in_a_line(study.name, error, options.out))
                printer.error(failures[-1])
            if progress is not None:
                progress(done, len(studies))
    if patients:
        printer.line(f"{len(patients)} patients in {options.out}; `gliomask index {options.out}` checks them")
    printer.result({"folder": options.out, "patients": patients, "failed": len(failures), "errors": failures})
    return 1 if failures else 0


def _apart(found: Inputs, out: Path) -> tuple[list[VolumeStudy], list[str]]:
    """Return the volumes that get a folder of their own, and a line about everything else."""
    from gliomask.conversion.outlines import patient_name
    from gliomask.inference.studies import Study

    failures = [str(error) for error in found.errors]
    volumes: list[VolumeStudy] = []
    for study in found.studies:
        if not isinstance(study, Study):
            volumes.append(study)
        elif not study.slices[0].image.resolve().is_relative_to(out.resolve()):  # else made by an earlier call
            image, cure = study.slices[0].image, "train on them as they are (`gliomask index`)"
            failures.append(str(DataError(image, "slices already", "a volume, NIfTI or DICOM", cure)))
    named = Counter(patient_name(study) for study in volumes)
    for name in sorted(name for name, count in named.items() if count > 1):
        alike = [study.name for study in volumes if patient_name(study) == name]
        failures.append(
            f"{', '.join(alike)}: volumes of one patient, {name}; expected one; give one of them by its file"
        )
    return [study for study in volumes if named[patient_name(study)] == 1], failures


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
