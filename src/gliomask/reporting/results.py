"""Writes everything about a predicted study: masks, probabilities, pictures, summary. Knows no command line.

A study's folder is complete when it holds ``summary.json``, which is written last; until then it holds a hidden file
that says so, and a later run does the study anew:

===============================  ===========================================================================
``<slice>_mask<ending>``         of slices: a mask of each file, with its ending (TIFF or PNG) and as many pages
``<slice>_probability.tif``      of slices, on request: float32
``<study>_mask.nii.gz``          of volumes: the mask on the volume's own grid, uint8
``<study>_probability.nii.gz``   of volumes, on request: float32
``<study>_seg.dcm``              of DICOM: the mask as a DICOM segmentation (extra ``dicom``)
``*.png``, ``*.gif``             pictures, unless they are switched off
``summary.json``                 what was found, warnings, model, version, seconds
===============================  ===========================================================================
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gliomask import __version__
from gliomask.errors import DataError, MissingExtraError, UsageError
from gliomask.evaluation.counts import count_slices
from gliomask.evaluation.scores import dice_pooled
from gliomask.files import whole_file
from gliomask.inference.own_results import SUMMARY, UNFINISHED
from gliomask.inference.predictor import Prediction, Predictor
from gliomask.inference.studies import Study
from gliomask.inference.volume_study import VolumeInput, VolumeStudy
from gliomask.reporting.measures import measure
from gliomask.volumes.dicom import DicomImage
from gliomask.volumes.nifti_image import NiftiImage, write_nifti
from gliomask.volumes.slices import write_mask, write_probabilities

if TYPE_CHECKING:  # brings SciPy
    from gliomask.evaluation.surfaces import Spacing

CROPPED = "the head is small in the image: only the part around it was looked at, enlarged"
NO_TUMOUR = "EMPTY MASK: no tumour found"


@dataclass(frozen=True)
class Keep:
    """What to write beside the masks, and whether to replace what is there."""

    pictures: bool = True
    probabilities: bool = False
    preview: bool = False
    overwrite: bool = False

    def extras(self) -> list[str]:
        """Return what is written beside the masks."""
        return [name for name in ("pictures", "probabilities", "preview") if getattr(self, name)]


class Loaded(Protocol):
    """A study that was read: what a predictor takes, and where results go."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """(S, H, W, 3) uint8."""

    @property
    def truth(self) -> NDArray[np.bool_] | None:
        """(S, H, W) bool, where masks lie beside the slices."""

    @property
    def spacing(self) -> Spacing | None:
        """Distance of slices, rows and columns in mm, if it is known."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes a prediction less trustworthy."""

    @property
    def source(self) -> str:
        """Where FLAIR comes from: a file, a folder, or a series in one."""

    @property
    def sequences(self) -> tuple[str, ...]:
        """Which of pre, flair and post there were; FLAIR stands in for the others."""

    @property
    def stems(self) -> Sequence[str]:
        """Name of each slice, for pictures."""

    def targets(self, folder: Path) -> list[Path]:
        """Return the masks that `write` will write."""

    def write(self, folder: Path, prediction: Prediction, keep: Keep, model: str) -> list[str]:
        """Write masks, and probabilities if they are asked for; return what could not be written, and why."""


@dataclass(frozen=True)
class LoadedSlices:
    """TIFF or PNG slices, one a file or all in one."""

    study: Study
    images: NDArray[np.uint8]
    truth: NDArray[np.bool_] | None
    spacing: Spacing | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was noticed while searching."""
        return self.study.notes

    @property
    def source(self) -> str:
        """Folder of the slices."""
        return str(self.study.slices[0].image.parent)

    @property
    def sequences(self) -> tuple[str, ...]:
        """Channels that do not equal FLAIR, and FLAIR."""
        alike = {
            name: (self.images[..., place] == self.images[..., 1]).all() for name, place in (("pre", 0), ("post", 2))
        }
        return tuple(name for name in ("pre", "flair", "post") if not alike.get(name, False))

    @property
    def stems(self) -> list[str]:
        """Name of each file, without its ending; with a number if the slices are the pages of one."""
        files = [item.image.stem for item in self.study.slices]
        return [f"{files[0]}_{page}" for page in range(1, len(self.images) + 1)] if self._paged else files

    @property
    def _paged(self) -> bool:
        return len(self.images) > len(self.study.slices)

    def targets(self, folder: Path) -> list[Path]:
        """Return a mask for each file."""
        return [folder / f"{item.image.stem}_mask{item.image.suffix}" for item in self.study.slices]

    def write(self, folder: Path, prediction: Prediction, keep: Keep, model: str) -> list[str]:
        """Write a file for each file, of as many pages."""
        masks = prediction.mask[np.newaxis] if self._paged else prediction.mask
        for target, mask in zip(self.targets(folder), masks, strict=True):
            write_mask(target, mask)
        if keep.probabilities:
            planes = prediction.probabilities[np.newaxis] if self._paged else prediction.probabilities
            for item, plane in zip(self.study.slices, planes, strict=True):
                write_probabilities(folder / f"{item.image.stem}_probability.tif", plane)
        return []


@dataclass(frozen=True)
class LoadedVolume:
    """A NIfTI file or a DICOM series."""

    name: str
    volume: VolumeInput

    truth = None

    @property
    def images(self) -> NDArray[np.uint8]:
        """Axial slices."""
        return self.volume.images

    @property
    def spacing(self) -> Spacing:
        """Distance of slices, rows and columns in mm."""
        return self.volume.grid.spacing

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the files and the geometry."""
        return self.volume.warnings

    @property
    def source(self) -> str:
        """The file, or the place and the series."""
        flair = self.volume.flair
        return f"{flair.volume.source}: {flair.series}" if isinstance(flair, DicomImage) else str(flair.volume.source)

    @property
    def sequences(self) -> tuple[str, ...]:
        """What the study has."""
        return self.volume.sequences

    @property
    def stems(self) -> list[str]:
        """Slices have no names of their own: they are counted upwards from the feet."""
        return [f"{self.name}_{number}" for number in range(1, len(self.images) + 1)]

    def targets(self, folder: Path) -> list[Path]:
        """Return the mask as NIfTI, and as DICOM segmentation if the input is DICOM."""
        dicom = isinstance(self.volume.flair, DicomImage)
        return [folder / f"{self.name}_mask.nii.gz", *([folder / f"{self.name}_seg.dcm"] if dicom else [])]

    def write(self, folder: Path, prediction: Prediction, keep: Keep, model: str) -> list[str]:
        """Write the mask on the volume's own grid."""
        flair, grid = self.volume.flair, self.volume.grid
        header = flair.header if isinstance(flair, NiftiImage) else None
        mask = grid.back(prediction.mask)
        write_nifti(self.targets(folder)[0], mask, flair.volume, header)
        if keep.probabilities:
            path = folder / f"{self.name}_probability.nii.gz"
            write_nifti(path, grid.back(prediction.probabilities), flair.volume, header)
        if not isinstance(flair, DicomImage):
            return []
        from gliomask.volumes.dicom_seg import write_dicom_seg  # noqa: PLC0415 - slow to import

        try:
            write_dicom_seg(self.targets(folder)[1], mask, flair.series, model=model, version=__version__)
        except (MissingExtraError, DataError) as error:  # the NIfTI mask is there all the same
            return [f"no DICOM segmentation was written: {error}"]
        return []


def load_study(study: Study | VolumeStudy) -> Loaded:
    """Read the images of a study.

    Raises
    ------
    DataError
        If a file cannot be read.
    """
    if isinstance(study, VolumeStudy):
        return LoadedVolume(study.name, study.read())
    images = study.images()
    return LoadedSlices(study, images, study.truth((images.shape[1], images.shape[2])))


def finished(study: Study | VolumeStudy, predictor: Predictor, out: Path, keep: Keep) -> dict[str, Any] | None:
    """Return the summary of a study that this model has done in an earlier run; None if it is still to be done.

    It is done if it was made from the same files, and all masks that its summary names are there.

    Raises
    ------
    UsageError
        If the results would lie among the slices, where the masks would pass for truth or replace it.
    DataError
        If there are results of other files, another model or other options than are asked for now; or a file of the
        study cannot be read.
    """
    folder = out / study.name
    if isinstance(study, Study) and folder.resolve() in {item.image.resolve().parent for item in study.slices}:
        raise UsageError(f"{folder} holds the slices themselves; expected another --out, where masks replace no truth")
    if keep.overwrite or not (folder / SUMMARY).is_file():
        return None
    try:
        known = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        made_by, masks = known["model_sha256"], [folder / name for name in known["masks"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _exists(folder / SUMMARY) from error
    if made_by != predictor.contract.onnx_sha256:
        raise _exists(folder / SUMMARY, f"exists already, made by {known.get('model')}")
    if known.get("input_sha256") != study.fingerprint():
        raise _exists(folder / SUMMARY, f"exists already, made from other files (of {known.get('source')})")
    if bool(known.get("flips")) != predictor.flips:
        raise _exists(folder / SUMMARY, f"exists already, made {'without' if predictor.flips else 'with'} --flips")
    if (smallest := known.get("smallest_component", 0.0)) != predictor.smallest_component:
        raise _exists(folder / SUMMARY, f"exists already, made with --smallest-component {smallest:g}")
    if lacking := [name for name in keep.extras() if name not in known.get("extras", ())]:
        raise _exists(folder / SUMMARY, f"exists already, made without {' and '.join(lacking)}")
    return dict(known) | {"skipped": True} if all(mask.is_file() for mask in masks) else None


def predict_study(
    study: Study | VolumeStudy, predictor: Predictor, out: Path, keep: Keep = Keep(), *, loaded: Loaded | None = None
) -> dict[str, Any]:
    """Predict one study and write its files to ``out/<study>/``; one that is done already is left alone.

    Parameters
    ----------
    study
        What to predict.
    predictor
        The model.
    out
        Folder of all results.
    keep
        What to write.
    loaded
        The study's images, if they were read already.

    Returns
    -------
    dict
        What ``summary.json`` holds: study, folder, source, input_sha256 (over the content of the files that were
        used), sequences (those that were there), masks (file names), slices, the values of `Measures`, dice over all
        slices together (None without truth), spacing_mm, warnings, model, model_sha256, engine, flips,
        smallest_component, extras (what was written beside the masks), version, seconds; and skipped, whether it was
        done already.

    Raises
    ------
    UsageError
        If the results would lie among the slices, where the masks would pass for truth or replace it.
    DataError
        If a file cannot be read or written, or a result exists already that is not to be replaced.
    """
    known = finished(study, predictor, out, keep)
    if known is not None:
        return known
    start, folder = time.perf_counter(), out / study.name
    loaded = loaded or load_study(study)
    existing = next((target for target in loaded.targets(folder) if target.exists()), None)
    if existing is not None and not (keep.overwrite or (folder / UNFINISHED).is_file()):
        raise _exists(existing)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / UNFINISHED).touch()
    (folder / SUMMARY).unlink(missing_ok=True)  # until the new results are whole there is no summary
    pixel = (1.0, 1.0) if loaded.spacing is None else (loaded.spacing[1], loaded.spacing[2])
    prediction = predictor.predict(loaded.images, pixel=pixel)
    warnings = [*loaded.warnings, *loaded.write(folder, prediction, keep, predictor.contract.name)]
    seen = (CROPPED if prediction.cropped else None, prediction.concern, NO_TUMOUR if prediction.is_empty else None)
    warnings += [said for said in seen if said is not None]
    _draw(folder, study.name, loaded, prediction, keep)
    counts = None if loaded.truth is None else count_slices(prediction.mask, loaded.truth, study.name)
    summary = {
        "study": study.name,
        "folder": str(folder),
        "source": loaded.source,
        "input_sha256": study.fingerprint(),
        "sequences": list(loaded.sequences),
        "masks": [target.name for target in loaded.targets(folder) if target.is_file()],
        "slices": len(loaded.images),
        **measure(prediction, loaded.spacing).as_values(),
        "dice": None if counts is None else dice_pooled(counts),
        "spacing_mm": loaded.spacing,
        "warnings": warnings,
        "model": predictor.contract.name,
        "model_sha256": predictor.contract.onnx_sha256,
        "engine": predictor.engine.name,
        "flips": predictor.flips,
        "smallest_component": predictor.smallest_component,
        "extras": keep.extras(),
        "version": __version__,
        "seconds": round(time.perf_counter() - start, 2),
        "skipped": False,
    }
    with whole_file(folder / SUMMARY) as part:
        part.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (folder / UNFINISHED).unlink()
    return summary


def _draw(folder: Path, name: str, loaded: Loaded, prediction: Prediction, keep: Keep) -> None:
    if keep.pictures:
        from gliomask.reporting.predictions import write_pictures  # noqa: PLC0415 - masks alone need no matplotlib

        write_pictures(folder, name, loaded.stems, loaded.images, loaded.truth, prediction)
    if keep.preview:
        from gliomask.reporting.preview import write_preview  # noqa: PLC0415

        write_preview(folder / f"{name}_preview.png", name, loaded.images, prediction, loaded.spacing)


def _exists(path: Path, found: str = "exists already") -> DataError:
    return DataError(path, found, "a new file", "choose another --out, or give --overwrite")
