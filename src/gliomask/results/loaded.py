"""Studies that were read: what a predictor takes, and which files come of its answer. Knows no model and no command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from gliomask import __version__
from gliomask.data.greyscale import oddities
from gliomask.errors import DataError, MissingExtraError
from gliomask.inference.predictor import Prediction
from gliomask.studies.slices import Study
from gliomask.studies.volume import VolumeInput, VolumeStudy
from gliomask.volumes.dicom import DicomImage
from gliomask.volumes.nifti_image import NiftiImage, write_nifti
from gliomask.volumes.slices import write_mask, write_probabilities

if TYPE_CHECKING:  # brings SciPy
    from gliomask.evaluation.surfaces import Spacing


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


MASKS_AND_PICTURES = Keep()
"""What is written if nothing is asked for."""


@dataclass(frozen=True)
class Written:
    """Files that were written, and what could not be, and why."""

    files: tuple[Path, ...]
    problems: tuple[str, ...] = ()


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
        """Where FLAIR, and then the others, come from: a file, a folder, or a series in one."""

    @property
    def sequences(self) -> tuple[str, ...]:
        """Which of pre, flair and post there were; FLAIR stands in for the others."""

    @property
    def stems(self) -> Sequence[str]:
        """Name of each slice, for pictures."""

    def targets(self, folder: Path) -> list[Path]:
        """Return the masks that `write` will write."""

    def probabilities(self, folder: Path) -> list[Path]:
        """Return the files of probabilities that `write` will write if they are asked for."""

    def write(self, folder: Path, prediction: Prediction, keep: Keep, model: str) -> Written:
        """Write masks, and probabilities if they are asked for."""


@dataclass(frozen=True)
class LoadedSlices:
    """TIFF or PNG slices, one a file or all in one."""

    study: Study
    images: NDArray[np.uint8]
    truth: NDArray[np.bool_] | None
    spacing: Spacing | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was noticed while searching, and what is odd about the grey values."""
        return (*self.study.notes, *oddities(self.images[..., 1]))

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

    def probabilities(self, folder: Path) -> list[Path]:
        """Return a TIFF for each file."""
        return [folder / f"{item.image.stem}_probability.tif" for item in self.study.slices]

    def write(self, folder: Path, prediction: Prediction, keep: Keep, model: str) -> Written:
        """Write a file for each file, of as many pages."""
        written = self.targets(folder)
        masks = prediction.mask[np.newaxis] if self._paged else prediction.mask
        for target, mask in zip(written, masks, strict=True):
            write_mask(target, mask)
        if keep.probabilities:
            planes = prediction.probabilities[np.newaxis] if self._paged else prediction.probabilities
            for target, plane in zip(self.probabilities(folder), planes, strict=True):
                written.append(target)
                write_probabilities(target, plane)
        return Written(tuple(written))


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
        """The file, or the place and the series, of FLAIR and of the others."""
        flair, *others = sorted(self.volume.sources.items(), key=lambda item: item[0] != "flair")
        return "; ".join((flair[1], *(f"{name}: {place}" for name, place in others)))

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

    def probabilities(self, folder: Path) -> list[Path]:
        """Return one NIfTI file."""
        return [folder / f"{self.name}_probability.nii.gz"]

    def write(self, folder: Path, prediction: Prediction, keep: Keep, model: str) -> Written:
        """Write the mask on the volume's own grid."""
        flair, grid = self.volume.flair, self.volume.grid
        header = flair.header if isinstance(flair, NiftiImage) else None
        mask = grid.back(prediction.mask)
        target, *segmentation = self.targets(folder)
        written = [target]
        write_nifti(target, mask, flair.volume, header)
        if keep.probabilities:
            written += self.probabilities(folder)
            write_nifti(written[-1], grid.back(prediction.probabilities), flair.volume, header)
        if not isinstance(flair, DicomImage):
            return Written(tuple(written))
        from gliomask.volumes.dicom_seg import write_dicom_seg  # noqa: PLC0415 - slow to import

        try:
            write_dicom_seg(segmentation[0], mask, flair.series, model=model, version=__version__)
        except (MissingExtraError, DataError) as error:  # the NIfTI mask is there all the same
            return Written(tuple(written), (f"no DICOM segmentation was written: {error}",))
        return Written((*written, segmentation[0]))


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
