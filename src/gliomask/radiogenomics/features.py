"""All features of masks, as tables: with all components, and with the largest alone. Knows no statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomask.data.index import DatasetIndex, PatientRecord
from gliomask.radiogenomics.components import check_mask, cropped, largest_components
from gliomask.radiogenomics.descriptors import describe
from gliomask.radiogenomics.mesh import VOXELS, Spacing
from gliomask.radiogenomics.shape import SHORTEST, asd, ellipsoid_ratio, mf
from gliomask.volumes.components import count_components
from gliomask.volumes.slices import read_mask

Components = Literal["all", "largest"]
"""What is measured: the mask as it is, or its largest 26-connected component alone."""
COMPONENTS: tuple[Components, ...] = ("all", "largest")


@dataclass(frozen=True)
class Feature:
    """A feature and its words.

    Attributes
    ----------
    name
        Its column.
    title
        In words.
    dimension
        Power of a length: 0 for numbers without a unit.
    components
        What it is measured on where it is defined by its paper or by IBSI.
    """

    name: str
    title: str
    dimension: int = 0
    components: Components = "all"


SHAPE_FEATURES = (
    Feature("bevr", "Bounding ellipsoid volume ratio (BEVR)", components="largest"),
    Feature("asd", "Angular standard deviation (ASD)"),
    Feature("mf", "Margin fluctuation (MF)"),
)
"""Those of the radiogenomic studies, `gliomask.radiogenomics.shape`."""
FEATURES = {
    feature.name: feature
    for feature in (
        *SHAPE_FEATURES,
        Feature("volume", "Volume within the surface", 3),
        Feature("voxel_volume", "Volume of the voxels", 3),
        Feature("surface", "Surface", 2),
        Feature("sphericity", "Sphericity"),
        Feature("compactness", "Compactness"),
        Feature("elongation", "Elongation"),
        Feature("flatness", "Flatness"),
        Feature("maximum_diameter", "Maximum 3D diameter", 1),
        Feature("solidity", "Solidity"),
    )
}
"""Every feature by name, in the order of the columns."""


class Masks(Protocol):
    """Where masks come from, such as a folder (`gliomask.evaluation.masks.MaskFolder`)."""

    def read(self, patient: PatientRecord) -> NDArray[np.bool_]:
        """Return (S, H, W) bool."""


@dataclass(frozen=True)
class ManualMasks:
    """The masks of a data set itself."""

    index: DatasetIndex

    def read(self, patient: PatientRecord) -> NDArray[np.bool_]:
        """Return (S, H, W) bool.

        Raises
        ------
        UnreadableImageError
            If a file cannot be used.
        """
        return np.stack([read_mask(self.index.root / record.mask) for record in patient.slices])


def measure(mask: NDArray[np.bool_], spacing: Spacing = VOXELS) -> dict[Components, dict[str, float]]:
    """Return every feature by name, with all components and with the largest alone.

    Where components share the largest size, the mean over them is taken. An empty mask, and what `FEATURES` cannot be
    told of a tumour that is too small, is NaN; `remarks` says why.

    Parameters
    ----------
    mask
        (S, H, W) bool.
    spacing
        Distance of slices, rows and columns.

    Raises
    ------
    ValueError
        If the mask is not (S, H, W) of bool.
    """
    check_mask(mask)
    mask = cropped(mask) if mask.any() else mask  # where it lies does not matter, and most of a volume is empty
    whole = _measure(mask, spacing)
    if count_components(mask) < 2:
        return {"all": whole, "largest": whole}
    each = [_measure(component, spacing) for component in largest_components(mask)]
    return {"all": whole, "largest": {name: float(np.mean([values[name] for values in each])) for name in whole}}


def remarks(mask: NDArray[np.bool_], values: dict[str, float]) -> list[str]:
    """Return what must be known of a patient's values: why some are NaN, and what tumour they are of.

    Parameters
    ----------
    mask
        (S, H, W) bool.
    values
        As `measure` returned them.
    """
    tumour_slices = int(mask.any(axis=(1, 2)).sum())
    if not tumour_slices:
        return ["empty mask: no feature"]
    cases = {
        f"an outline of fewer than {SHORTEST} points: no ASD and MF": np.isnan(values["asd"]),
        "a single voxel: no elongation and flatness": np.isnan(values["elongation"]),
        "tumour in one slice: flatness is 0": tumour_slices == 1 and not np.isnan(values["flatness"]),
    }
    return [words for words, applies in cases.items() if applies]


def feature_table(
    masks: Masks,
    patients: Iterable[PatientRecord],
    *,
    spacing: Spacing = VOXELS,
    on_patient: Callable[[object], None] = lambda _: None,
) -> pd.DataFrame:
    """Measure the masks of patients.

    Parameters
    ----------
    masks
        Where they come from.
    patients
        Whose.
    spacing
        Distance of slices, rows and columns.
    on_patient
        Called with each patient's name when it is done.

    Returns
    -------
    pandas.DataFrame
        Two rows a patient, ``components`` being ``all`` and ``largest``. Columns: patient, components, component_count
        (26-connected), tumour_slices, the features, remarks (with semicolons).

    Raises
    ------
    DataError
        If a mask is absent or cannot be used.
    """
    rows: list[dict[str, Any]] = []
    for patient in patients:
        mask = masks.read(patient)
        told = {
            "component_count": count_components(mask),
            "tumour_slices": int(mask.any(axis=(1, 2)).sum()),
        }
        gap = ["slices are missing in between"] if _has_gap(patient) else []
        for components, values in measure(mask, spacing).items():
            notes = "; ".join([*remarks(mask, values), *gap])
            rows.append({"patient": patient.name, "components": components, **told, **values, "remarks": notes})
        on_patient(patient.name)
    columns = ["patient", "components", "component_count", "tumour_slices", *FEATURES, "remarks"]
    return pd.DataFrame(rows, columns=columns)


def select(table: pd.DataFrame, features: Iterable[str], components: Components | None = None) -> pd.DataFrame:
    """Return one row a patient, one column a feature.

    Parameters
    ----------
    table
        Of `feature_table`.
    features
        Names.
    components
        What was measured; if not given, each feature as it is defined (`Feature.components`).
    """
    parts = {kind: part.set_index("patient") for kind, part in table.groupby("components")}
    patients = pd.Index(table["patient"].unique(), name="patient")
    chosen = {name: parts[components or FEATURES[name].components][name] for name in features} if parts else {}
    return pd.DataFrame(chosen, index=patients)


def _measure(mask: NDArray[np.bool_], spacing: Spacing) -> dict[str, float]:
    ratio = ellipsoid_ratio(mask) if mask.any() else float("nan")
    return {"bevr": ratio, "asd": asd(mask, spacing), "mf": mf(mask, spacing), **asdict(describe(mask, spacing))}


def _has_gap(patient: PatientRecord) -> bool:
    first, last = patient.slices[0].number, patient.slices[-1].number
    return last - first + 1 != len(patient.slices)
