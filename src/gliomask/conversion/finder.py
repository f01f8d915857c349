"""Tells by names which patient a volume is of and which outline belongs to it. Opens no file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Set
from functools import cached_property
from pathlib import Path

from gliomask.data import naming
from gliomask.errors import DataError
from gliomask.studies.names import is_mask, may_be_of_tumour, place_of, stem, whole_path, without_mask_word
from gliomask.studies.nifti import other_sequence
from gliomask.studies.volume import VolumeStudy
from gliomask.volumes.nifti_file import SUFFIXES

_SEQUENCE = re.compile(r"(^|[_. -]+)(t2[_. -]*)?(flair|t2f)$", re.IGNORECASE)
_NOBODY = re.compile(r"(^|[_. -]+)(anat|dicom|dcm|nifti|nii|mri?|images?|scans?|series|volumes?)$", re.IGNORECASE)
_OF_ANYBODY = re.compile(
    r"(axial|ax|t1|t1c|t1ce|t1gd|t2|t2w|flair|whole|wt|tumou?r|lesion|glioma|manual|expert|corrected|edited|final|gt|"
    r"ground|truth|v?\d)*",
    re.IGNORECASE,
)
_VISIT = re.compile(
    r"[\d._-]+|ses-.+|(ses|visit|session|study|exam|tp|v|t)[_-]?\d+|baseline|follow-?up\d*", re.IGNORECASE
)
_NUMBER = re.compile(r"(.*[^0-9])(?:[0-9]+|(?<=[^A-Z])[A-Z])")
_ENTITY = re.compile(r"_(?!ses-|run-|echo-)[a-z]+-[A-Za-z0-9]+")
_SEGMENTATION = ".dcm"


def patient_name(study: VolumeStudy) -> str:
    """Return what the folder of a patient is called: the study's name without the sequence, or else its folder's.

    ``BraTS-GLI-00001-000-t2f`` becomes ``BraTS-GLI-00001-000``; ``flair`` in the folder ``P001/anat`` becomes ``P001``.

    Raises
    ------
    DataError
        If an index would not take it for the name of a patient: it is no text, begins with a dot, or is ``README``.
    """
    above = [bare for folder in folders(study) if (bare := _bare(stem(place_of(folder))))]
    name = _bare(study.name) or next(iter(above), study.name)
    while _VISIT.fullmatch(name) and name in above[:-1]:
        name = f"{above[above.index(name) + 1]}_{name}"
    person = _person_above(study)
    if person is not None and naming.person(person) != naming.person(name):
        name = f"{person}_{name}"
    parsed = naming.parse_slice_name(f"{name}_1.tif", name)
    if not name.isprintable() or naming.may_lie_beside(f"{name}_1.tif") or parsed is None or parsed.patient != name:
        shown = name.encode(errors="backslashreplace").decode()
        expected = "a name in UTF-8 that is none of a README, and without a dot before it"
        raise DataError(_place(study), f"a patient called {shown!r}", expected, "rename it")
    return name


def _person_above(study: VolumeStudy) -> str | None:
    """Return the innermost folder above a study that is called after a person, by a name that tells persons.

    ``sub-...`` is a subject of BIDS if the file's name repeats it, or ``anat``, a session or a visit lies in it; or if
    there is a number in it and only folders that are nobody's (``dicom``) lie between the two. A folder of many
    patients may be called ``sub-cohort``, too.
    """
    within: list[str] = []
    file = study.flair.name if isinstance(study.flair, Path) else ""
    for folder in folders(study):
        name = _bare(stem(place_of(folder)))
        if name and naming.person(name) != name:
            return name
        if name.startswith("sub-"):
            is_numbered = any(letter.isdigit() for letter in name) and not any(map(_bare, within))
            of_subject = within and (within[-1] == "anat" or _VISIT.fullmatch(within[-1]))
            if is_numbered or of_subject or file.startswith(f"{name}_"):
                return name
        within.append(folder.name)
    return None


class OutlineFinder:
    """The NIfTI files and DICOM segmentations that are outlines, by the patient they are named after.

    Parameters
    ----------
    folder
        Searched to any depth, when the first outline is asked for. None: each study's own folder.

    Raises
    ------
    DataError
        If it is no folder.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None and not self.folder.is_dir():
            found = "a file" if self.folder.exists() else "no such folder"
            raise DataError(self.folder, found, "a folder of outlines", "check the path")

    def of(self, study: VolumeStudy, elsewhere: Set[str] = frozenset()) -> Path:
        """Return the outline of a study.

        It is called like the study or its patient (`patient_name`), with ``_mask``, ``_seg``, ... or nothing behind it,
        or lies in a folder that is; BIDS entities other than subject, session, run and echo count only where there are
        several, and an outline in a folder that is called like one of others' images (``elsewhere``) is theirs; so is
        one in ``siteB`` where the images lie in ``siteA``, and one beside a ``siteA`` with outlines. Without
        a folder to search, it is a mask beside FLAIR that is called like it, too, or the only one
        beside the only FLAIR, if it is called like nobody else.

        Raises
        ------
        DataError
            If there is none, only that of a patient of the same name elsewhere, more than one, or the patient has no
            name.
        """
        name = patient_name(study)
        named = self._by_name if self.folder is not None else _named(dict.fromkeys(_masks_beside(study), ()))
        exact = {_bare(study.name), name} - {""}
        if self.folder is None and isinstance(study.flair, Path):  # no other folder's file of that name can be meant
            exact |= {_bare(stem(place_of(study.flair)))} - {""}
        found: set[Path] = set()
        for names in (exact, {_without_entities(each) for each in exact}):
            paths = {path for each in names for path in named.get(each, ()) if self._may_be(path, study)}
            found = found or {path for path in paths if not elsewhere & set(self._above(path))}
        if not found and self.folder is None:
            found = _only_mask(study)
        found = self._of_own_site(found, study, name)
        if len(found) == 1:
            return found.pop()
        place = self.folder or _place(study)
        otherwise = "" if self.folder is not None else ", or give --masks FOLDER"
        if not found:
            raise DataError(place, f"no outline of {name}", f"{name}_seg.nii.gz", f"rename it{otherwise}")
        listed = ", ".join(sorted(str(path.relative_to(self.folder or path.parent)) for path in found))
        raise DataError(place, f"{len(found)} outlines of {name}: {listed}", "one", f"move others away{otherwise}")

    def _may_be(self, path: Path, study: VolumeStudy) -> bool:
        """Tell whether a file is none of the images, as far as its name tells where both lie in one folder."""
        own = [whole_path(each) for each in (study.flair, study.pre, study.post) if isinstance(each, Path)]
        if self.folder is None or not own or not own[0].is_relative_to(whole_path(self.folder)):
            return True
        return whole_path(path) not in own and (is_mask(path) or not _SEQUENCE.search(stem(place_of(path))))

    def _of_own_site(self, found: Set[Path], study: VolumeStudy, name: str) -> set[Path]:
        """Leave out the outlines that are evidently of another patient of the same name.

        Raises
        ------
        DataError
            If all are.
        """
        foreign = {path: site for path in found if (site := self._other_site(path, study, name)) is not None}
        if foreign and len(foreign) == len(found):
            path, site = min(foreign.items())
            said = f"an outline of {name}, whose images lie elsewhere ({_place(study)})"
            raise DataError(path, said, "one in a folder called like theirs", f"if it is theirs, give --masks {site}")
        return {path for path in found if path not in foreign}

    def _other_site(self, path: Path, study: VolumeStudy, name: str) -> Path | None:
        """Return the folder that tells that an outline is of another patient of the same name; None if there is none.

        It is called like one above the images but for the number or the letter at its end, or lies beside one that is
        called exactly so and holds outlines. A tree with other folders (``labels/final``) tells nothing.
        """
        if self.folder is None:
            return None
        homes, above = folders(study), self._above(path)
        own = {home.name for home in homes}
        ours = own - {*above, ""}
        alike = {_without_number(each) for each in ours} - {None}
        for depth, theirs in enumerate(above):
            beside = {(*above[:depth], each) for each in ours - {name}} & self._holding
            beside = {place for place in beside if whole_path(self.folder.joinpath(*place)) not in homes}
            if theirs not in own and (beside or _without_number(theirs) in alike):
                return self.folder.joinpath(*above[: depth + 1])
        return None

    @cached_property
    def _outlines(self) -> dict[Path, tuple[str, ...]]:
        below = sorted(self.folder.rglob("*")) if self.folder is not None else []
        return {path: self._above(path) for path in below if _is_outline(path)}

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        return _named(self._outlines)

    @cached_property
    def _holding(self) -> set[tuple[str, ...]]:
        """The folders with outlines at any depth."""
        return {above[:depth] for above in set(self._outlines.values()) for depth in range(1, len(above) + 1)}

    def _above(self, path: Path) -> tuple[str, ...]:
        """Return the names of the folders between the one that is searched and an outline."""
        return () if self.folder is None else path.relative_to(self.folder).parts[:-1]


def _named(paths: Mapping[Path, tuple[str, ...]]) -> dict[str, list[Path]]:
    """Return outlines by all that they may be called after: themselves, with any number of the folders above."""
    named: defaultdict[str, list[Path]] = defaultdict(list)
    for path, above in paths.items():
        name = stem(place_of(path))
        names = ["_".join((*above[start:], name)) for start in range(len(above) + 1)]
        bare = {_bare(without_mask_word(each)) for each in names}
        for each in (bare | {_without_entities(each) for each in bare}) - {""}:
            named[each].append(path)
    return named


def _bare(name: str) -> str:
    """Return a name without the words behind it that are nobody's: the sequence, ``anat``, ``image``, ..."""
    while (shorter := _NOBODY.sub("", _SEQUENCE.sub("", name))) != name:
        name = shorter
    return name


def _without_number(name: str) -> str | None:
    """Return a name without the number or the capital letter behind it; None if it has none, or is nothing else."""
    match = _NUMBER.fullmatch(name)
    return match and match[1].casefold()


def _without_entities(name: str) -> str:
    return _ENTITY.sub("", name) if name.startswith("sub-") else name


def _is_outline(path: Path) -> bool:
    is_image = path.name.lower().endswith((*SUFFIXES, _SEGMENTATION)) and not path.name.startswith(".")
    return is_image and may_be_of_tumour(path)


def folders(study: VolumeStudy) -> list[Path]:
    """Return the folders that a study lies in, from the innermost."""
    if isinstance(study.flair, Path):
        return list(whole_path(study.flair).parents)
    folder = whole_path(study.flair[0].frames[0].part.folder)
    return [folder, *folder.parents]


def _place(study: VolumeStudy) -> Path:
    """Return what an error about a study names."""
    return study.flair if isinstance(study.flair, Path) else Path(study.flair[0].source)


def _beside(study: VolumeStudy) -> list[Path]:
    """Return the NIfTI files in the folder of a study's."""
    if not isinstance(study.flair, Path) or study.is_dicom:
        return []
    beside = (path for path in whole_path(study.flair).parent.iterdir() if not path.name.startswith("."))
    return [path for path in beside if path.name.lower().endswith(SUFFIXES)]


def _masks_beside(study: VolumeStudy) -> list[Path]:
    return [path for path in _beside(study) if is_mask(path) and may_be_of_tumour(path)]


def _only_mask(study: VolumeStudy) -> set[Path]:
    """Return the masks beside the only FLAIR of a folder that are called like it, or like nobody."""
    volumes = [path for path in _beside(study) if not is_mask(path) and other_sequence(path) is None]
    if len(volumes) != 1:
        return set()
    name = _bare(stem(place_of(volumes[0])))
    found = ((path, _bare(without_mask_word(stem(place_of(path))))) for path in _masks_beside(study))
    return {path for path, whose in found if whose == name or _is_of_anybody(whose)}


def _is_of_anybody(name: str) -> bool:
    words = re.split("[^A-Za-z0-9]+", without_mask_word(f"_{name}"))
    return all(_OF_ANYBODY.fullmatch(word) for word in words)
