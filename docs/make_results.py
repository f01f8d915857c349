"""Write docs/results.md from evaluated runs: the comparison with intervals, and the leak. Computes no score itself.

python docs/make_results.py runs/ONE runs/OTHER ... --leak runs/leak
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

from gliomask.files import whole_file
from gliomask.reporting.comparison import Model, markdown, read_models, write_comparison

DOCS = Path(__file__).resolve().parent
_READ_BESIDE = (
    "What each score is stands in [scores.md](scores.md), what was tried in [experiments.md](experiments.md)."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and its figures."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="evaluated runs; the first is the reference")
    parser.add_argument("--leak", type=Path, help="folder that gliomask leak made")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of results.md")
    options = parser.parse_args(arguments)
    models = read_models(options.runs)
    figures = options.out / "results"
    write_comparison(models, figures)
    made_by = f"Made by `python docs/make_results.py {shlex.join(arguments)}`; change it by running that again."
    parts = [
        "# Results\n",
        f"{made_by} {_READ_BESIDE}\n",
        "## Models on the same unseen patients\n",
        "\n".join(_origin(model) for model in models) + "\n",
        markdown(models),
        "![Dice of every patient under each model](results/comparison.png)\n",
    ]
    if options.leak is not None:
        shutil.copyfile(options.leak / "leak.png", figures / "leak.png")
        told = (options.leak / "leak.md").read_text(encoding="utf-8").strip()
        parts += ["## The leak\n", f"{told}\n", "![Dice of every patient, trained both ways](results/leak.png)\n"]
    with whole_file(options.out / "results.md") as part:
        part.write_text("\n".join(parts), encoding="utf-8")
    return 0


def _origin(model: Model) -> str:
    """Say in a line how a model was trained."""
    environment = model.folder.parent / "environment.json"
    if model.config is None or not environment.is_file():
        return f"* {model.name}: {model.folder}"
    known: dict[str, Any] = json.loads(environment.read_text(encoding="utf-8"))
    config = model.config
    size, epochs = config.image_size, config.optimisation.epochs
    return (
        f"* {model.name}: {config.model.model}, encoder weights {config.model.encoder_weights}, "
        f"recipe {config.recipe}, {size} x {size} pixels, {epochs} epochs, {config.hardware.precision}, "
        f"seed {config.seed}, split by {config.split.split}; commit {str(known.get('git_commit', '-'))[:12]}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
