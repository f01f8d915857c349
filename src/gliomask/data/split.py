"""Who is trained on and who is tested: parts of an index, made by seed and kept in split.json. Knows no pixels.

Except in the `slice` and `leak-by-slice` splits, which exist to show the leak, no person is in two parts, also when the
person was scanned on two dates.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomask.config import SplitConfig, SplitKind
from gliomask.data import leak, naming, stratify
from gliomask.data.leak import entry as slice_entry
from gliomask.data.records import DatasetIndex
from gliomask.errors import DataError, SplitMismatchError, UsageError
from gliomask.files import whole_file

PARTS = ("train", "validation", "test")
"""Names of the parts."""

BUDA10 = (
    "TCGA_CS_4944_20010208",
    "TCGA_CS_6667_20011105",
    "TCGA_CS_6668_20011025",
    "TCGA_DU_5851_19950428",
    "TCGA_DU_6404_19850629",
    "TCGA_DU_6408_19860521",
    "TCGA_DU_7014_19860618",
    "TCGA_HT_7616_19940813",
    "TCGA_HT_7692_19960724",
    "TCGA_HT_7879_19981009",
)
"""The ten patients on which Buda's public PyTorch U-Net was tested."""

_KINDS = typing.get_args(SplitKind)
_CURE_FILE = "delete it and let the split be made anew"


@dataclass(frozen=True)
class Split:
    """Parts of an index.

    Attributes
    ----------
    kind
        How it was made: one of `gliomask.config.SplitKind`.
    seed
        Seed that it was made with.
    fingerprint
        Fingerprint of the index that it was made for.
    parts
        Entries of ``train``, ``validation`` and ``test``: patient names, or ``PATIENT/number`` if the kind is slice or
        one of the leak's.
    fold, folds
        Which fold the test set is, of how many; None for the other kinds.
    """

    kind: str
    seed: int
    fingerprint: str
    parts: Mapping[str, tuple[str, ...]]
    fold: int | None = None
    folds: int | None = None

    def __post_init__(self) -> None:
        """Refuse parts that overlap or lack a name.

        Raises
        ------
        UsageError
            Saying what is wrong.
        """
        if self.kind not in _KINDS:
            raise UsageError(f"the kind of split is {self.kind!r}; expected one of {', '.join(_KINDS)}")
        if set(self.parts) != set(PARTS):
            raise UsageError(f"the parts are {', '.join(self.parts)}; expected {', '.join(PARTS)}")
        if not self._has_its_fold():
            raise UsageError(f"fold is {self.fold} of {self.folds} in a {self.kind} split; only kind fold has folds")
        entries = [entry for part in PARTS for entry in self.parts[part]]
        if len(entries) != len(set(entries)):
            twice = sorted({entry for entry in entries if entries.count(entry) > 1})
            raise UsageError(f"{', '.join(twice[:3])} occurs twice; expected every entry in one part")

    def check(self, index: DatasetIndex) -> None:
        """Make sure that the split was made for this data.

        Raises
        ------
        SplitMismatchError
            If the fingerprints differ.
        """
        if self.fingerprint != index.fingerprint:
            raise SplitMismatchError(
                index.root,
                f"data with the fingerprint {index.fingerprint[:12]}",
                f"{self.fingerprint[:12]}, which the split was made for",
                "give the data that the split was made for, or make the split anew",
            )

    def positions(self, index: DatasetIndex, part: str) -> NDArray[np.int64]:
        """Return which slices of the index belong to a part.

        Parameters
        ----------
        index
            The index that the split was made for.
        part
            train, validation or test.

        Returns
        -------
        NDArray[np.int64]
            (N,) row numbers, rising; rows count the slices of the index patient by patient, by slice number.

        Raises
        ------
        SplitMismatchError
            If the split was made for other data.
        UsageError
            If there is no such part.
        """
        members = self._members(index, part)
        rows = [
            name in members or slice_entry(name, number) in members
            for name, number in (
                (patient.name, record.number) for patient in index.patients for record in patient.slices
            )
        ]
        return np.flatnonzero(np.array(rows, dtype=np.bool_)).astype(np.int64)

    def patients(self, index: DatasetIndex, part: str) -> tuple[str, ...]:
        """Return the patients with at least one slice in a part, in the order of the index.

        Raises
        ------
        SplitMismatchError
            If the split was made for other data.
        UsageError
            If there is no such part.
        """
        names = {entry.partition("/")[0] for entry in self._members(index, part)}
        return tuple(patient.name for patient in index.patients if patient.name in names)

    def trained_cases(self) -> frozenset[str]:
        """Return the persons (names without the date of the scan) with any slice in train."""
        return frozenset(naming.person(entry.partition("/")[0]) for entry in self.parts["train"])

    def seen_cases(self) -> frozenset[str]:
        """Return the persons (names without the date of the scan) with any slice in train or validation."""
        return self.trained_cases().union(naming.person(entry.partition("/")[0]) for entry in self.parts["validation"])

    def _has_its_fold(self) -> bool:
        if self.kind != "fold":
            return self.fold is None and self.folds is None
        return self.fold is not None and self.folds is not None and 0 <= self.fold < self.folds

    def _members(self, index: DatasetIndex, part: str) -> frozenset[str]:
        self.check(index)
        if part not in self.parts:
            raise UsageError(f"no part {part!r}; expected one of {', '.join(PARTS)}")
        return frozenset(self.parts[part])


def unseen_positions(index: DatasetIndex, seen: Collection[str]) -> NDArray[np.int64]:
    """Return the slices of everybody but some persons (names without the date of the scan), by any of their names.

    Returns
    -------
    NDArray[np.int64]
        (N,) row numbers, rising, as for `Split.positions`.
    """
    rows = [naming.known_as(patient.name).isdisjoint(seen) for patient in index.patients for _ in patient.slices]
    return np.flatnonzero(np.array(rows, dtype=np.bool_)).astype(np.int64)


def buda10_positions(index: DatasetIndex) -> NDArray[np.int64]:
    """Return the slices of the ten of `BUDA10`, whoever else there is.

    Raises
    ------
    DataError
        If one of them is absent.
    """
    _require_buda10(index)
    rows = [patient.name in BUDA10 for patient in index.patients for _ in patient.slices]
    return np.flatnonzero(np.array(rows, dtype=np.bool_)).astype(np.int64)


def make_split(index: DatasetIndex, config: SplitConfig) -> Split:
    """Divide an index into training, validation and test.

    Parameters
    ----------
    index
        The data.
    config
        Kind and seed, which fold, and whether patients are set aside to choose the epoch; who is tested does not depend
        on that. Kinds other than slice balance tumour size and institution.

    Returns
    -------
    Split
        The same for the same index and config.

    Raises
    ------
    DataError
        If there are too few patients or slices, or if the ten patients of buda10 are not all there.
    UsageError
        If the seed is negative, or all folds are asked for at once.
    """
    if config.split_seed < 0:
        raise UsageError(f"split_seed is {config.split_seed}; expected 0 or more")
    folding = config.split == "fold"
    if folding and config.fold < 0:
        raise UsageError(f"fold is {config.fold}, all folds; expected one of them, 0 to {config.folds - 1}")
    known = {"patient": _by_patient, "fold": _by_fold, "slice": _by_slice, "buda10": _buda10, "all": _all}
    make = known.get(config.split, _leak)
    parts = make(index, config)
    if not config.validation:
        parts = {**parts, "train": tuple(sorted(parts["train"] + parts["validation"])), "validation": ()}
    return Split(
        kind=config.split,
        seed=config.split_seed,
        fingerprint=index.fingerprint,
        parts=parts,
        fold=config.fold if folding else None,
        folds=config.folds if folding else None,
    )


def leak_splits(index: DatasetIndex, seed: int) -> tuple[Split, Split]:
    """Return the two splits that `gliomask leak` compares, by patient and by slice; see `gliomask.data.leak`.

    Raises
    ------
    DataError, UsageError
        As for `make_split`.
    """
    kinds: tuple[SplitKind, SplitKind] = ("leak-by-patient", "leak-by-slice")
    by_patient, by_slice = (make_split(index, SplitConfig(split=kind, split_seed=seed)) for kind in kinds)
    return by_patient, by_slice


def save_split(split: Split, path: Path) -> None:
    """Write a split as JSON, whole or not at all.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    try:
        with whole_file(path) as partial:
            partial.write_text(json.dumps(dataclasses.asdict(split), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(
            path, f"cannot be written ({error.strerror})", "a folder to write to", "choose another"
        ) from error


def load_split(path: Path) -> Split:
    """Read a split that `save_split` wrote.

    Raises
    ------
    DataError
        If the file cannot be read, is not JSON, lacks something, or has an entry in two parts.
    """
    try:
        return _from_values(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise DataError(path, f"not a usable split ({reason})", "a split.json of gliomask", _CURE_FILE) from error


def _from_values(values: Any) -> Split:
    names = {field.name for field in dataclasses.fields(Split)}
    if not isinstance(values, dict) or set(values) != names:
        raise ValueError(f"expected the keys {', '.join(sorted(names))}")
    if not isinstance(values["parts"], dict) or not all(type(part) is list for part in values["parts"].values()):
        raise TypeError("parts that are not lists by name")
    texts = [values["kind"], values["fingerprint"], *(entry for part in values["parts"].values() for entry in part)]
    numbers = [values["seed"], *(values[name] for name in ("fold", "folds") if values[name] is not None)]
    if not all(type(text) is str for text in texts) or not all(type(number) is int for number in numbers):
        raise TypeError("a value of the wrong type")
    return Split(**{**values, "parts": {name: tuple(part) for name, part in values["parts"].items()}})


def _by_patient(index: DatasetIndex, config: SplitConfig) -> dict[str, tuple[str, ...]]:
    traits = _traits(index)
    _require(index, len(traits), 3, "patients")
    tenth = _tenth(len(traits))
    test, rest = _draw(traits, tenth, _generator(config, 0))
    validation, train = _draw({person: traits[person] for person in rest}, tenth, _generator(config, 1))
    return _parts(index, train, validation, test)


def _by_fold(index: DatasetIndex, config: SplitConfig) -> dict[str, tuple[str, ...]]:
    traits = _traits(index)
    _require(index, len(traits), max(config.folds, 4 if config.folds == 2 else 3), "patients")
    order, generator = stratify.in_order(traits), _generator(config, 0)
    test = stratify.evenest(lambda: stratify.deal(order, config.folds, generator), traits)[config.fold]
    tested = frozenset(test)
    rest = {person: traits[person] for person in order if person not in tested}
    validation, train = _draw(rest, _tenth(len(order)), _generator(config, 1 + config.fold))
    return _parts(index, train, validation, test)


def _by_slice(index: DatasetIndex, config: SplitConfig) -> dict[str, tuple[str, ...]]:
    entries = [slice_entry(patient.name, record.number) for patient in index.patients for record in patient.slices]
    _require(index, len(entries), 3, "slices")
    tenth = _tenth(len(entries))
    shuffled = [entries[place] for place in _generator(config, 0).permutation(len(entries))]
    return {
        "train": tuple(shuffled[2 * tenth :]),
        "validation": tuple(shuffled[tenth : 2 * tenth]),
        "test": tuple(shuffled[:tenth]),
    }


def _require_buda10(index: DatasetIndex) -> None:
    present = {patient.name for patient in index.patients}
    absent = [name for name in BUDA10 if name not in present]
    if absent:
        raise DataError(
            index.root,
            f"{len(absent)} of the ten patients of buda10 are absent (the first is {absent[0]})",
            "all ten",
            "give the whole Kaggle data set, or choose another split",
        )


def _buda10(index: DatasetIndex, config: SplitConfig) -> dict[str, tuple[str, ...]]:
    _require_buda10(index)
    test = sorted({naming.person(name) for name in BUDA10})
    rest = {person: traits for person, traits in _traits(index).items() if person not in test}
    _require(index, len(rest), 2, "patients beside the ten")
    validation, train = _draw(rest, _tenth(len(rest)), _generator(config, 0))
    return _parts(index, train, validation, test)


def _all(index: DatasetIndex, _: SplitConfig) -> dict[str, tuple[str, ...]]:
    held_back = {naming.person(name) for name in BUDA10}
    people = _people(index)
    train = [person for person in people if person not in held_back]
    _require(index, len(train), 1, "patients beside the ten of buda10")
    return _parts(index, train, [], [person for person in people if person in held_back])


def _leak(index: DatasetIndex, config: SplitConfig) -> dict[str, tuple[str, ...]]:
    traits = _traits(index)
    _require(index, len(traits), 3, "patients")
    test, rest = _draw(traits, max(1, int(leak.SHARE * len(traits) + 0.5)), _generator(config, 0))
    validation, train = _draw({person: traits[person] for person in rest}, _tenth(len(traits)), _generator(config, 1))
    whole = _parts(index, train, validation, test)
    chance = _generator(config, 2)
    return leak.leak_parts(index, tested=whole["test"], validated=whole["validation"], generator=chance)[config.split]


def _draw(people: Mapping[str, stratify.Traits], count: int, generator: np.random.Generator) -> stratify.Groups:
    """Return `count` of the people, alike in tumour size and institution to the rest, and the rest."""
    order = stratify.in_order(people)
    return stratify.evenest(lambda: stratify.draw(order, count, generator), people)


def _people(index: DatasetIndex) -> dict[str, list[str]]:
    """Return the patient names (scans) of each person."""
    people: dict[str, list[str]] = defaultdict(list)
    for patient in index.patients:
        people[naming.person(patient.name)].append(patient.name)
    return dict(people)


def _traits(index: DatasetIndex) -> dict[str, stratify.Traits]:
    return {
        person: stratify.Traits(
            institution=index.patient(names[0]).institution,
            tumour_pixels=max(index.patient(name).tumour_pixels for name in names),
        )
        for person, names in _people(index).items()
    }


def _parts(
    index: DatasetIndex, train: Sequence[str], validation: Sequence[str], test: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    people = _people(index)
    members = {"train": train, "validation": validation, "test": test}
    return {part: tuple(sorted(name for person in members[part] for name in people[person])) for part in PARTS}


def _tenth(count: int) -> int:
    return max(1, int(count / 10 + 0.5))


def _generator(config: SplitConfig, stage: int) -> np.random.Generator:
    return np.random.default_rng([config.split_seed, stage])


def _require(index: DatasetIndex, count: int, needed: int, what: str) -> None:
    if count < needed:
        raise DataError(index.root, f"{count} usable {what}", f"at least {needed}", "add data, or choose another split")
