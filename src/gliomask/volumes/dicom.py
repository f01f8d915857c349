"""MR series in DICOM as volumes: which there are, which is FLAIR, and their voxels. Knows nothing of models.

Descriptions of series are shown, names and identifiers of patients never are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gliomask.errors import DataError
from gliomask.volumes.archive import list_parts
from gliomask.volumes.dicom_headers import DicomFrame, read_headers
from gliomask.volumes.dicom_pixels import read_pixels
from gliomask.volumes.volume import Plane, Volume, check_spacing

_SERIES = "an MR series of evenly spaced, parallel slices"
_FLAIR = re.compile(r"flair|dark ?fluid|tirm|fluid att")
_T1 = re.compile(r"\bt1")  # "T1 FLAIR" is a T1-weighted sequence
_AGENT = r"(c|gd|gad\w*|km|contrast\w*|con|cont)"
_WITH_CONTRAST = re.compile(rf"(\+|\bw/) ?{_AGENT}\b|\bc ?\+")
_WITHOUT_CONTRAST = re.compile(
    rf"\b(without|w/o|wo|no|non|ohne|sans|pre)[ _-]*{_AGENT}\b|\b(without|w/o|wo|ohne|sans)$|\b{_AGENT} ?-(?= |$)"
)
_T1_WEIGHTED = re.compile(r"s?t1(w|we|se|tse|fse|gre|fl2d|fl3d|fs)?|mprage|bravo")
_BEFORE = {"pre", "nativ", "native", "nat", "plain", "unenhanced", "without"}
_AFTER = {"post", "gd", "gad", "gado", "gadolinium", "ce", "contrast", "postcontrast", "postgd", "postgad", "km", "mdc"}
_SILENT = re.compile(  # words of a description that change nothing: planes, sequences, coils, sizes
    r"ax|axial|tra|trans|transverse|sag|sagittal|cor|coronal|obl|oblique|head|brain|routine|se|tse|fse|gre|ir|flair|flash|"
    r"fl2d|fl3d|spgr|fspgr|mpr|tfe|ffe|fs|fatsat|spir|iso|ns|p\d|\d+d|\d+(mm)?|mm|weighted|irfspgr|hr|thin|stealth"
)
_SAME_DIRECTION = 1e-3
_SAME_PLACE = 1e-3  # mm
_UNEVEN, _SLIGHTLY_UNEVEN = 0.1, 0.01  # of the distance between slices
_MISSING = 1.5  # of the distance between slices, as they lie or as the header has it
_OFF_LINE = 1.0  # mm
_LISTED = 12  # series in an error


@dataclass(frozen=True)
class DicomImage:
    """A series as a volume.

    Attributes
    ----------
    volume
        X runs along a row, Y along a column, Z along the normal; values as stored where no slope or intercept changes
        them, else float32.
    series
        Where it came from: `gliomask.volumes.dicom_seg` takes its references from there.
    warnings
        What is odd about it, one sentence each.
    """

    volume: Volume
    series: DicomSeries
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class DicomSeries:
    """Images of one series that have the same size, pixel spacing and orientation, sorted along their normal.

    Attributes
    ----------
    source
        Folder, zip or file that was searched.
    frames
        At least one; copies of an image (of one identifier, at one place) are left out.
    remarks
        What is odd about how it was found, one sentence each.
    """

    source: Path
    frames: tuple[DicomFrame, ...] = field(repr=False)
    remarks: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Description of the series, or of its protocol or sequence."""
        return next((words for words in self.frames[0].description if words.strip()), "without description")

    @property
    def plane(self) -> Plane:
        """Plane of its slices."""
        planes: tuple[Plane, Plane, Plane] = ("sagittal", "coronal", "axial")
        return planes[int(np.argmax(np.abs(_normal(self.frames[0]))))]

    @property
    def study(self) -> str:
        """Identifier of the study, for comparison only."""
        return self.frames[0].study

    @property
    def patient(self) -> tuple[str, str]:
        """Identifiers of the patient, for comparison only."""
        return self.frames[0].patient

    def __str__(self) -> str:
        """Return the words with which errors list it."""
        number = "" if self.frames[0].number is None else f" {self.frames[0].number}"
        description = "".join(letter if letter.isprintable() else "?" for letter in self.description)[:64]
        return f"series{number} ({description}; {len(self.frames)} slices, {self.plane})"

    def is_flair(self) -> bool:
        """Tell by the description whether it is FLAIR (dark fluid, TIRM, ...), by protocol and sequence if it has none.

        A protocol may be that of the whole examination, and name FLAIR among others.
        """
        described = self.frames[0].description
        words = described[:1] if self._is_described else described[1:]
        parts = [re.sub(r"[^a-z0-9]+", " ", part.lower()) for part in words]
        return any(_FLAIR.search(part) and not _T1.search(part) for part in parts)

    def t1(self, *, agent_tells: bool = True) -> Literal["before", "after"] | None:
        """Tell by its description whether it is T1-weighted, before or after contrast; None if it does not tell.

        It does not where it holds a word that is not known, which may change everything (``map``, ``sub``, ``perf``),
        or words for both. Words (``pre``, ``post``, ``gd``, ``+c``, ...) go before the contrast agent in the header.

        Parameters
        ----------
        agent_tells
            Whether an agent in the header means that it was given before; it does not where FLAIR names it, too.
        """
        if not self._is_described:
            return None
        text = _WITHOUT_CONTRAST.sub(" without ", self.description.lower().strip().replace("fat sat", "fatsat"))
        words = re.findall(r"[a-z0-9]+|[^a-z0-9 _.,:/()\[\]-]", _WITH_CONTRAST.sub(" post ", text))
        before, after = (any(word in known for word in words) for known in (_BEFORE, _AFTER))
        other = [word for word in words if word not in _BEFORE | _AFTER and not _SILENT.fullmatch(word)]
        weighted = [word for word in other if _T1_WEIGHTED.fullmatch(word)]
        if not weighted or len(weighted) < len(other) or (before and after):
            return None
        if before or after:
            return "before" if before else "after"
        has_agent = any(frame.has_contrast for frame in self.frames)
        return None if has_agent and not agent_tells else "after" if has_agent else "before"

    @property
    def _is_described(self) -> bool:
        return bool(self.frames[0].description[0].strip())

    def read(self) -> DicomImage:
        """Read the voxels.

        Raises
        ------
        DataError
            If slices are missing, doubled, unevenly spaced or not on a line, or share an identifier, voxels are smaller
            than 0.05 mm or larger than 50 mm, or a file cannot be decoded.
        """
        affine, said = _affine(self)
        values = read_pixels(self.frames)
        volume = Volume(
            values.transpose(2, 1, 0), affine, "LPS", str(self.source), self.frames[0].frame_of_reference
        )  # fmt: skip
        check_spacing(volume.spacing, volume.source)
        return DicomImage(volume, self, (*self.remarks, *said))


def find_series(path: Path) -> list[DicomSeries]:
    """Find the MR series in a folder (to any depth), a zip or a file, in order of their numbers.

    Other objects than MR images with a place in space are passed over, and so are localisers and foreign files.

    Raises
    ------
    DataError
        If there is no MR image, a DICOM file is damaged, a series holds images of several patients, or the path cannot
        be read.
    """
    frames: list[DicomFrame] = []
    files = 0
    for _, found in read_headers(list_parts(path)):
        if isinstance(found, DataError):
            raise found
        files += 1
        frames += found
    if not frames:
        what = f"no MR image ({files} other DICOM objects or localisers)" if files else "no DICOM file"
        raise DataError(path, what, "the images of an MR series", "check the path")
    return group_series(path, frames)


def group_series(source: Path, frames: Iterable[DicomFrame]) -> list[DicomSeries]:
    """Put frames together that belong to a series and have the same size, spacing and orientation.

    Raises
    ------
    DataError
        If a series holds images of several patients.
    """
    groups: dict[tuple[str, tuple[int, int]], list[list[DicomFrame]]] = {}
    by_series: dict[str, list[DicomFrame]] = {}
    for frame in frames:
        by_series.setdefault(frame.series, []).append(frame)
        alike = groups.setdefault((frame.series, frame.shape), [])
        group = next((group for group in alike if _parallel(group[0], frame)), None)
        if group is None:
            alike.append([frame])
        else:
            group.append(frame)
    said = {series: _incomplete(frames) for series, frames in by_series.items()}
    series = [_series(source, group, said[group[0].series]) for alike in groups.values() for group in alike]
    return sorted(series, key=lambda one: (one.frames[0].number or 0, one.frames[0].series, one.frames[0].position))


def choose_flair(series: Sequence[DicomSeries], wanted: str | None = None) -> DicomSeries:
    """Choose the FLAIR series of a patient.

    Parameters
    ----------
    series
        At least one, as `find_series` gives them.
    wanted
        Number of the series, or a part of its description, to choose it by; otherwise the description must tell.

    Returns
    -------
    DicomSeries
        Of a series whose slices lie in several planes the axial ones, with a remark.

    Raises
    ------
    DataError
        If none fits or several do, with the list of the series, or they belong to several patients.
    """
    source = series[0].source
    if len({one.patient for one in series}) > 1:
        raise DataError(source, "images of several patients", "one patient", "give a folder for each patient")
    fitting = [one for one in series if (one.is_flair() if wanted is None else _is_wanted(one, wanted))]
    if wanted is None:
        fitting = [one for one in fitting if one._is_described] or fitting
    if len(fitting) == 1:
        return fitting[0]
    axial = [one for one in fitting if one.plane == "axial"]
    if len(axial) == 1 and len({one.frames[0].series for one in fitting}) == 1:
        said = f"only the axial one of the series' {len(fitting)} stacks of slices is taken"
        return replace(axial[0], remarks=(*axial[0].remarks, said))
    name = "FLAIR series" if wanted is None else f"series like {wanted!r}"
    listed = fitting or series
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    found = f"{len(fitting) or 'no'} {name} among " + ", ".join(str(one) for one in listed[:_LISTED]) + more
    cure = "choose one by its number or a part of its description (--series)"
    raise DataError(source, found, "one", cure + (", or give its folder alone" if len(fitting) > 1 else ""))


def choose_t1(
    series: Sequence[DicomSeries], flair: DicomSeries
) -> tuple[DicomSeries | None, DicomSeries | None, tuple[str, ...]]:
    """Choose the T1 series before and after contrast that belong to a FLAIR series.

    Parameters
    ----------
    series
        Of the patient, FLAIR among them.
    flair
        Whose frame of reference they must have.

    Returns
    -------
    tuple
        Before and after contrast: the only one of its kind in FLAIR's plane, else the only one in any; None where there
        is none, or several, of which the remarks tell.
    """
    frame, named = flair.frames[0].frame_of_reference, any(each.has_contrast for each in flair.frames)
    kinds = [(one, one.t1(agent_tells=not named)) for one in series if one.frames[0].series != flair.frames[0].series]
    chosen: list[DicomSeries | None] = []
    said = []
    for kind in ("before", "after"):
        fitting = [one for one, its in kinds if its == kind and not one.is_flair() and len(one.frames) > 1]
        there = [one for one in fitting if frame is not None and one.frames[0].frame_of_reference == frame]
        if len(there) < len(fitting):
            said.append(f"T1 {kind} contrast that does not share FLAIR's frame of reference is left out")
        alike = [one for one in there if one.plane == flair.plane] or there
        if len(alike) > 1:
            listed = ", ".join(str(one) for one in alike[:6])
            said.append(f"{len(alike)} T1 series {kind} contrast, of which none is used: {listed}")
        chosen.append(alike[0] if len(alike) == 1 else None)
    return chosen[0], chosen[1], tuple(said)


def _is_wanted(series: DicomSeries, wanted: str) -> bool:
    if wanted.isdecimal():
        return series.frames[0].number == int(wanted)
    return any(wanted.lower() in words.lower() for words in series.frames[0].description)


def _parallel(first: DicomFrame, second: DicomFrame) -> bool:
    one, other = (*first.orientation, *first.pixel_spacing), (*second.orientation, *second.pixel_spacing)
    return all(abs(a - b) <= _SAME_DIRECTION for a, b in zip(one, other, strict=True))


def _series(source: Path, frames: list[DicomFrame], remarks: tuple[str, ...]) -> DicomSeries:
    if len({frame.patient for frame in frames}) > 1:
        raise DataError(source, "a series with images of several patients", "one patient", "export the images again")
    first = {(frame.instance, frame.index, frame.position): frame for frame in reversed(frames)}
    normal = _normal(frames[0])
    ordered = sorted(first.values(), key=lambda frame: (float(np.dot(normal, frame.position)), str(frame.part)))
    copies = len(frames) - len(first)
    said = (f"{copies} image(s) that are there twice were left out",) if copies else ()
    return DicomSeries(source, tuple(ordered), (*said, *remarks))


def _incomplete(frames: Iterable[DicomFrame]) -> tuple[str, ...]:
    """Say how many images of a series are missing by its own count; nothing if echoes or parts may account for them."""
    images = {frame.instance: frame for frame in frames}.values()
    places = {frame.place for frame in images if frame.place is not None}
    acquired = {frame.acquired for frame in images if frame.acquired is not None}
    count = expected = len(images)
    if len(acquired) == 1 and max(acquired) % count:  # of several echoes each has as many images
        expected = max(acquired)
    if len(places) == count > 1:
        step = math.gcd(*(place - min(places) for place in places))  # an echo may have every second number
        last = math.ceil(max(places) / step)
        expected = max(expected, last if last < 2 * count else 0)  # beyond, numbers are more than a count
    if expected <= count:
        return ()
    return (f"{count} images of a series that should have {expected} by its own numbers; some are missing",)


def _normal(frame: DicomFrame) -> NDArray[np.float64]:
    return np.cross(frame.orientation[:3], frame.orientation[3:])


def _affine(series: DicomSeries) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the affine from (column, row, slice) to LPS, and what is odd about it."""
    first = series.frames[0]
    if len({(frame.instance, frame.index) for frame in series.frames}) < len(series.frames):
        found, cure = "several images that share one SOPInstanceUID", "export them again, with identifiers of their own"
        raise DataError(series.source, found, _SERIES, cure)
    if len({frame.frame_of_reference for frame in series.frames}) > 1:
        raise DataError(series.source, "slices in several frames of reference", _SERIES, "export the series again")
    step, said = _step(series)
    affine = np.eye(4)
    affine[:3, 0] = np.multiply(first.orientation[:3], first.pixel_spacing[1])
    affine[:3, 1] = np.multiply(first.orientation[3:], first.pixel_spacing[0])
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    return affine, said


def _step(series: DicomSeries) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the way from a slice to the next; section C.7.6.2.1.1 of DICOM PS3.3 gives the place of a pixel."""
    positions = np.array([frame.position for frame in series.frames])
    normal = _normal(series.frames[0])
    if not np.isfinite(positions).all() or not np.isclose(np.linalg.norm(normal), 1, atol=0.01):
        raise DataError(series.source, "slices without a sensible position or direction", _SERIES, "export them again")
    stated = series.frames[0].step
    if len(positions) == 1:
        said = () if stated else ("the thickness of the only slice is not known; it is taken as 1 mm",)
        return normal * (stated or 1.0), said
    gaps = np.diff(positions @ normal)
    usual = float(np.percentile(gaps, 50, method="lower"))  # of two, the smaller: the other may be a gap
    _check_gaps(series, gaps, usual)
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    strays = positions - positions[0] - np.arange(len(positions))[:, None] * step
    if float(np.abs(strays - np.outer(strays @ normal, normal)).max()) > _OFF_LINE:
        raise DataError(series.source, "slices that do not lie on a line", _SERIES, "choose slices of one series")
    return step, _odd_gaps(gaps, usual, stated)


def _odd_gaps(gaps: NDArray[np.float64], usual: float, stated: float | None) -> tuple[str, ...]:
    said = []
    worst = float(np.abs(gaps - usual).max()) / usual
    if worst > _SLIGHTLY_UNEVEN:
        said.append(f"slices are unevenly spaced by up to {worst:.0%}; their mean distance is taken")
    if stated is not None and usual > _MISSING * stated:
        said.append(f"slices are {usual:.4g} mm apart where the header says {stated:.4g} mm; some may be missing")
    return tuple(said)


def _check_gaps(series: DicomSeries, gaps: NDArray[np.float64], usual: float) -> None:
    cure = "export the whole series again"
    twice = int((gaps < _SAME_PLACE).sum())
    if twice:
        found = f"{twice} slice(s) at the place of another (several echoes, contrasts or time points?)"
        raise DataError(series.source, found, _SERIES, "keep one image for each place")
    if gaps.max() > _MISSING * usual:
        found = f"slices missing: a gap of {gaps.max():.4g} mm where slices are {usual:.4g} mm apart"
        raise DataError(series.source, found, _SERIES, cure)
    if np.abs(gaps - usual).max() > _UNEVEN * usual:
        found = f"unevenly spaced slices, {gaps.min():.4g} to {gaps.max():.4g} mm apart"
        raise DataError(series.source, found, _SERIES, cure)
