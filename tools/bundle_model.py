"""Put a trained model into the package: weights at half size, scores from a cross-validation, and its card.

python -m tools.bundle_model runs/RUN --folds runs/FOLDS --name NAME

The run was trained on everybody (``--split all``) with the settings of the folds; where they go on from earlier
weights (``--from``), those are a run on everybody and folds, too. The scores are those of the folds'
evaluations, which are to be made first: ``gliomask evaluate DATA --model runs/FOLDS``, then the same with
``--flair-alone``, and with ``--one-by-one``. If run and folds were exported with ``--int8``, the network with 8-bit
integers comes along, and an evaluation with ``--precision int8`` says what it costs.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from gliomask.errors import DataError
from gliomask.evaluation.compare import PairedDifference, compare
from gliomask.evaluation.results import Evaluation, read_evaluation
from gliomask.files import whole_file
from gliomask.inference.predictor import Predictor
from gliomask.models.catalogue import CATALOGUE
from gliomask.models.contract import ModelContract, read_contract, write_contract
from gliomask.models.onnx_weights import halve
from gliomask.models.trained import BUNDLED, int8_of
from gliomask.training.cross_validation import CrossValidation
from gliomask.training.environment import describe_environment
from gliomask.training.run_folder import RunFolder
from tools.recipe import Stage, commands, stages

TEMPLATE = Path(__file__).with_name("model_card.md.j2")
CARD = Path(__file__).resolve().parent.parent / "docs" / "model-card.md"
LESS = {"flair_alone": "out-of-fold-flair-alone", "one_by_one": "out-of-fold-one-by-one"}
"""Evaluations of the folds in which they saw less, by their name in the card."""
INT8 = {"int8": "out-of-fold-int8"}
_SLICES, _SIDE, _ROUNDS = 24, 256, 5


@dataclass(frozen=True)
class Scores:
    """What a cross-validation says of a recipe."""

    whole: Evaluation
    facts: dict[str, Any]
    less: Mapping[str, Evaluation]

    @classmethod
    def read(cls, folds: CrossValidation, *, int8: bool = False) -> Scores:
        """Read the evaluations of the folds.

        Raises
        ------
        DataError
            If one was not made, or was made of other weights than the folds have now.
        """
        whole, facts = _scores_of(folds, "out-of-fold")
        others = LESS | INT8 if int8 else LESS
        return cls(whole, facts, {name: _scores_of(folds, place)[0] for name, place in others.items()})

    def losses(self) -> dict[str, PairedDifference]:
        """Return the change of ``dice_patient`` where the model sees less or computes in int8, in pairs."""
        return {name: compare(self.whole, each)["dice_patient"] for name, each in self.less.items()}

    def calibration_error(self) -> float:
        """Return the expected calibration error over the pixels of slices with tumour."""
        return float(self.facts["calibration"]["tumour_slices"]["expected_calibration_error"])

    def as_values(self) -> dict[str, Any]:
        """Return what model.json keeps."""
        dice = self.facts["scores"]["dice_patient"]
        kept = {"": "mean", "_low": "low", "_high": "high", "_median": "median", "_lowest": "lowest"}
        return {
            **{f"dice_patient{ending}": dice[key] for ending, key in kept.items()},
            "missed": dice["missed"],
            "patients": dice["patients"],
            "calibration_error": self.calibration_error(),
            **{f"change_{name}": each.difference.mean for name, each in self.losses().items()},
        }


def _scores_of(folds: CrossValidation, place: str) -> tuple[Evaluation, dict[str, Any]]:
    """Read an evaluation of the folds as they are."""
    evaluation, facts = read_evaluation(folds.path / place)
    contracts = [read_contract(fold.contract) for fold in folds.runs()]
    now = [each.int8_sha256 if place in INT8.values() else each.onnx_sha256 for each in contracts]
    if facts["model_sha256"] != now:
        cure = f"evaluate {folds.path} again"
        raise DataError(folds.path / place, "scores of other weights than the folds have now", "their own", cure)
    return evaluation, facts


def main(arguments: Sequence[str] | None = None) -> int:
    """Write NAME.onnx, NAME.json and NAME.md into the package, and the card into the documentation."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run trained on everybody")
    parser.add_argument("--folds", type=Path, required=True, help="cross-validation of the same settings")
    parser.add_argument("--name", required=True, help="name of the model")
    parser.add_argument("--out", type=Path, default=BUNDLED, help="folder of the bundled models")
    parser.add_argument("--card", type=Path, default=CARD, help="the card in the documentation")
    options = parser.parse_args(arguments)
    run, folds = RunFolder(options.run), CrossValidation(options.folds)
    made = stages(run, folds)
    described = read_contract(run.contract)
    scores = Scores.read(folds, int8=described.int8_sha256 is not None)
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / f"{options.name}.onnx"
    halved = halve(run.model.read_bytes())
    with whole_file(target) as part:
        part.write_bytes(halved)
    int8_of(target).unlink(missing_ok=True)
    if described.int8_sha256 is not None:
        with whole_file(int8_of(target)) as part:
            part.write_bytes(run.int8.read_bytes())
    contract = replace(
        described,
        name=options.name,
        onnx_sha256=hashlib.sha256(halved).hexdigest(),
        temperature=folds_temperature(folds),
        scores=scores.as_values(),
    )
    write_contract(contract, target.with_suffix(".json"))
    told = speeds(target, int8=contract.int8_sha256 is not None)
    contract = replace(contract, scores=contract.scores | told)
    write_contract(contract, target.with_suffix(".json"))
    made_by = f"python -m tools.bundle_model {shlex.join(arguments)}"
    text = card(contract, made, scores, target.stat().st_size / 1e6, made_by)
    for path in (target.with_suffix(".md"), options.card):
        with whole_file(path) as part:
            part.write_text(text, encoding="utf-8")
    return 0


def folds_temperature(folds: CrossValidation) -> float:
    """Return the geometric mean of the folds' temperatures, fitted on their or earlier folds' validation patients."""
    return statistics.geometric_mean(read_contract(run.contract).temperature for run in folds.runs())


def speeds(model: Path, *, int8: bool) -> dict[str, float]:
    """Return what model.json keeps of a model's speed here: of each precision with the engine that is fastest in it."""
    told = {"slices_per_second": round(slices_per_second(Predictor.load(model, engine="onnxruntime")), 1)}
    if int8:
        small = slices_per_second(Predictor.load(model, engine="openvino", precision="int8"))
        told["slices_per_second_int8"] = round(small, 1)
    return told


def slices_per_second(predictor: Predictor) -> float:
    """Return how many slices of 256 x 256 are predicted in a second here: median of five volumes of 24 slices."""
    images = np.random.default_rng(0).integers(0, 255, (_SLICES, _SIDE, _SIDE, 3), np.uint8)
    predictor.predict(images)
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        predictor.predict(images)
        seconds.append(time.perf_counter() - start)
    return _SLICES / statistics.median(seconds)


def card(contract: ModelContract, made: Sequence[Stage], scores: Scores, megabytes: float, made_by: str) -> str:
    """Return the model card, Markdown."""
    environment = describe_environment()
    page = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - no HTML
    )
    return page.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        contract=contract,
        config=made[-1].run.config(),
        folds=made[-1].folds.config(),
        encoder_weights=made[0].run.config().model.encoder_weights,
        epochs=[stage.run.config().optimisation.epochs for stage in made],
        seeds=list(dict.fromkeys(stage.run.config().seed for stage in made)),
        network=CATALOGUE[contract.architecture],
        summary=scores.facts["scores"],
        groups=scores.facts["groups"],
        unit=scores.whole.unit,
        losses=scores.losses(),
        calibration_error=scores.calibration_error(),
        megabytes=megabytes,
        processor=environment["processor"],
        cores=environment["cores"],
        commands=list(commands(made, int8=contract.int8_sha256 is not None)),
        made_by=made_by,
    )


if __name__ == "__main__":
    raise SystemExit(main())
