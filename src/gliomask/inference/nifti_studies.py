"""Finds the studies among NIfTI files: FLAIR volumes, in BIDS with the T1 volumes beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from gliomask.inference.names import place_of, stem
from gliomask.inference.volume_study import Placed, VolumeStudy

_BIDS = re.compile(r"(?P<subject>sub-[^_]+(_ses-[^_]+)?)(?P<entities>(_[a-z]+-[^_]+)*)_(?P<suffix>[A-Za-z0-9]+)")
_RESULTS = re.compile(r".*[_-](mask|seg|label|labels|probabilities|probs|dseg)")
_FLAIR = re.compile(r"flair", re.IGNORECASE)
_ELSEWHERE = ("derivatives", "sourcedata")  # of a BIDS data set


def nifti_studies(top: Path, paths: Sequence[Path]) -> Placed:
    """Return the studies among NIfTI files of a folder, searched to any depth: ``paths`` in order, below ``top``."""
    found: Placed = []
    images = [path for path in paths if not _RESULTS.fullmatch(stem(place_of(path)).lower())]
    for folder, files in groupby(images, key=lambda path: path.parent):
        here = list(files)
        if set(_ELSEWHERE) & set(folder.relative_to(top).parts):
            continue
        bids = {path: match for path in here if (match := _BIDS.fullmatch(stem(place_of(path))))}
        flairs = [path for path in here if _FLAIR.search(path.name)]
        for path in flairs or [path for path in here if path not in bids]:
            is_bids = path in bids and bids[path]["suffix"] == "FLAIR"
            study = _bids_study(path, bids) if is_bids else VolumeStudy(stem(place_of(path)), path)
            found.append((study, place_of(path)))
    return found


def _bids_study(flair: Path, bids: dict[Path, re.Match[str]]) -> VolumeStudy:
    """Add the T1 volumes of the subject and session, where there is one of a kind."""
    subject = bids[flair]["subject"]
    t1 = [path for path, match in bids.items() if (match["subject"], match["suffix"]) == (subject, "T1w")]
    with_contrast = [path for path in t1 if "_ce-" in path.name]
    without = [path for path in t1 if path not in with_contrast]
    notes = [
        f"{len(paths)} T1 volumes {kind} contrast; none of them is used"
        for kind, paths in (("before", without), ("after", with_contrast))
        if len(paths) > 1
    ]
    pre, post = (paths[0] if len(paths) == 1 else None for paths in (without, with_contrast))
    return VolumeStudy(stem(place_of(flair)).removesuffix("_FLAIR"), flair, pre, post, notes=tuple(notes))
