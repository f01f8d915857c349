"""A patient's volumes before they are read, and what a predictor takes once they are.

Knows files and geometry, not models.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gliomask.data.greyscale import oddities, to_channels, to_uint8
from gliomask.errors import DataError
from gliomask.files import file_sha256
from gliomask.studies.names import place_of, stem, whole_path
from gliomask.volumes import nifti_file
from gliomask.volumes.archive import contents
from gliomask.volumes.dicom import DicomImage, DicomSeries, choose_flair, choose_t1, find_series
from gliomask.volumes.nifti_image import NiftiImage, read_nifti
from gliomask.volumes.resample import resample
from gliomask.volumes.volume import AxialGrid, Volume, concerns, to_axial

Source = Path | tuple[DicomSeries, ...]
_WHOLE = 0.98
_SMALLEST = 8  # voxels; fewer are a slice or two of another plane


@dataclass(frozen=True)
class VolumeInput:
    """A volume, ready for a predictor, and the way back.

    Attributes
    ----------
    flair
        As it was read: its volume, and the header or the series that results need.
    images
        (S, H, W, 3) uint8, axial: pre-contrast T1, FLAIR, post-contrast T1.
    grid
        Its `back` brings (S, H, W) to the volume's own grid; its `spacing` tells whether pixels are square.
    sources
        Where each sequence comes from, a file or a series, by its name: flair, and pre and post if they are there.
    warnings
        What makes a prediction less trustworthy, one sentence each.
    """

    flair: NiftiImage | DicomImage
    images: NDArray[np.uint8]
    grid: AxialGrid
    sources: dict[str, str]
    warnings: tuple[str, ...]

    @property
    def sequences(self) -> tuple[str, ...]:
        """Which of pre, flair and post there are; FLAIR stands in for the others."""
        return tuple(name for name in ("pre", "flair", "post") if name in self.sources)


@dataclass(frozen=True)
class VolumeStudy:
    """A patient's FLAIR volume, perhaps with T1 before and after contrast; nothing is read before `read`.

    Attributes
    ----------
    name
        For the results.
    flair, pre, post
        NIfTI file, DICOM folder or zip, or the series that were found; among those, T1 is looked for, too.
    series
        Number or part of the description by which to choose the FLAIR series.
    notes
        What was noticed while searching.
    """

    name: str
    flair: Source = field(repr=False)
    pre: Source | None = None
    post: Source | None = None
    series: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_dicom(self) -> bool:
        """Whether FLAIR is in DICOM, and not in a NIfTI file."""
        return not _is_nifti(self.flair)

    def read(self) -> VolumeInput:
        """Read the volumes, bring the others to FLAIR's grid, and all to axial grey levels.

        Raises
        ------
        DataError
            If a file cannot be read, no single series is FLAIR, axial slices of it would be less than 8 voxels wide, or
            the volumes do not lie in the same place.
        """
        flair = _image(self.flair, self.series)
        stack, grid = to_axial(flair.volume)
        if min(stack.shape[1:]) < _SMALLEST:
            found = f"axial slices of {stack.shape[2]} x {stack.shape[1]} voxels"
            raise DataError(flair.volume.source, found, f"at least {_SMALLEST} x {_SMALLEST}", "give the whole volume")
        pre, post, noticed = self._t1()
        said = [*self.notes, *flair.warnings, *concerns(flair.volume), *oddities(stack), *noticed]
        others: dict[str, NDArray[np.generic]] = {}
        sources = {"flair": _place(flair)}
        for name, words, source in (("pre", "before", pre), ("post", "after", post)):
            if source is None:
                continue
            try:
                image = _image(source, None, only=True)
                moved, about = _on_grid(image, flair.volume)
            except DataError as error:
                if source in (self.pre, self.post):
                    raise
                said.append(f"T1 {words} contrast is left out: {error.found}")
                continue
            said += [f"T1 {words} contrast{each}" for each in about]
            others[name], sources[name] = grid.slices(moved), _place(image)
        return VolumeInput(flair, to_channels(stack, **others), grid, sources, tuple(said))

    def fingerprint(self) -> str:
        """Return a SHA-256 over the content of the files that are used (of DICOM, of the series), wherever they lie.

        Raises
        ------
        DataError
            If a file cannot be read, or no single series is FLAIR.
        """
        digest = hashlib.sha256(str(self.series).encode())
        pre, post, _ = self._t1()
        for source, only in ((self.flair, False), (pre, True), (post, True)):
            digest.update(_content(source, self.series, only=only).encode() + b"\n")
        return digest.hexdigest()

    def flair_fingerprint(self) -> str:
        """Return a SHA-256 over the content of FLAIR's files alone, however it was chosen.

        Raises
        ------
        DataError
            As `fingerprint`.
        """
        return hashlib.sha256(_content(self.flair, self.series, only=False).encode()).hexdigest()

    def _t1(self) -> tuple[Source | None, Source | None, tuple[str, ...]]:
        """Return T1 before and after contrast: what was named, or what is found beside a FLAIR series."""
        if isinstance(self.flair, Path) or self.pre is not None or self.post is not None:
            return self.pre, self.post, ()
        pre, post, said = choose_t1(self.flair, _series(self.flair, self.series, only=False))
        return (pre,) if pre else None, (post,) if post else None, said


def _place(image: NiftiImage | DicomImage) -> str:
    """Return the file, or the series in its folder."""
    return f"{image.volume.source}: {image.series}" if isinstance(image, DicomImage) else image.volume.source


def _on_grid(image: NiftiImage | DicomImage, flair: Volume) -> tuple[NDArray[np.uint8], list[str]]:
    """Return another sequence in grey levels on FLAIR's grid, and what is said of it."""
    # in grey levels already, for between a fill value and tissue there is nothing to interpolate
    grey = replace(image.volume, array=to_uint8(image.volume.array), frame="RAS")
    moved, covered = resample(grey, flair)
    said = [f": {warning}" for warning in (*image.warnings, *oddities(image.volume.array))]
    return moved.array, [*said, *([f" covers {covered:.0%} of FLAIR"] if covered < _WHOLE else [])]


Placed = list[tuple[VolumeStudy, PurePosixPath]]
"""Studies, and the file, folder or zip that each was found in."""


def named_study(
    flair: Path, pre: Path | None = None, post: Path | None = None, *, series: str | None = None
) -> VolumeStudy:
    """Return the study of volumes that the user names one by one: NIfTI files, DICOM folders or zips."""
    return VolumeStudy(stem(place_of(whole_path(flair))), flair, pre, post, series)


def _content(source: Source | None, series: str | None, *, only: bool) -> str:
    """Return the checksums of the files of a NIfTI file or of the series that is taken."""
    if source is None:
        return "none"
    if isinstance(source, Path) and _is_nifti(source):
        try:
            return file_sha256(source)
        except OSError as error:
            raise DataError(
                source, f"cannot be read ({error.strerror})", "a NIfTI file", "check its permissions"
            ) from error
    parts = sorted({frame.part for frame in _series(source, series, only=only).frames})
    return " ".join(sorted(hashlib.sha256(content).hexdigest() for _, content in contents(parts)))


def _is_nifti(source: Source) -> bool:
    return isinstance(source, Path) and source.name.lower().endswith(nifti_file.SUFFIXES)


def _image(source: Source, series: str | None, *, only: bool = False) -> NiftiImage | DicomImage:
    if isinstance(source, Path) and _is_nifti(source):
        return read_nifti(source)
    return _series(source, series, only=only).read()


def _series(source: Source, series: str | None, *, only: bool) -> DicomSeries:
    """Return the one series that is asked for; the only one need not be called FLAIR."""
    found = find_series(source) if isinstance(source, Path) else list(source)
    named = isinstance(source, Path) and series is None
    if len(found) == 1 and (only or named):
        return found[0]
    if only:
        listed = ", ".join(str(one) for one in found[:12])
        raise DataError(found[0].source, f"{len(found)} series: {listed}", "one", "give the folder of one series")
    return choose_flair(found, series)
