"""What the result of a study is called: after its file or folder, and after folders above where two are alike."""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Sequence
from os.path import normpath
from pathlib import Path, PurePosixPath

LONGEST_NAME = 180
"""Bytes of a study's name. Disks take 255, of which names of files, and of those that are being written, need some."""
_MASK_WORDS = "mask|roi|seg|segm|segmentation|dseg|label|labels"
_OTHER_WORDS = "brainmask|probability|probabilities|probs|probseg"
_MASK = re.compile(rf"(.*[_.-])?({_MASK_WORDS}|{_OTHER_WORDS})([_-]?\d+)?", re.IGNORECASE)
_ENDING = re.compile(rf"[_.-]({_MASK_WORDS}|pred|tumou?r|lesion)([_-]?\d+)?$", re.IGNORECASE)
_NO_TUMOUR = re.compile(rf"(.*[_.-])?(brain|skull|head|prob)[a-z]*([_.-]({_MASK_WORDS}))?([_-]?\d+)?", re.IGNORECASE)
_TISSUE = {
    "gm", "wm", "csf", "aseg", "aparc", "aparcaseg", "tissue", "tissues", "ventricle", "ventricles", "hippocampus",
    "thalamus", "brainstem", "cerebellum",
}  # fmt: skip


def is_mask(path: Path) -> bool:
    """Tell by its name whether a file is a mask (or probabilities) and no image: ``*_mask``, ``*-seg_3``, ``label``."""
    return _MASK.fullmatch(stem(place_of(path))) is not None


def may_be_of_tumour(path: Path) -> bool:
    """Tell by its name whether a mask may be one of a tumour: none of brain or tissue, and no probabilities."""
    name = stem(place_of(path))
    return _NO_TUMOUR.fullmatch(name) is None and not _TISSUE & set(re.split("[^a-z0-9]+", name.lower()))


def without_mask_word(name: str) -> str:
    """Return whose a mask is: its name (`stem`) without ``_mask``, ``_seg_2``, ``-label``, ``_tumour``, ..."""
    return _ENDING.sub("", name)


def place_of(path: Path) -> PurePosixPath:
    """Return a path with the slashes that zips have, too."""
    return PurePosixPath(path.as_posix())


def whole_path(place: Path | PurePosixPath) -> Path:
    """Return the path from the root down, links left as they are: one place, one path."""
    return Path(normpath(Path(place).absolute()))


def stem(place: PurePosixPath) -> str:
    """Return the last part of a place without the endings of images and archives."""
    return re.sub(r"(\.nii(\.gz)?|\.zip|\.dcm|\.tiff?|\.png)$", "", place.name, flags=re.IGNORECASE) or "study"


def own_names(found: Sequence[tuple[str, PurePosixPath]]) -> list[str]:
    """Tell studies of one name apart by the folders above them, as few as it takes, and else by the file's ending.

    Parameters
    ----------
    found
        Name of each study, and the file, folder or zip it was found in.

    Returns
    -------
    list of str
        In the same order. All of one name get the same number of folders, so that one more of them changes little; a
        name that no other has stays as it is. Two may still be alike.
    """
    above = [whole_path(place).parent.parts[1:] for _, place in found]
    bases, names = [name for name, _ in found], [name for name, _ in found]
    depth: Counter[str] = Counter()

    def deeper(alike: Sequence[int]) -> set[str]:
        """Return the names, of those alike, that are to get one more folder: those that have most of them."""
        most = max(depth[bases[number]] for number in alike)
        apart = len({above[number] for number in alike}) > 1
        left = [number for number in alike if depth[bases[number]] == most and most < len(above[number])]
        return {bases[number] for number in left} if apart else set()

    while longer := set().union(*map(deeper, _alike(names))):
        depth.update(longer)
        names = [
            "_".join((*folders[max(len(folders) - depth[base], 0) :], base))
            for base, folders in zip(bases, above, strict=True)
        ]
    for number in [number for alike in _alike(names) for number in alike]:
        place = found[number][1]
        names[number] += place.name.removeprefix(stem(place)).replace(".", "_")
    return names


def short(name: str) -> str:
    """Return a name of at most `LONGEST_NAME` bytes; of a longer one, both ends and a sum of all of it."""
    letters = name.encode("utf-8", "surrogatepass" if sys.platform == "win32" else "surrogateescape")
    if len(letters) <= LONGEST_NAME:
        return name
    told = hashlib.sha256(letters).hexdigest()[:12]
    half = (LONGEST_NAME - len(told) - 2) // 2
    return f"{letters[:half].decode(errors='ignore')}-{told}-{letters[-half:].decode(errors='ignore')}"


def _alike(names: Sequence[str]) -> list[list[int]]:
    """Return the numbers of the names that others have, too, those of one name together."""
    numbers: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        numbers.setdefault(name, []).append(number)
    return [group for group in numbers.values() if len(group) > 1]
