"""Writes volumes and their outlines as patients' folders of slices. Knows no command."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gliomask.conversion.finder import OutlineFinder, folders, patient_name
from gliomask.conversion.labelled import LabelledSlices, label
from gliomask.conversion.record import RECORD, Record, read_record, read_records, read_table, write_table
from gliomask.data.spacings import KEY
from gliomask.errors import DataError, Failure, GliomaskError, MissingExtraError, ResultExistsError, UsageError, failure
from gliomask.files import file_sha256, remove_interrupted, whole_folder
from gliomask.studies.inputs import Inputs
from gliomask.studies.slices import Study
from gliomask.studies.volume import VolumeStudy
from gliomask.volumes.slices import write_image, write_mask

_SMALLEST, _LARGEST = 32, 1024
_ENDINGS = ".tif", "_mask.tif"


@dataclass(frozen=True)
class Conversion:
    """How volumes are converted.

    Attributes
    ----------
    size
        Side of the slices in pixels; 256 is that of the public data set.
    labels
        Which numbers (or segments) in the outlines are tumour; all above 0 if there are none.
    overwrite
        Whether patients are made anew who were made of other files or in another way.

    Raises
    ------
    UsageError
        If the size is below 32 or above 1024 pixels, or a label below 1.
    """

    size: int = 256
    labels: Sequence[int] = ()
    overwrite: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not _SMALLEST <= self.size <= _LARGEST:
            raise UsageError(f"slices of {self.size} pixels; expected {_SMALLEST} to {_LARGEST}")
        if min(self.labels, default=1) < 1:
            raise UsageError(f"label {min(self.labels)}; expected numbers from 1, for 0 is what is no tumour")


def convert_all(
    found: Inputs, outlines: OutlineFinder, out: Path | str, conversion: Conversion = Conversion()
) -> Generator[dict[str, Any] | Failure]:
    """Make a folder to train on, or to score, as `gliomask convert` does.

    Parameters
    ----------
    found
        What `gliomask.find_inputs` returned: volumes. Slices in ``out`` itself, of an earlier call, are passed over.
    outlines
        Where the outlines are.
    out
        The folder, in the layout of the Kaggle data set: one folder a patient, and ``volumes.csv`` with the distances
        in mm, which is written at the end, also of an iteration that was broken off. What an earlier call that was
        killed left of a patient is removed.
    conversion
        How they are converted.

    Yields
    ------
    dict or Failure
        For each patient: patient, folder, slices, tumour_slices, left_out (blank slices at both ends), spacing_mm (of
        slices, rows and columns), sequences, outline, warnings, and skipped (whether the patient was there already,
        made of the same files in the same way); or why there is none. First what cannot be converted at all.

    Raises
    ------
    DataError
        At the first patient, if there is a ``volumes.csv`` in the folder that is no table of volumes.
    UsageError
        At the first patient, if there are slices of another size and nothing is to be replaced.
    MissingExtraError
        If an outline is a DICOM segmentation and highdicom is not installed.
    """
    out = Path(out)
    read_table(out)
    known = read_records(out)
    patients, failures = _patients(found, outlines)
    _require_size(out, known, conversion, {patient_name(study) for study, _ in patients})
    remove_interrupted(out)
    yield from failures
    try:
        for study, outline in patients:
            try:
                record = _convert(study, outline, out, conversion, known)
            except MissingExtraError:
                raise
            except (GliomaskError, OSError, MemoryError) as error:
                yield failure(study.name, error, out / patient_name(study))
            else:
                skipped = record is known.get(record[KEY])
                known[record[KEY]] = record
                yield _told(record, out) | {"skipped": skipped}
    finally:
        if known:
            write_table(out, read_records(out))  # another call may have added some


def _require_size(out: Path, known: Mapping[str, Record], conversion: Conversion, made: Set[str]) -> None:
    """Make sure that all slices of a folder will be of one size."""
    staying = (record for name, record in known.items() if not (conversion.overwrite and name in made))
    if others := {record["size"] for record in staying} - {conversion.size}:
        raise UsageError(
            f"{out} holds slices of {min(others)} pixels; expected --size {min(others)}, or another --out, or "
            "--overwrite with all of its patients"
        )


def _patients(found: Inputs, outlines: OutlineFinder) -> tuple[list[tuple[VolumeStudy, Path]], list[Failure]]:
    """Return the volumes that get a folder each, with their outlines, and what has to be said of all others."""
    failures = [Failure(Path(error.path).name, str(error)) for error in found.errors]
    pairs: list[tuple[VolumeStudy, Path]] = []
    volumes = [study for study in found.studies if isinstance(study, VolumeStudy)]
    above = {id(study): {folder.name for folder in folders(study)} for study in volumes}
    everywhere = set().union(*above.values())
    for study in found.studies:
        if isinstance(study, Study):
            image = study.slices[0].image
            if not read_record(image.parent):  # else made by an earlier call
                cure = "train on them as they are (`gliomask index`)"
                error = DataError(image, "slices already", "a volume, NIfTI or DICOM", cure)
                failures.append(Failure(study.name, str(error)))
            continue
        try:
            pairs.append((study, outlines.of(study, everywhere - above[id(study)])))
        except DataError as error:
            failures.append(Failure(study.name, str(error)))
    alike = _alike((patient_name(study).casefold(), study) for study, _ in pairs)
    shared = _alike((str(outline.resolve()), study) for study, outline in pairs)
    for studies in alike.values():
        said = f"volumes of one patient, {patient_name(studies[0])}; expected one; leave one out"
        failures.append(Failure(studies[0].name, f"{_names(studies)}: {said}"))
    for outline, studies in shared.items():
        said = f"the outline of {_names(studies)}; expected one for each; call it like its patient"
        failures.append(Failure(studies[0].name, f"{outline}: {said}"))
    refused = {id(study) for studies in (*alike.values(), *shared.values()) for study in studies}
    return [pair for pair in pairs if id(pair[0]) not in refused], failures


def _alike(keyed: Iterable[tuple[str, VolumeStudy]]) -> Mapping[str, list[VolumeStudy]]:
    """Return the studies that share a key with another."""
    groups: defaultdict[str, list[VolumeStudy]] = defaultdict(list)
    for key, study in keyed:
        groups[key].append(study)
    return {key: studies for key, studies in groups.items() if len(studies) > 1}


def _names(studies: Sequence[VolumeStudy]) -> str:
    return " and ".join(study.name for study in studies)


def _convert(
    study: VolumeStudy, outline: Path, out: Path, conversion: Conversion, known: Mapping[str, Record]
) -> Record:
    """Write the folder of a patient and return its record; the one that is known if nothing has changed."""
    name = patient_name(study)
    folder, volume = out / name, study.flair_fingerprint()
    settings = f"{study.fingerprint()} {_sha256(outline)} {conversion.size} {sorted(set(conversion.labels))}"
    made_of = hashlib.sha256(settings.encode()).hexdigest()
    before = known.get(name) or read_record(folder)
    if before and before["made_of"] == made_of and _is_whole(folder, before):
        return before
    if folder.exists() and not (conversion.overwrite and before):
        said = "was made of other files or otherwise, or changed" if before else "exists already and is none of ours"
        cure = "choose another --out" + (", or give --overwrite" if before else "")
        raise ResultExistsError(folder, said, "a new folder", cure)
    other = next((each for each, record in known.items() if record["volume"] == volume and each != name), None)
    if other is not None:
        cure = f"keep {other}, or remove it to have {name}"
        raise ResultExistsError(folder, f"the same volume as that of {other}", "every patient once", cure)
    slices = label(study, outline, size=conversion.size, labels=conversion.labels)
    record = _record(name, slices, outline) | {"volume": volume, "made_of": made_of}
    _write(folder, slices, record)
    return record


def _sha256(outline: Path) -> str:
    try:
        return file_sha256(outline)
    except OSError as error:
        found = f"cannot be read ({error.strerror})"
        raise DataError(outline, found, "an outline", "check its permissions and links") from error


def _is_whole(folder: Path, record: Record) -> bool:
    """Tell whether no file of a patient is missing."""
    names = (f"{record[KEY]}_{number}{ending}" for number in range(1, record["slices"] + 1) for ending in _ENDINGS)
    return all((folder / name).is_file() for name in names)


def _record(name: str, slices: LabelledSlices, outline: Path) -> Record:
    return {
        KEY: name,
        "size": slices.images.shape[1],
        "slices": len(slices.images),
        "tumour_slices": int(slices.masks.any(axis=(1, 2)).sum()),
        "left_out": slices.left_out,
        "spacing_mm": list(slices.spacing),
        "sequences": list(slices.sequences),
        "outline": str(outline),
        "warnings": list(slices.warnings),
    }


def _told(record: Record, out: Path) -> dict[str, Any]:
    hidden = {"volume", "made_of"}
    return {KEY: record[KEY], "folder": str(out / record[KEY])} | {
        name: value for name, value in record.items() if name not in hidden
    }


def _write(folder: Path, slices: LabelledSlices, record: Record) -> None:
    """Write a patient's folder, which is whole or absent."""
    try:
        with whole_folder(folder) as part:
            (part / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            for number, (image, mask) in enumerate(zip(slices.images, slices.masks, strict=True), start=1):
                write_image(part / f"{folder.name}_{number}{_ENDINGS[0]}", image)
                write_mask(part / f"{folder.name}_{number}{_ENDINGS[1]}", mask)
    except OSError as error:
        found = f"cannot be written ({error.strerror or error})"
        raise DataError(folder, found, "room and permission", f"look at {folder.parent}") from error
