"""Give a model that comes with the package its network with 8-bit integers (anew), where the run that made it is gone.

python -m tools.add_integers NAME DATA

Of a run, ``gliomask export RUN --data DATA --int8`` does it, and `tools.bundle_model` takes it along. The ranges are
those of the patients that the model was trained on, as `gliomask.training.examples` chooses them.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliomask.config import NormalisationName
from gliomask.data import naming
from gliomask.data.cache import open_cache
from gliomask.data.index import build_index
from gliomask.errors import UsageError
from gliomask.files import whole_file
from gliomask.models.contract import ModelContract, write_contract
from gliomask.models.trained import contract_of, find_model, int8_of
from gliomask.training.environment import describe_environment
from gliomask.training.examples import choose_examples
from gliomask.training.export import with_integers
from tools.bundle_model import CARD, speeds

FILE, SPEED = "| file |", "| speed |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write NAME.int8.onnx, and what is known of it into NAME.json and the two copies of the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="model, as for `gliomask models`, or a model.onnx")
    parser.add_argument("data", type=Path, help="folder that it was trained on")
    parser.add_argument("--card", type=Path, default=CARD, help="the card in the documentation")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    model, contract = find_model(options.name), contract_of(options.name)
    small = with_integers(model.read_bytes(), examples_for(contract, options.data))
    with whole_file(int8_of(model)) as part:
        part.write_bytes(small)
    contract = replace(contract, int8_sha256=hashlib.sha256(small).hexdigest())
    write_contract(contract, model.with_suffix(".json"))
    told = speeds(model, int8=True)
    write_contract(replace(contract, scores=contract.scores | told), model.with_suffix(".json"))
    card = model.with_suffix(".md").read_text(encoding="utf-8")
    lines = [_told(line, told) for line in card.splitlines(keepends=True)]
    for path in (model.with_suffix(".md"), options.card):
        with whole_file(path) as part:
            part.write_text("".join(lines), encoding="utf-8")
    return 0


def examples_for(contract: ModelContract, data: Path) -> NDArray[np.float32]:
    """Return slices of the patients that a model was trained on, as its network takes them.

    Raises
    ------
    UsageError
        If the data are others than those it was trained on.
    """
    index = build_index(data)
    if index.fingerprint != contract.training["fingerprint"]:
        raise UsageError(f"{data} is not what {contract.name} was trained on; expected the same slices")
    seed = int(contract.training["seed"])
    normalisation: NormalisationName = "imagenet" if contract.normalisation == "imagenet" else "volume"
    cache = open_cache(index, contract.image_size)
    trained = set(contract.training["trained_cases"])
    known = np.array([naming.person(patient.name) in trained for patient in index.patients])
    rows = np.flatnonzero(known[np.asarray(cache.patients)])
    return choose_examples(cache, rows, normalisation=normalisation, seed=seed, neighbours=contract.neighbours)


def _told(line: str, told: Mapping[str, float]) -> str:
    """Return a line of the card with what is to be said of 8-bit integers."""
    if line.startswith(FILE):
        file = line.partition(";")[0].rstrip(" |\n")
        return f"{file}; beside it one with 8-bit integers for `--precision int8` |\n"
    if line.startswith(SPEED):
        here = describe_environment()
        return (
            f"{SPEED} {told['slices_per_second']} slices of 256 x 256 a second, {here['cores']} cores "
            f"({here['processor']}), ONNX Runtime; {told['slices_per_second_int8']} with 8-bit integers, OpenVINO |\n"
        )
    return line


if __name__ == "__main__":
    raise SystemExit(main())
