"""Whether speed changes what is learned: the plain loop in float32 and gliomask, from the same seeds, scored alike.

python -m benchmarks.equality
python -m benchmarks.equality --networks unet --image-size 32 --batch-size 4 --seeds 1 --epochs 1 --patients 4

Both train the original recipe (Adamax, the same augmentation, no moving average) on as many slices of the same patients
(gliomask's last batch of an epoch may be smaller), each road with every seed. The last weights are then scored by one
and the same code in float32: Dice over all slices of each patient that neither has seen, at the network's size.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.data import Case, add_options, cases
from benchmarks.measure import Budget
from benchmarks.report import Table, finish, say
from benchmarks.training import plain_training
from gliomask.data.augmentation import prepare
from gliomask.data.batches import CachedBatches, EvaluationPlans
from gliomask.data.cache import open_cache
from gliomask.data.split import make_split
from gliomask.models.registry import build_model
from gliomask.training.fit import FitOptions, fit
from gliomask.training.module import validation_scores
from gliomask.training.run_folder import RunFolder
from gliomask.training.state import load_state


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, score, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, networks=("resnet18",))
    parser.set_defaults(image_size=96, patients=24)
    parser.add_argument("--seeds", type=int, default=3, help="trainings on each road")
    parser.add_argument("--epochs", type=int, default=8, help="length of a training")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    found = [compare(case, options.seeds, options.epochs) for case in cases(options)]
    finish("equality", out=options.out, settings=vars(options), results={"networks": found}, tables=[table(found)])
    return 0


def compare(case: Case, seeds: int, epochs: int) -> dict[str, Any]:
    """Train on both roads with each seed and score what comes out."""
    scores: dict[str, list[float]] = {"plain": [], "gliomask": []}
    for seed in range(seeds):
        config = replace(case.config, seed=seed, optimisation=replace(case.config.optimisation, epochs=epochs))
        seeded = Case(case.index, config)
        for road, trained in (("plain", trained_plainly), ("gliomask", trained_by_gliomask)):
            scores[road].append(dice_of_unseen(trained(seeded), seeded))
            say(f"{case.network}, seed {seed}, {road}: dice_patient {scores[road][-1]:.3f}")
    differences = [fast - slow for fast, slow in zip(scores["gliomask"], scores["plain"], strict=True)]
    return {
        "network": case.network,
        "image_size": case.config.image_size,
        "precision": case.config.hardware.precision,
        "epochs": epochs,
        "dice_patient": scores,
        "difference_of_means": mean(scores["gliomask"]) - mean(scores["plain"]),
        "largest_difference": max(map(abs, differences)),
        "spread": {road: max(values) - min(values) for road, values in scores.items()},
    }


def trained_plainly(case: Case) -> nn.Module:
    """Train with the plain loop on as many slices as the case's epochs hold, in whole batches."""
    torch.manual_seed(case.config.seed)  # decides order and augmentation
    training = plain_training(case)
    steps = case.config.optimisation.epochs * len(case.training_files()) // case.batch_size
    try:
        training.round(Budget(warmup=0, steps=steps, seconds=1e9))
    finally:
        training.close()
    return training.net


def trained_by_gliomask(case: Case) -> nn.Module:
    """Train with `fit` and return the network with its last weights."""
    with tempfile.TemporaryDirectory() as folder:
        run = fit(case.index, case.config, RunFolder(Path(folder) / "run"), FitOptions(progress=False))
        state = load_state(run.last)["state_dict"]
    net = build_model(case.network)
    net.load_state_dict({name.removeprefix("net."): value for name, value in state.items() if name.startswith("net.")})
    return net


@torch.no_grad()
def dice_of_unseen(net: nn.Module, case: Case) -> float:
    """Return the mean Dice over the patients of the test set, at probability 0.5."""
    cache = open_cache(case.index, case.config.image_size)
    positions = make_split(case.index, case.config.split).positions(case.index, "test")
    batches, counts = CachedBatches(cache, case.config.normalisation), []
    net.to(case.device).eval().float()
    for plan in EvaluationPlans(positions, batch_size=case.batch_size):
        batch = batches[plan]
        inputs, truth = prepare(batch.images, batch.masks, statistics=batch.volume_statistics)
        predicted, tumour = net(inputs.to(case.device)).cpu() >= 0, truth > 0.5
        pairs = (predicted & tumour, predicted & ~tumour, ~predicted & tumour)
        counts.append(torch.stack([pair.sum(dim=(1, 2, 3)) for pair in pairs], dim=1).numpy())
    return validation_scores(np.concatenate(counts), cache.patients[positions])["val_dice"]


def table(found: Sequence[dict[str, Any]]) -> Table:
    """Tell the scores of both roads, how far apart they are, and how far the seeds of one road are."""
    rows = []
    for row in found:
        for road, values in row["dice_patient"].items():
            told = ", ".join(f"{value:.3f}" for value in values)
            name = f"{row['network']} {row['image_size']}, {road}"
            rows.append((name, told, f"{mean(values):.3f}", f"{row['spread'][road]:.3f}"))
        rows.append((f"{row['network']}, gliomask - plain", f"largest {row['largest_difference']:.3f}",
                     f"{row['difference_of_means']:+.3f}", "-"))  # fmt: skip
    epochs = found[0]["epochs"] if found else 0
    title = f"dice_patient of unseen patients after {epochs} epochs, plain loop in float32 and gliomask"
    return Table(title, ("road", "seeds", "mean", "highest - lowest"), tuple(rows))


if __name__ == "__main__":
    raise SystemExit(main())
