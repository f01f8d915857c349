"""Are the masks the same through every door? Each engine and precision on the same patients, in pairs.

python -m benchmarks.doors DATA [--every 3]

Dice between the masks of two doors, patient by patient. The command and the package from Python share one `Predictor`
and cannot differ; engines and precisions can.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from benchmarks.report import Table, finish
from gliomask.config import EngineName
from gliomask.data.cache import read_patient
from gliomask.data.index import build_index
from gliomask.evaluation.counts import SliceCounts, count_slices, join
from gliomask.evaluation.scores import dice, dice_pooled
from gliomask.inference.predictor import Predictor
from gliomask.models.trained import DEFAULT

ENGINES: tuple[EngineName, ...] = ("onnxruntime", "openvino")
COLUMNS = ("one and the other", "mean", "lowest", "below 0.999", "pooled")


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict, compare, print and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of patients in the layout of Kaggle")
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--precisions", nargs="+", choices=("float32", "bfloat16", "int8"), default=("float32", "int8"))
    parser.add_argument("--every", type=int, default=1, help="take every n-th patient")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    doors = {
        f"{precision}, {engine}": Predictor.load(options.model, engine=engine, precision=precision)
        for precision in options.precisions
        for engine in ENGINES
        if (precision, engine) != ("bfloat16", "onnxruntime")
    }
    index = build_index(options.data)
    patients = index.patients[:: options.every]
    counts: dict[str, list[SliceCounts]] = {f"{one} / {other}": [] for one, other in combinations(doors, 2)}
    for patient in patients:
        images, _ = read_patient(index.root, patient)
        masks = {name: door.predict(images).mask for name, door in doors.items()}
        for one, other in combinations(doors, 2):
            counts[f"{one} / {other}"].append(count_slices(masks[one], masks[other], patient.name))
    results = {name: _agreement(join(parts)) for name, parts in counts.items()}
    rows = tuple((name, *(f"{value:.4f}" for value in told.values())) for name, told in results.items())
    settings = {"model": options.model, "patients": len(patients), "data": index.fingerprint}
    title = f"Dice between the masks of {len(patients)} patients"
    finish("doors", out=options.out, settings=settings, results=results, tables=[Table(title, COLUMNS, rows)])
    return 0


def _agreement(counts: SliceCounts) -> dict[str, float]:
    """Return mean and lowest Dice over patients, the share of patients below 0.999, and Dice over all pixels."""
    each = dice(counts.per_patient())
    return {
        "mean": float(each.mean()),
        "lowest": float(each.min()),
        "below": float((each < 0.999).mean()),
        "pooled": dice_pooled(counts),
    }


if __name__ == "__main__":
    raise SystemExit(main())
