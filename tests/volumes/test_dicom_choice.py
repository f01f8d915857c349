"""Which DICOM series of a study is FLAIR, and which are T1 before and after contrast."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from dicom_builders import uid, write_series
from dicom_series import AFFINE, SPACING, refusal, values
from gliomask.errors import DataError
from gliomask.volumes.dicom import choose_flair, choose_t1, find_series
from orientations import affine_of


def test_orientations_of_a_series_are_told_apart(tmp_path: Path) -> None:
    write_series(tmp_path / "a", values(), AFFINE)
    turned = affine_of((1, 2, 0), (1, -1, 1), SPACING)
    write_series(tmp_path / "b", values(), turned, series=2, SeriesInstanceUID=uid(0, 1))
    assert sorted((one.plane, len(one.frames)) for one in find_series(tmp_path)) == [("axial", 6), ("sagittal", 6)]


@pytest.mark.parametrize(
    ("description", "flair"),
    [
        ("Ax T2 FLAIR", True), ("t2_tirm_tra_dark-fluid", True), ("DarkFluid", True), ("eT2W_FLAIR SENSE", True),
        ("AX FLAIR +C", True), ("Ax T1 FLAIR", False), ("T1_FLAIR", False), ("AX T2", False), ("t1_mprage", False),
        ("", False),
    ],
)  # fmt: skip
def test_flair_is_known_by_its_description(tmp_path: Path, description: str, flair: bool) -> None:
    write_series(tmp_path, values(), AFFINE, SeriesDescription=description)
    (series,) = find_series(tmp_path)
    assert series.is_flair() == flair


def test_flair_may_be_named_by_the_protocol(tmp_path: Path) -> None:
    write_series(tmp_path, values(), AFFINE, SeriesDescription="", ProtocolName="FLAIR_longTR")
    assert choose_flair(find_series(tmp_path)).description == "FLAIR_longTR"


def test_protocol_of_the_whole_examination_makes_no_flair(tmp_path: Path) -> None:
    for number, words in enumerate(("Ax DWI", "Ax T2 FLAIR", "Ax T2 FSE", ""), start=1):
        write_series(
            tmp_path / str(number), values(), AFFINE, series=number, SeriesDescription=words,
            ProtocolName="BRAIN TUMOR FLAIR DTI",
        )  # fmt: skip
    assert [one.is_flair() for one in find_series(tmp_path)] == [False, True, False, True]
    assert choose_flair(find_series(tmp_path)).description == "Ax T2 FLAIR"
    shutil.rmtree(tmp_path / "2")
    shutil.rmtree(tmp_path / "4")
    said = refusal(tmp_path)
    assert "no FLAIR series among" in said
    assert said.endswith("a part of its description (--series)")  # a folder of its own would not help


@pytest.mark.parametrize("wanted", [None, "1", "flair"])
def test_axial_stack_of_a_series_in_several_planes_is_taken(tmp_path: Path, wanted: str | None) -> None:
    planes = ((0, 1, 2), (1, 2, 0), (0, 2, 1))
    for number, axes in enumerate(planes):
        for path in write_series(tmp_path / str(number), values(), affine_of(axes, (-1, -1, 1), SPACING)):
            dataset = dcmread(path)
            dataset.SOPInstanceUID = uid(0, 1, 10 * number + dataset.InstanceNumber)
            dataset.InstanceNumber += 6 * number
            dataset.save_as(path)
    image = choose_flair(find_series(tmp_path), wanted).read()
    assert np.array_equal(image.volume.array, values())
    assert image.warnings == ("only the axial one of the series' 3 stacks of slices is taken",)
    shutil.rmtree(tmp_path / "0")
    with pytest.raises(DataError, match="2 "):
        choose_flair(find_series(tmp_path), wanted)


@pytest.mark.parametrize(
    ("description", "agent", "kind"),
    [
        ("Ax T1", "", "before"), ("AX T1 PRE GD", "", "before"), ("T1 without contrast", "Gadovist", "before"),
        ("T1 w/o", "", "before"), ("t1_se_tra_nativ", "", "before"), ("sT1W_3D_TFE", "NONE", "before"),
        ("Ax T1 FLAIR", "", "before"), ("T1 non contrast", "Gd", "before"),
        ("Ax T1 POST", "", "after"), ("T1 AXIAL+GD", "", "after"), ("AX T1 C+", "", "after"),
        ("t1_tra_KM", "", "after"), ("T1 W/GADO", "", "after"), ("t1_mprage_sag_p2_iso", "DOTAREM", "after"),
        ("Ax FSPGR BRAVO T1 +C", "", "after"), ("AX T1 FLAIR POST", "", "after"),
        ("T1 AX FAT SAT +GAD", "", "after"), ("T1 CONTRAST-", "Gd", "before"),
        ("Ax T2", "", None), ("AX FLAIR POST", "", None), ("T1 MAP", "", None), ("T1 sub", "", None),
        ("T1 dynamic perf", "", None), ("ax t1rho", "", None), ("", "Gd", None), ("T1 non fs post", "", None),
        ("AX T1 POST W/O FS", "Gd", None), ("T1 GADO SANS FS", "", None), ("T1 MPRAGE PRE-OP GD", "", None),
        ("AX T1 CM", "", None), ("T1 C", "", None), ("POST OP AX T1", "", None), ("AX T1 POSTERIOR FOSSA", "", None),
        ("AX T1+FS", "", None), ("BRAIN W/WO CONTRAST AX T1", "", None), ("AX T1 MAPPING", "", None),
        ("AX T1 POST-PRE", "", None), ("FLAIR_reg_to_T1", "", None), ("T1 SUB1", "", None), ("mp2rage INV1", "", None),
        ("AX T2 FLAIR POST T1", "", None), ("FAT: Ax T1 IDEAL", "", None), ("T1_Images", "", None),
        ("MPR AX", "", None),
    ],
)  # fmt: skip
def test_t1_is_known_by_its_description_and_contrast_by_words_before_the_agent(
    tmp_path: Path, description: str, agent: str, kind: str | None
) -> None:
    named: dict[str, Any] = {"ContrastBolusAgent": agent} if agent else {}
    write_series(tmp_path, values(), AFFINE, SeriesDescription=description, ProtocolName="BRAIN T1 POST", **named)
    (series,) = find_series(tmp_path)
    assert series.t1() == kind


def test_t1_of_a_study_is_the_only_one_of_its_kind(tmp_path: Path) -> None:
    """In FLAIR's plane if there is one, and in its frame of reference."""
    sagittal = affine_of((1, 2, 0), (-1, -1, 1), SPACING)
    cases: list[tuple[str, Any, dict[str, Any]]] = [
        ("Ax FLAIR", AFFINE, {}), ("Ax T1", AFFINE, {}), ("Sag T1", sagittal, {}), ("Sag T1 post", sagittal, {}),
        ("Ax T1 +C", AFFINE, {"FrameOfReferenceUID": uid(8)}),
    ]  # fmt: skip
    for number, (words, affine, changes) in enumerate(cases, start=1):
        folder = tmp_path / str(number)
        write_series(folder, values(), affine, series=number, SeriesDescription=words, **changes)
    found = find_series(tmp_path)
    flair = choose_flair(found)
    before, after, said = choose_t1(found, flair)
    assert before is not None
    assert after is not None
    assert (before.description, after.description) == ("Ax T1", "Sag T1 post")
    assert said == ("T1 after contrast that does not share FLAIR's frame of reference is left out",)
    write_series(tmp_path / "6", values(), AFFINE, series=6, SeriesDescription="Ax T1 SE")
    before, after, said = choose_t1(find_series(tmp_path), flair)
    assert before is None
    assert after is not None
    assert len(said) == 2
    assert said[0].startswith("2 T1 series before contrast, of which none is used: series 2 (Ax T1; ")


def test_an_agent_that_all_series_name_tells_nothing(tmp_path: Path) -> None:
    for number, words in enumerate(("Ax FLAIR", "Ax T1", "Sag T1 MPRAGE POST"), start=1):
        write_series(
            tmp_path / str(number), values(), AFFINE, series=number, SeriesDescription=words, ContrastBolusAgent="Gd"
        )
    found = find_series(tmp_path)
    before, after, _ = choose_t1(found, choose_flair(found))
    assert before is None
    assert after is not None
    assert after.description == "Sag T1 MPRAGE POST"


def test_the_series_that_is_flair_is_no_t1(tmp_path: Path) -> None:
    write_series(tmp_path, values(), AFFINE, SeriesDescription="AX T1 PRE")
    found = find_series(tmp_path)
    assert choose_t1(found, found[0]) == (None, None, ())


def test_choice_among_series(tmp_path: Path) -> None:
    for number, words in enumerate(("Ax T2", "Ax FLAIR", "Sag FLAIR", "Ax T1 FLAIR"), start=1):
        write_series(tmp_path / str(number), values(), AFFINE, series=number, SeriesDescription=words)
    series = find_series(tmp_path)
    with pytest.raises(DataError) as caught:
        choose_flair(series)
    assert "2 FLAIR series among series 2 (Ax FLAIR; 6 slices, axial), series 3 (Sag" in str(caught.value)
    assert choose_flair(series, "3").description == "Sag FLAIR"
    assert choose_flair(series, "ax flair").description == "Ax FLAIR"
    with pytest.raises(DataError, match="no series like '9' among series 1"):
        choose_flair(series, "9")


def test_several_patients_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", values(), AFFINE)
    write_series(tmp_path / "b", values(), AFFINE, patient=1)
    assert "images of several patients" in refusal(tmp_path)
    (tmp_path / "b").rename(tmp_path.parent / f"{tmp_path.name}-away")
    write_series(tmp_path / "c", values(), AFFINE, series=2, PatientID="other", SeriesInstanceUID=uid(0, 1))
    assert "a series with images of several patients" in refusal(tmp_path)
