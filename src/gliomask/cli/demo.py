"""``gliomask demo``: the whole road in a few minutes, on simulated patients or a folder of one's own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from gliomask.cli.console import Flag, OutputOptions, Printer, counter, parse
from gliomask.config import (
    HardwareConfig,
    ModelConfig,
    OptimisationConfig,
    SplitConfig,
    TrainConfig,
)
from gliomask.errors import UsageError

if TYPE_CHECKING:
    from gliomask.data.index import DatasetIndex
    from gliomask.evaluation.results import Evaluation

DEMO = TrainConfig(
    hardware=HardwareConfig(devices="1"),
    image_size=64,
    model=ModelConfig(model="unet"),
    split=SplitConfig(split="fold", folds=4, fold=0),
    optimisation=OptimisationConfig(epochs=8, epoch_slices=320, batch_size=8, learning_rate=1.5e-3, average=0.97),
)
"""Small and quick, to show the road; `gliomask train` without options trains properly."""
PHANTOMS, PHANTOM_SIZE = 24, 128


@dataclass(frozen=True, kw_only=True)
class DemoOptions(OutputOptions):
    """Simulate patients (or take DATA), look at them, train a small network, score it on unseen patients, predict."""

    data: tyro.conf.Positional[Path | None] = None
    """Folder in the Kaggle layout; simulated patients if not given."""
    out: Path = Path("demo")
    """Folder for everything that is made."""
    epochs: int = DEMO.optimisation.epochs
    """Length of the training."""
    overwrite: Flag = False
    """Replace the results of an earlier demo."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(DemoOptions, "demo", arguments)
    printer = Printer(options)
    printer.log_to_screen()
    _clear(options)
    start = time.perf_counter()
    data = options.data or _phantoms(options, printer)
    index = printer.read_index(data)
    printer.line(
        f"data: {len(index.patients)} patients, {index.slice_count} slices, {index.tumour_slice_count} with tumour"
    )
    _explore(index, options, printer)
    run = _train(index, options, printer)
    evaluation = _evaluate(index, run, options, printer)
    pictures = _predict(index, evaluation, run, options, printer)
    report = _report(run, options)
    minutes = (time.perf_counter() - start) / 60
    score = evaluation.summary()["dice_patient"]
    printer.line(f"mean Dice per patient, {score['patients']} unseen patients: {score['mean']:.3f} ({minutes:.1f} min)")
    printer.line("look at:")
    for path in (report, options.out / "explore", run / "tensorboard", *pictures):
        printer.line(f"  {path}")
    printer.result({"dice_patient": score, "minutes": minutes, "run": run, "report": report, "pictures": pictures})
    return 0


def _clear(options: DemoOptions) -> None:
    """Make room for the run, or refuse before any work is done."""
    from gliomask.training.run_folder import remove_trained

    run = options.out / "run"
    if run.exists() and not options.overwrite:
        raise UsageError(f"{run} exists already; give --overwrite to replace it, or choose another --out")
    remove_trained(run)


def _phantoms(options: DemoOptions, printer: Printer) -> Path:
    from gliomask.volumes.phantom import write_phantoms

    folder = options.out / "phantoms"
    if not (folder / "data.csv").is_file():  # the last file to be written
        shutil.rmtree(folder, ignore_errors=True)
        with printer.progress(f"simulating {PHANTOMS} patients") as progress:
            write_phantoms(folder, patients=PHANTOMS, seed=0, size=PHANTOM_SIZE, on_patient=counter(progress, PHANTOMS))
    return folder


def _explore(index: DatasetIndex, options: DemoOptions, printer: Printer) -> None:
    from gliomask.cli.explore import augmenter
    from gliomask.reporting.explore import explore

    paths = explore(index, options.out / "explore", augmented=augmenter(DEMO.augmentation, seed=0))
    printer.line(f"explored: {len(paths)} files in {options.out / 'explore'}")


def _train(index: DatasetIndex, options: DemoOptions, printer: Printer) -> Path:
    from gliomask.training.fit import FitOptions, fit
    from gliomask.training.run_folder import RunFolder

    folder = options.out / "run"
    config = replace(DEMO, optimisation=replace(DEMO.optimisation, epochs=options.epochs))
    printer.line(f"training {config.model.model} at {config.image_size} pixels, {options.epochs} short epochs")
    quiet = options.quiet or options.json
    fit(index, config, RunFolder(folder), FitOptions(progress=not quiet))
    return folder


def _evaluate(index: DatasetIndex, run: Path, options: DemoOptions, printer: Printer) -> Evaluation:
    from gliomask.cli.scores import score_rows
    from gliomask.evaluation.runs import evaluate_test_part

    with printer.progress("evaluating") as progress:
        evaluation = evaluate_test_part(index, run, run / "test", progress=progress)
    rows = score_rows(evaluation.summary(), evaluation.unit)
    printer.table("unseen patients", ("score", "value", "95 % interval over patients"), rows)
    return evaluation


def _predict(
    index: DatasetIndex, evaluation: Evaluation, run: Path, options: DemoOptions, printer: Printer
) -> list[str]:
    """Predict the best and the worst of the unseen patients; return where their pictures are."""
    from gliomask.inference.predictor import Predictor
    from gliomask.results.loaded import Keep
    from gliomask.results.study import predict_study
    from gliomask.studies.slices import find_studies

    ranked = evaluation.patients.sort_values("dice")["patient"].tolist()
    names = dict.fromkeys((ranked[-1], ranked[0]))
    out = options.out / "predictions"
    predictor = Predictor.load(run, precision="float32")
    pictures = []
    for name in names:
        folder = (index.root / index.patient(name).slices[0].image).parent
        for study in (study for study in find_studies([folder]) if study.name == name):
            result = predict_study(study, predictor, out, Keep(overwrite=True))
            pictures += [str(path) for path in sorted(Path(result["folder"]).glob("*.gif"))]
            pictures += [str(path) for path in sorted(Path(result["folder"]).glob("*_prediction.png"))]
    printer.line(f"predicted the best and the worst of them: {out}")
    return pictures


def _report(run: Path, options: DemoOptions) -> Path:
    from gliomask.reporting.report.page import Report, write_report
    from gliomask.reporting.report.sources import read_scored, read_trainings

    report = Report("demo", read_scored(run / "test"), read_trainings(run))
    return write_report(report, options.out / "report.html").page
