"""Tiny data sets in the Kaggle layout, made by the tests themselves. Knows nothing of what the tests prove."""

from __future__ import annotations

import csv
import resource
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from gliomask.config import NormalisationName
from gliomask.data.index import DatasetIndex
from gliomask.data.normalisation import IMAGENET_STATISTICS
from gliomask.data.records import Problem
from gliomask.files import file_sha256
from gliomask.models.contract import ModelContract, write_contract
from gliomask.volumes import phantom
from gliomask.volumes.slices import write_image, write_mask


@contextmanager
def full_disk(room: int = 1000) -> Iterator[None]:
    """Let the files of this process grow to so many bytes and no further."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def short_phantoms(slices: int = 8) -> Iterator[None]:
    """Let simulated patients have so few slices; of themselves they have 20 to 40."""
    with patch.object(phantom, "simulate_patient", partial(phantom.simulate_patient, slices=slices)):
        yield


INSTITUTIONS = ("CS", "DU", "HT")


def make_slice(seed: int, size: int = 16) -> NDArray[np.uint8]:
    """Return (size, size, 3) uint8 of noise, the same for the same seed."""
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def make_mask(pixels: int, size: int = 16) -> NDArray[np.bool_]:
    """Return (size, size) bool whose first `pixels` pixels are tumour."""
    return (np.arange(size * size) < pixels).reshape(size, size)


def patient_name(number: int) -> str:
    """Return the name of the tiny patient of that number."""
    return f"TCGA_{INSTITUTIONS[number % len(INSTITUTIONS)]}_{1000 + number}_20000101"


FIRST = patient_name(0)
"""TCGA_CS_1000_20000101, which every tiny data set has."""


def write_patient(
    root: Path, name: str, slices: int = 3, size: int = 16, tumour: int = 5, suffix: str = ".tif"
) -> Path:
    """Write one patient and return the folder; the first slice has no tumour, the others `tumour` pixels of it."""
    folder = root / name
    folder.mkdir(parents=True)
    for number in range(1, slices + 1):
        seed = zlib.crc32(name.encode()) + number  # nobody's slices are somebody else's
        write_image(folder / f"{name}_{number}{suffix}", make_slice(seed, size))
        write_mask(folder / f"{name}_{number}_mask{suffix}", make_mask(tumour if number > 1 else 0, size))
    return folder


def tiny_dataset(root: Path, patients: int = 6, slices: int = 3, size: int = 16) -> tuple[str, ...]:
    """Write patients of rising tumour size with a data.csv, and return their names as an index orders them."""
    names = [patient_name(number) for number in range(patients)]
    for number, name in enumerate(names):
        write_patient(root, name, slices, size, tumour=number + 1)
    with (root / "data.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Patient", "RNASeqCluster", "gender"])
        table.writerows([name.rsplit("_", 1)[0], number % 3 + 1, ""] for number, name in enumerate(names))
    return tuple(sorted(names))


SIDE = 32
"""Side of the slices that the known model is for."""
CUT, STEP = 100.0, 10.0
"""The known model says (FLAIR - CUT) / STEP where nothing is resized: grey levels of tumour are known by hand."""


def write_known_model(
    folder: Path,
    *,
    cut: float = CUT,
    normalisation: NormalisationName = "imagenet",
    threshold: float = 0.5,
    smallest_component: float = 0.0,
) -> Path:
    """Write model.onnx and model.json of a network that needs no training, and return the path of model.onnx.

    With ImageNet normalisation its logits are (FLAIR - cut) / STEP in grey levels; with volume normalisation they are
    STEP times the deviation of FLAIR from the mean of the bright voxels, in standard deviations.
    """
    from onnx import TensorProto, checker, helper, save

    gain, offset = STEP, 0.0
    if normalisation == "imagenet":
        mean, deviation = IMAGENET_STATISTICS[:, 1].tolist()
        gain, offset = deviation / STEP, (mean - cut) / STEP
    numbers = {"gain": gain, "offset": offset}
    constants = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in numbers.items()]
    constants.append(helper.make_tensor("flair", TensorProto.INT64, [1], [1]))
    nodes = [
        helper.make_node("Gather", ["slices", "flair"], ["plane"], axis=1),
        helper.make_node("Mul", ["plane", "gain"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["logits"]),
    ]
    slices, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, SIDE, SIDE])
        for name, channels in (("slices", 3), ("logits", 1))
    )
    graph = helper.make_graph(nodes, "known", [slices], [logits], initializer=constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    save(model, folder / "model.onnx")
    contract = ModelContract(
        name="known", architecture="unet", image_size=SIDE, normalisation=normalisation, threshold=threshold,
        onnx_sha256=file_sha256(folder / "model.onnx"), training={"split": "patient"}, scores={}, versions={},
        smallest_component=smallest_component,
    )  # fmt: skip
    write_contract(contract, folder / "model.json")
    return folder / "model.onnx"


def flair_of(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return (S, H, W, 3) uint8 in which the known model finds exactly these masks (if H and W are SIDE)."""
    images = np.full((*masks.shape, 3), 30, np.uint8)
    images[..., 1] = np.where(masks, 200, 20)
    return images


def block(rows: slice, columns: slice, shape: tuple[int, int] = (SIDE, SIDE)) -> NDArray[np.bool_]:
    """Return a mask that is true in a rectangle."""
    mask = np.zeros(shape, np.bool_)
    mask[rows, columns] = True
    return mask


def write_known_patient(
    root: Path, name: str, found: NDArray[np.bool_], truth: NDArray[np.bool_] | None, suffix: str = ".tif"
) -> Path:
    """Write slices in which the known model finds `found` (S, SIDE, SIDE), with their masks; return the folder."""
    folder = root / name
    folder.mkdir(parents=True)
    mark = zlib.crc32(name.encode())  # nobody's slices are somebody else's; in T1, which the known model does not see
    for number, image in enumerate(flair_of(found), start=1):
        image[0, 0, 0], image[0, 0, 2] = mark % 251, mark // 251 % 251
        write_image(folder / f"{name}_{number}{suffix}", image)
        if truth is not None:
            write_mask(folder / f"{name}_{number}_mask{suffix}", truth[number - 1])
    return folder


def ellipsoid_mask(*axes: float) -> NDArray[np.bool_]:
    """Return the voxels whose centres lie in an ellipsoid with these half-axes; its centre is a voxel's."""
    grid = np.meshgrid(*(np.arange(-np.ceil(axis), np.ceil(axis) + 1) for axis in axes), indexing="ij")
    return np.asarray(sum((part / axis) ** 2 for part, axis in zip(grid, axes, strict=True)) <= 1)


def only(index: DatasetIndex) -> Problem:
    """Return the one problem of an index that has no other."""
    assert len(index.problems) == 1, index.problems
    return index.problems[0]
