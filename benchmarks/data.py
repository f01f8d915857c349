"""What every benchmark trains on, and with which settings: phantoms or a folder, the original recipe by default."""

from __future__ import annotations

import argparse
import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gliomask.config import RECIPES, HardwareConfig, ModelConfig, TrainConfig
from gliomask.data.cache import SliceCache, open_cache
from gliomask.data.index import build_index
from gliomask.data.index_cache import cache_folder
from gliomask.data.records import DatasetIndex, PatientRecord, SliceRecord
from gliomask.data.split import make_split
from gliomask.training.precision import choose_precision
from gliomask.volumes.phantom import write_phantoms

NETWORKS = {"unet": 256, "original-unet": 128, "resnet50": 256}
"""The networks that are compared, and the image size of each."""
SLICES = 3143
"""Slices in an epoch of the original project."""
_ENDLESS = 100_000
_REAL_ROWS = 64
_SLICES_OF_A_PATIENT = 30


@dataclass(frozen=True)
class Case:
    """One network with its data and settings; both roads get the same."""

    index: DatasetIndex
    config: TrainConfig

    @property
    def network(self) -> str:
        """Name of the network."""
        return self.config.model.model

    @property
    def batch_size(self) -> int:
        """Slices in a step."""
        return self.config.optimisation.batch_size

    @property
    def device(self) -> str:
        """PyTorch's name of the device."""
        return "cuda" if self.config.hardware.accelerator == "gpu" else "cpu"

    def training_files(self) -> list[tuple[Path, Path]]:
        """Return image and mask file of each training slice, the very slices that `fit` trains on."""
        rows = make_split(self.index, self.config.split).positions(self.index, "train")
        records = [record for patient in self.index.patients for record in patient.slices]
        root = self.index.root
        return [(root / records[row].image, root / records[row].mask) for row in rows]


def add_options(parser: argparse.ArgumentParser, *, networks: tuple[str, ...] = tuple(NETWORKS)) -> None:
    """Add the options that all benchmarks of a training share."""
    parser.add_argument("--networks", nargs="+", default=list(networks), metavar="NAME", help="networks to train")
    parser.add_argument("--image-size", type=int, help="side in pixels; by default that of the network")
    parser.add_argument("--batch-size", type=int, default=16, help="slices in a step")
    parser.add_argument("--recipe", choices=list(RECIPES), default="original", help="settings to start from")
    parser.add_argument("--data", type=Path, help="folder in the Kaggle layout; by default phantoms, made once")
    parser.add_argument("--patients", type=int, default=16, help="phantoms to make")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to train")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto", help="of gliomask")
    parser.add_argument("--out", type=Path, help="JSON file to write; by default in benchmarks/results")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Yield a case for each network that was asked for; the precision is measured once for all."""
    index = build_index(options.data or phantoms(options.patients))
    precision = choose_precision(options.precision, options.device)
    for network in options.networks:
        size = options.image_size or NETWORKS.get(network, 256)
        yield Case(index, settings(network, size, options.batch_size, options=options, precision=precision))


def settings(network: str, size: int, batch_size: int, *, options: argparse.Namespace, precision: str) -> TrainConfig:
    """Return the settings of a training that does not end by itself."""
    base = RECIPES[options.recipe]
    accelerator = "gpu" if options.device == "cuda" else "cpu"
    return replace(
        base,
        image_size=size,
        model=ModelConfig(model=network, encoder_weights="none"),  # type: ignore[arg-type]  # checked by the registry
        optimisation=replace(base.optimisation, batch_size=batch_size, epochs=_ENDLESS, lr_scheduler="none"),
        hardware=HardwareConfig(accelerator=accelerator, devices="1", precision=precision),  # type: ignore[arg-type]
    )


def phantoms(patients: int, size: int = 256) -> Path:
    """Return the folder of simulated patients, always the same; they are made at the first call."""
    folder = cache_folder() / "benchmarks" / f"phantoms-{patients}-{size}"
    if not folder.is_dir():
        part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
        write_phantoms(part, patients=patients, seed=0, size=size)
        part.rename(folder)
    return folder


def repeated(index: DatasetIndex, size: int, slices: int) -> tuple[DatasetIndex, SliceCache]:
    """Return an index of so many slices and its cache, made from a small one without the disk space of a large one.

    The first slices are those of ``index``; the rest of the images is a hole in a sparse file. To the reader a hole is
    like any other page: it is read, mapped and counted, only its pixels are black. `fit` finds this cache by itself.

    Parameters
    ----------
    index
        A small data set.
    size
        Side of the slices.
    slices
        How many there shall be.
    """
    small = open_cache(index, size)
    patients = tuple(_patient(number, slices) for number in range(-(-slices // _SLICES_OF_A_PATIENT)))
    fingerprint = hashlib.sha256(f"{index.fingerprint} repeated {slices}".encode()).hexdigest()
    large = DatasetIndex(index.root, patients, (), fingerprint)
    source = Path(str(small.images.filename)).parent  # type: ignore[attr-defined]  # a memory-mapped array has one
    folder = source.with_name(source.name.replace(index.fingerprint[:24], fingerprint[:24]))
    if not folder.is_dir():
        _repeat(source, folder, large)
    return large, open_cache(large, size)


def _patient(number: int, slices: int) -> PatientRecord:
    name = f"TCGA_{('CS', 'DU', 'HT')[number % 3]}_{10000 + number}_20000101"
    count = min(_SLICES_OF_A_PATIENT, slices - number * _SLICES_OF_A_PATIENT)
    records = tuple(
        SliceRecord(place, f"{name}_{place}.tif", f"{name}_{place}_mask.tif", 256, 256, 100 * (place % 2))
        for place in range(1, count + 1)
    )
    return PatientRecord(name, name[5:7], records, (), {})


def _repeat(source: Path, folder: Path, index: DatasetIndex) -> None:
    """Write the folder of a large cache from that of a small one, array by array."""
    part = folder.with_name(f"{folder.name}.part-{uuid.uuid4().hex}")
    part.mkdir()
    count = index.slice_count
    for path in source.glob("*.npy"):
        array = np.load(path, mmap_mode="r")
        shape = (count, *array.shape[1:])
        rows = min(len(array), count, _REAL_ROWS) if array.ndim > 3 or array[0].nbytes > 1024 else count
        large = np.lib.format.open_memmap(part / path.name, "w+", array.dtype, shape)
        large[:rows] = array[np.arange(rows) % len(array)]
        large.flush()
    belongs = [row for row, patient in enumerate(index.patients) for _ in patient.slices]
    np.save(part / "patients.npy", np.array(belongs, np.int64))
    facts = json.loads((source / "cache.json").read_text())
    (part / "cache.json").write_text(json.dumps({**facts, "fingerprint": index.fingerprint, "slices": count}))
    part.rename(folder)
