"""Files called like masks whose image is not there: perhaps images themselves, so they are said. Knows names alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gliomask.errors import DataError
from gliomask.studies.names import place_of, stem, whole_path, without_mask_word

_SEQUENCE = re.compile(r"t[12](w|n|c|ce|gd|f|flair)?|flair")
_LEADING_ZEROS = re.compile("(?<![0-9])0+(?=[0-9])")
_FOLDER_OF_MASKS = re.compile(
    r"(.*[_.-])?(masks?|labels?|segs?|segm|segmentations?|rois?|outlines?|annotations?|truths?|gt)(t[rs])?",
    re.IGNORECASE,
)
_EXPECTED = "an image, or a mask of one that is there"


@dataclass(frozen=True)
class LoneMasks:
    """Files of one folder that are called like masks; at least one."""

    files: tuple[Path, ...]

    @property
    def said(self) -> str:
        """How many they are, and the first of them."""
        return f"{len(self.files)} file(s) called like masks of other images ({self.files[0].name})"

    def error(self) -> DataError:
        """Return what to tell where nothing beside them is read."""
        more = f" (one of {len(self.files)} in its folder)" if len(self.files) > 1 else ""
        return mask_error(self.files[0], more)


def mask_error(path: Path, more: str = "") -> DataError:
    """Return what is wrong with a mask that was given as an image."""
    cure = "rename it if it is an image; a mask is found beside its image"
    return DataError(path, f"is a mask, by its name{more}", _EXPECTED, cure)


def lone_masks(top: Path, masks: Sequence[Path], images: Iterable[Path]) -> dict[Path, LoneMasks]:
    """Return by folder the masks that can be of none of the images.

    A mask may be of an image in its folder or below it, unless both names have numbers and they do not agree
    (``P1_seg`` and ``P2_flair``). It may be of an image elsewhere if they have numbers and those agree; or, where the
    mask has none, a word; or if it lies in a folder that is called ``masks``, ``labels``, ... Numbers agree if one name
    has all of the other's.

    Parameters
    ----------
    top
        Folder that all lie in, at any depth; numbers in its own name are nobody's.
    masks
        Files that are called like masks.
    images
        Files that are not. What DICOM files are called tells nothing: ``image`` in their folder stands for them.
    """
    above = _numbers(_words(whole_path(top).name))
    known = _Known()
    for path in images:
        known.add(top, path)
    lone: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in masks:
        own, words = _words(without_mask_word(f"_{stem(place_of(path))}")), _all_words(top, path)
        if not (known.beside(path.parent, _numbers(own) - above, _numbers(words)) or known.apart(top, path, words)):
            lone[path.parent].append(path)
    return {folder: LoneMasks(tuple(sorted(files))) for folder, files in lone.items()}


class _Known:
    """What the names of the images say."""

    def __init__(self) -> None:
        self._below: defaultdict[Path, set[frozenset[str]]] = defaultdict(set)
        self._numbers, self._words = set[frozenset[str]](), set[str]()

    def add(self, top: Path, image: Path) -> None:
        words = _all_words(top, image)
        numbers = _numbers(words)
        self._numbers.add(numbers)
        self._words |= words - numbers
        for folder in image.parents:
            self._below[folder].add(numbers)
            if folder == top:
                break

    def beside(self, folder: Path, own: frozenset[str], numbers: frozenset[str]) -> bool:
        """Tell whether there is an image in a folder, or below, that a mask with these numbers may be of."""
        here = self._below[folder]
        return numbers in here or any(own <= each or each <= numbers for each in here)

    def apart(self, top: Path, mask: Path, words: frozenset[str]) -> bool:
        """Tell whether a mask may be of an image in another folder."""
        if self._numbers and any(_FOLDER_OF_MASKS.fullmatch(name) for name in mask.relative_to(top).parts[:-1]):
            return True
        numbers = _numbers(words)
        if not numbers:
            return not self._words.isdisjoint(words)
        return numbers in self._numbers or any(each and (each <= numbers or numbers <= each) for each in self._numbers)


def _all_words(top: Path, path: Path) -> frozenset[str]:
    """Return the words of a name and of the folders above it, without those behind it that say it is a mask."""
    names = (*path.relative_to(top).parts[:-1], without_mask_word(f"_{stem(place_of(path))}"))
    return frozenset().union(*map(_words, names))


def _words(name: str) -> frozenset[str]:
    words = (_LEADING_ZEROS.sub("", word.casefold()) for word in re.findall(r"[^\W_]+", name))
    return frozenset(word for word in words if not _SEQUENCE.fullmatch(word))


def _numbers(words: frozenset[str]) -> frozenset[str]:
    """Return the words with digits in them."""
    return frozenset(word for word in words if any(letter.isdigit() for letter in word))
