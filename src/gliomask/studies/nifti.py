"""Finds the studies among NIfTI files: FLAIR volumes, in BIDS and BraTS with the T1 volumes beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from gliomask.errors import DataError
from gliomask.studies.names import is_mask, place_of, stem
from gliomask.studies.volume import Placed, VolumeStudy

_BIDS = re.compile(r"(?P<owner>sub-[^_]+(_ses-[^_]+)?)(?P<entities>(_[a-z]+-[^_]+)*)_(?P<word>[A-Za-z0-9]+)")
_WORDS = re.compile(r"(?P<owner>.*?)[^A-Za-z0-9]*(?P<word>[A-Za-z0-9]+)")
ELSEWHERE = ("derivatives", "sourcedata")
"""Folders of a BIDS data set that hold no images to predict."""
_KINDS = {  # by the last word of the name, in BIDS, BraTS 2020 and BraTS 2023
    "flair": "FLAIR", "t2flair": "FLAIR", "t2f": "FLAIR",
    "t1": "before", "t1n": "before", "t1w": "before", "t1flair": "before",
    "t1c": "after", "t1ce": "after", "t1gd": "after",
    "t2": "other", "t2w": "other",
}  # fmt: skip
_CONTRAST = {"post", "gd", "gad", "ce", "contrast"}
_SEQUENCES = {"before": "T1 before contrast", "after": "T1 after contrast", "other": "another sequence"}


@dataclass(frozen=True)
class _Image:
    """A file, whose it is (subject and session, or what goes before the last word), and which sequence.

    The kind is FLAIR, T1 before or after contrast, another sequence, or not known (None). It stands at the end of the
    name, or elsewhere in it (``is_plain`` is False). Outside of BIDS, T1 FLAIR is a T1-weighted sequence.
    """

    path: Path
    owner: str
    kind: str | None
    is_bids: bool
    is_plain: bool = True

    @classmethod
    def of(cls, path: Path) -> _Image:
        name = stem(place_of(path))
        bids = _BIDS.fullmatch(name)
        match = bids or _WORDS.fullmatch(name)
        if match is None:
            return cls(path, name, None, is_bids=False)
        kind = _KINDS.get(match["word"].lower(), "other" if bids else None)
        if kind == "before" and bids and "_ce-" in bids["entities"]:
            kind = "after"
        if bids is None and kind in (None, "FLAIR"):
            by_any = cls._by_any_word(path, name)
            if kind is None or by_any.kind != "FLAIR":
                return by_any
        return cls(path, match["owner"], kind, bids is not None)

    @classmethod
    def _by_any_word(cls, path: Path, name: str) -> _Image:
        words = re.split("[^A-Za-z0-9]+", name)
        kinds = [_KINDS.get(word.lower()) for word in words]
        known = kinds[: kinds.index("FLAIR") + 1] if "FLAIR" in kinds else kinds  # FLAIR in the space of T1 is FLAIR
        place = next((known.index(kind) for kind in ("after", "before", "FLAIR", "other") if kind in known), None)
        if place is None:
            return cls(path, name, None, is_bids=False)
        both = kinds[place] != "FLAIR" and "FLAIR" in kinds  # nobody's but its own: of FLAIR's patient is T1 itself
        rest = [word for number, word in enumerate(words) if both or number != place]
        contrast = [word for word in rest if word.lower() in _CONTRAST]
        kind = "after" if kinds[place] == "before" and contrast else kinds[place]
        owner = "_".join(word for word in rest if word not in contrast)
        return cls(path, owner, kind, is_bids=False, is_plain=False)


def nifti_studies(top: Path, paths: Sequence[Path], errors: list[DataError]) -> Placed:
    """Return the studies among NIfTI files of a folder, searched to any depth.

    Parameters
    ----------
    top
        The folder.
    paths
        Below it, those of a folder together.
    errors
        Takes subjects that have other sequences, but no FLAIR.
    """
    found: Placed = []
    images = [
        _Image.of(path)
        for path in paths
        if not is_mask(path) and not set(ELSEWHERE) & set(path.relative_to(top).parts[:-1])
    ]
    for _, files in groupby(images, key=lambda image: image.path.parent):
        here = list(files)
        unknown = [image for image in here if image.kind is None]
        flairs = [image for image in here if image.kind == "FLAIR" and image.is_plain]
        flairs = flairs or [image for image in here if image.kind == "FLAIR"]
        flairs = flairs or [image for image in unknown if "flair" in image.path.name.lower()]
        found += [(_study(image, here), place_of(image.path)) for image in flairs or unknown]
        errors += _lacking([image for image in here if not image.is_bids], any_flair=bool(flairs))
    errors += _lacking([image for image in images if image.is_bids], any_flair=False)
    return found


def other_sequence(path: Path) -> str | None:
    """Return which sequence other than FLAIR the name of a file says it is; None if it says none."""
    return _SEQUENCES.get(_Image.of(path).kind or "")


def _study(flair: _Image, here: Sequence[_Image]) -> VolumeStudy:
    """Add the T1 volumes of the same subject and session, where there is one of a kind."""
    name = stem(place_of(flair.path))
    if flair.kind is None:
        return VolumeStudy(name, flair.path)
    before, after = (
        [image.path for image in here if (image.owner, image.is_bids, image.kind) == (flair.owner, flair.is_bids, kind)]
        for kind in ("before", "after")
    )
    notes = [
        f"{len(paths)} T1 volumes {kind} contrast; none of them is used"
        for kind, paths in (("before", before), ("after", after))
        if len(paths) > 1
    ]
    pre, post = (paths[0] if len(paths) == 1 else None for paths in (before, after))
    name = name.removesuffix("_FLAIR") if flair.is_bids else name
    return VolumeStudy(name, flair.path, pre, post, notes=tuple(notes))


def _lacking(images: Sequence[_Image], *, any_flair: bool) -> list[DataError]:
    """Return an error for each subject without FLAIR.

    Where there is FLAIR beside it (``any_flair``) what has no FLAIR may be another sequence of the same patient; it is
    a subject only if it has T1 both before and after contrast.
    """
    owners: dict[str, list[_Image]] = {}
    for image in images:
        if image.kind is not None:
            owners.setdefault(image.owner, []).append(image)
    errors = []
    for owner, its in owners.items():
        kinds = {image.kind for image in its}
        if "FLAIR" not in kinds and (not any_flair or {"before", "after"} <= kinds):
            found = f"no FLAIR among {len(its)} NIfTI file(s) of {owner or 'a patient'}"
            expected = "one whose name ends in FLAIR or t2f, and says no T1"
            errors.append(
                DataError(its[0].path.parent, found, expected, "if one of them is, give it with --flair FILE")
            )
    return errors
