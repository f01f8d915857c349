"""Names and clinical tables of phantoms, in the form of the public set; knows nothing of images.

Codes, and how often they and blanks occur, follow the public table. The clinical values agree with the simulated head
(side and lobe of the tumour, age) but are otherwise drawn independently: no cluster is tied to a shape.
"""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from gliomask.errors import UsageError
from gliomask.files import whole_file

INSTITUTIONS = {"DU": 45, "HT": 34, "CS": 16, "FG": 14, "EZ": 1}
LAST_NUMBER = 999
_EARLIEST = datetime.date(1993, 1, 1)
_DAYS = 12 * 365

_SHARES: dict[str, tuple[int, dict[int, int]]] = {
    "RNASeqCluster": (18, {1: 25, 2: 28, 3: 12, 4: 27}),
    "MethylationCluster": (1, {1: 4, 2: 13, 3: 34, 4: 21, 5: 37}),
    "miRNACluster": (0, {1: 33, 2: 62, 3: 8, 4: 7}),
    "CNCluster": (2, {1: 59, 2: 20, 3: 29}),
    "RPPACluster": (12, {1: 27, 2: 31, 3: 17, 4: 23}),
    "OncosignCluster": (5, {1: 29, 2: 58, 3: 18}),
    "COCCluster": (0, {1: 56, 2: 24, 3: 30}),
    "histological_type": (1, {1: 33, 2: 29, 3: 47}),
    "neoplasm_histologic_grade": (1, {1: 51, 2: 58}),
    "tumor_tissue_site": (1, {1: 109}),
    "laterality": (1, {1: 53, 3: 54}),
    "tumor_location": (1, {2: 63, 4: 1, 5: 12, 6: 32}),
    "gender": (1, {1: 56, 2: 53}),
    "age_at_initial_pathologic": (1, {45: 109}),
    "race": (2, {2: 10, 3: 98}),
    "ethnicity": (8, {1: 3, 2: 99}),
    "death01": (1, {0: 82, 1: 27}),
}
"""For each column: how many of 110 patients lack it, and how many have which value."""

COLUMNS = ("Patient", *_SHARES)
_LOCATION = {"frontal": 2, "occipital": 4, "parietal": 5, "temporal": 6}


def check_number(number: int) -> None:
    """Refuse a patient number that no name can be made of.

    Raises
    ------
    UsageError
        If `number` is not between 1 and `LAST_NUMBER`.
    """
    if not 1 <= number <= LAST_NUMBER:
        raise UsageError(f"phantom number is {number}; expected 1 to {LAST_NUMBER}")


def patient_name(number: int, rng: np.random.Generator) -> str:
    """Make a name such as TCGA_DU_9001_19990101; no patient of the public set has a number from 9001 to 9999."""
    shares = np.array(list(INSTITUTIONS.values()), dtype=np.float64)
    institution = rng.choice(list(INSTITUTIONS), p=shares / shares.sum())
    date = _EARLIEST + datetime.timedelta(days=int(rng.integers(_DAYS)))
    return f"TCGA_{institution}_{9000 + number}_{date:%Y%m%d}"


def draw_clinical(rng: np.random.Generator, known: Mapping[str, int | str]) -> dict[str, str | int | float]:
    """Draw one row of the clinical table without its name.

    Parameters
    ----------
    rng
        Source of chance.
    known
        What the simulation decides: `side` (-1 or 1 in the image, whose left is the patient's right), `lobe`, and `age`
        in years.

    Returns
    -------
    dict
        One value for each column but `Patient`; an empty string where it is missing.
    """
    row: dict[str, str | int | float] = {}
    for column, (blanks, shares) in _SHARES.items():
        weights = np.array(list(shares.values()), dtype=np.float64)
        row[column] = int(rng.choice(list(shares), p=weights / weights.sum()))
        told = {
            "laterality": 3 if known["side"] == -1 else 1,
            "tumor_location": _LOCATION[str(known["lobe"])],
            "age_at_initial_pathologic": int(known["age"]),
        }
        row[column] = told.get(column, row[column])
        if rng.random() < blanks / 110:
            row[column] = ""
    return row


def write_table(path: Path, rows: Iterable[tuple[str, Mapping[str, str | int | float]]]) -> None:
    """Write the clinical table.

    Parameters
    ----------
    path
        File to write.
    rows
        Patient name (its date is left out, as in the public table) and clinical values.
    """
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, clinical in rows:
            writer.writerow([name.rsplit("_", 1)[0], *(clinical[column] for column in COLUMNS[1:])])
