"""Write docs/results.md from evaluations: a cross-validation, models in pairs, the leak. Computes no score itself.

python docs/make_results.py --folds runs/FOLDS --pair runs/ONE runs/OTHER --pair runs/THIRD runs/FOURTH --leak runs/leak
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gliomask.cli.scores import group_rows, score_rows
from gliomask.evaluation.compare import compare
from gliomask.evaluation.results import read_evaluation
from gliomask.files import whole_file
from gliomask.reporting.comparison import Model, Table, markdown, read_models, write_comparison
from gliomask.training.run_folder import RunFolder

DOCS = Path(__file__).resolve().parent
OTHERWISE = {
    "out-of-fold-flair-alone": "sees FLAIR alone",
    "out-of-fold-one-by-one": "sees slice by slice",
    "out-of-fold-flips": "sees every slice mirrored as well (`--flips`)",
    "out-of-fold-int8": "computes with 8-bit integers (`--precision int8`)",
}
"""Evaluations of the folds in which they saw less or computed otherwise."""
_READ_BESIDE = (
    "What each score is stands in [scores.md](scores.md), what was tried in [experiments.md](experiments.md), what the "
    "model that comes with gliomask is in [model-card.md](model-card.md)."
)
_TEMPERATURES = "temperatures were fitted on the validation patients of each fold, never on those that are scored."
_NO_TEMPERATURES = "probabilities are not calibrated: nobody was set aside to fit a temperature on."
_EARLIER_TEMPERATURES = (
    "temperatures were fitted one training earlier, on patients who were set aside then and trained on in the last "
    "one; never on those that are scored."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and its figures."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=Path, help="evaluated cross-validation, also with --flair-alone, --one-by-one")
    parser.add_argument(
        "--pair", type=Path, nargs="+", action="append", default=[],
        help="evaluated runs on the same patients, of which the first is the reference; may be given several times",
    )  # fmt: skip
    parser.add_argument("--leak", type=Path, help="folder that gliomask leak made")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of results.md")
    options = parser.parse_args(arguments)
    made_by = f"Made by `python docs/make_results.py {shlex.join(arguments)}`; change it by running that again."
    parts = ["# Results\n", f"{made_by} {_READ_BESIDE}\n"]
    if options.folds is not None:
        parts += cross_validation(options.folds)
    for number, paths in enumerate(options.pair):
        parts += comparison(read_models(paths), options.out, "results" if not number else f"results/{number + 1}")
    if options.leak is not None:
        (options.out / "results").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(options.leak / "leak.png", options.out / "results" / "leak.png")
        told = (options.leak / "leak.md").read_text(encoding="utf-8").strip()
        parts += ["## The leak\n", f"{told}\n", "![Dice of every patient, trained both ways](results/leak.png)\n"]
    parts += earlier(options.out)
    with whole_file(options.out / "results.md") as part:
        part.write_text("\n".join(parts), encoding="utf-8")
    return 0


def earlier(docs: Path) -> list[str]:
    """Return a list of the pages of earlier days and of what is on them, newest first."""
    lines = [
        f"* [{page.name}]({page.name}): {'; '.join(_sections(page))}"
        for page in sorted(docs.glob("results-*.md"), reverse=True)
    ]
    return ["## Earlier pages\n", "\n".join(lines) + "\n"] if lines else []


def _sections(page: Path) -> list[str]:
    titles = (line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("## "))
    return [title.removeprefix("## ") for title in titles if title != "## Earlier pages"]


def cross_validation(folds: Path) -> list[str]:
    """Return what a cross-validation found: all scores, groups, calibration, and what less to see costs."""
    whole, facts = read_evaluation(folds / "out-of-fold")
    found, unit = facts["scores"], whole.unit
    missed = whole.patients.sort_values("dice").head(8)
    worst = Table(
        "The eight patients with the lowest Dice.",
        ("patient", "dice", "precision", "recall", "true pixels", "missing"),
        tuple(
            (row.patient, f"{row.dice:.3f}", f"{row.precision:.3f}", f"{row.recall:.3f}", str(row.truth_pixels),
             row.missing or "-")
            for row in missed.itertuples()
        ),
    )  # fmt: skip
    commands = [f"    gliomask evaluate data/kaggle_3m --model {folds}{option}" for option in _options_of(folds)]
    error = facts["calibration"]["tumour_slices"]["expected_calibration_error"]
    config = RunFolder(folds / "fold0").config()
    goes_on = config.model.weights != "none"
    temperatures = _TEMPERATURES if config.split.validation else _EARLIER_TEMPERATURES if goes_on else _NO_TEMPERATURES
    caveats = " ".join(f"**{caveat[0].upper()}{caveat[1:]}.**" for caveat in facts["caveats"])
    each = "" if facts["caveats"] else ", each by the fold that never saw it"
    tables = [
        Table(
            "Mean and 95 % bootstrap interval over patients.",
            ("score", "value", "95 % interval"),
            tuple(score_rows(found, unit)),
        ),
        Table(
            "dice_patient by group.",
            ("group", "patients", "mean", "95 % interval", "median", "missed"),
            tuple(group_rows(facts["groups"])),
        ),
        worst,
    ]
    return [
        f"## Cross-validation: {folds.name}\n",
        f"{_origin_of(folds / 'fold0')}\n",
        f"{facts['slices']:,} slices of {len(whole.patients)} patients{each}.{f' {caveats}' if caveats else ''}\n",
        "\n".join(commands) + "\n",
        *(table.markdown() for table in tables),
        f"Expected calibration error over the pixels of slices with tumour: {error:.4f}; {temperatures}\n",
        *_otherwise(folds),
    ]


def _options_of(folds: Path) -> list[str]:
    options = (
        (name, "--precision int8" if name.endswith("int8") else f"--{name.removeprefix('out-of-fold-')}")
        for name in OTHERWISE
    )
    return ["", *(f" {option}" for name, option in options if (folds / name).is_dir())]


def _otherwise(folds: Path) -> list[str]:
    whole, _ = read_evaluation(folds / "out-of-fold")
    rows = []
    for name, words in OTHERWISE.items():
        if (folds / name).is_dir():
            less, facts = read_evaluation(folds / name)
            change, mean = compare(whole, less)["dice_patient"], facts["scores"]["dice_patient"]
            difference = change.difference
            interval = f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
            rows.append((words, f"{mean['mean']:.3f}", interval, f"{change.p:.2g}", str(mean["missed"])))
    if not rows:
        return []
    columns = ("the model", "dice_patient", "change, in pairs (95 %)", "p (Wilcoxon)", "missed")
    return [Table("With less to see, or computed otherwise; same patients and folds.", columns, tuple(rows)).markdown()]


def comparison(models: Sequence[Model], docs: Path, figures: str) -> list[str]:
    """Return the tables of models that were scored on the same patients, and write their figure."""
    write_comparison(models, docs / figures)
    return [
        f"## On the same unseen patients: {', '.join(model.name for model in models)}\n",
        "\n".join(_origin(model) for model in models) + "\n",
        markdown(models),
        f"![Dice of every patient under each model]({figures}/comparison.png)\n",
    ]


def _origin(model: Model) -> str:
    """Say in a line how a model was trained."""
    run = next((run for run in (model.folder.parent, model.folder.parent / "fold0") if _is_run(run)), None)
    known = run is not None and model.config is not None  # masks of another program may lie in a run's folder
    return f"* {model.name}: {_origin_of(run) if known else model.folder}"


def _is_run(folder: Path) -> bool:
    return (folder / "environment.json").is_file() and (folder / "config.json").is_file()


def _origin_of(run: Path) -> str:
    known: dict[str, Any] = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    config = RunFolder(run).config()
    size, epochs = config.image_size, config.optimisation.epochs
    start, schedule = config.model, config.optimisation.lr_scheduler
    split = config.split.split + ("" if config.split.validation else ", without validation")
    kept = "last" if config.optimisation.keeps_last or not config.split.validation else "best"
    share = config.optimisation.start_share
    mixed = f" (with {share:g} of the weights before)" if share else ""
    weights = (
        f"encoder weights {start.encoder_weights}" if start.weights == "none" else f"going on from {start.weights}"
    )
    return (
        f"{config.model.model}, {weights}, recipe {config.recipe}, "
        f"{size} x {size} pixels, {epochs} epochs, {kept} kept{mixed}, "
        f"loss {config.optimisation.loss}, schedule {schedule}, {config.hardware.precision}, "
        f"seed {config.seed}, split by {split}; commit {(known.get('git_commit') or 'not known')[:12]}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
