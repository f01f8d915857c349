"""Prediction against a script that uses PyTorch: the network alone, the whole command, and what is spent outside it.

python -m benchmarks.predict

The same weights on the same simulated patients. The script is what somebody would write with the trained
network at hand: it imports PyTorch, loads the network as PyTorch saved it, reads a patient's slices, and predicts in
float32 in batches of eight.
Everything alternates in one run; medians.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.report import Table, finish
from gliomask.models.trained import DEFAULT

PATIENTS, ROUNDS, SLICES = 20, 5, 24
NETWORK = "network.pt"
_ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write JSON."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--engine", choices=("auto", "onnxruntime", "openvino"), default="auto")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16", "int8"), default="auto")
    parser.add_argument("--patients", type=int, default=PATIENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plain", type=Path, help="be the script: predict this folder with PyTorch")
    parser.add_argument("--network", type=Path, help="of the script: the network, as PyTorch saved it")
    options = parser.parse_args(arguments)
    if options.plain is not None:
        with tempfile.TemporaryDirectory() as folder:
            plain_script(options.plain, options.model, options.network, Path(folder))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options)
    settings = {"model": options.model, "precision": options.precision, "rounds": options.rounds}
    table = Table("Prediction", ("measure", "value"), tuple((name, str(value)) for name, value in found.items()))
    finish("predict", out=options.out, settings=settings, results=found, tables=[table])
    return 0


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return every number by its name."""
    from gliomask.volumes.phantom import write_phantoms  # noqa: PLC0415

    data = folder / "phantoms"
    write_phantoms(data, patients=options.patients)
    for truth in data.rglob("*_mask.tif"):  # nobody who predicts has them; the script does not score, the command would
        truth.unlink()
    save_network(options.model, folder / NETWORK)
    one = next(path for path in sorted(data.iterdir()) if path.is_dir())
    several = {f"{options.patients} patients": data} if options.patients > 1 else {}
    found = network_alone(options)
    for what, where in {"one patient": one, **several}.items():
        found |= whole_command(where, folder, options, what)
    return found | outside(data, options)


def save_network(model: str, path: Path) -> None:
    """Save a trained network as PyTorch does, for the script to load."""
    import torch  # noqa: PLC0415

    from gliomask.models.onnx_weights import load_trained  # noqa: PLC0415
    from gliomask.models.trained import contract_of  # noqa: PLC0415

    torch.save(load_trained(model, contract_of(model).architecture).eval(), path)


def network_alone(options: argparse.Namespace) -> dict[str, Any]:
    """Return slices a second of the network, with PyTorch (eager, float32) and with the engine, in turns."""
    import torch  # noqa: PLC0415

    from gliomask.inference.predictor import Predictor  # noqa: PLC0415
    from gliomask.models.onnx_weights import load_trained  # noqa: PLC0415

    predictor = Predictor.load(options.model, engine=options.engine, precision=options.precision)
    net = load_trained(options.model, predictor.contract.architecture).eval()
    size, channels = predictor.contract.image_size, len(predictor.contract.channels)
    slices = np.random.default_rng(0).standard_normal((SLICES, channels, size, size)).astype(np.float32)
    batches = [torch.from_numpy(slices[start : start + 8]) for start in range(0, SLICES, 8)]

    def with_torch() -> None:
        with torch.inference_mode():
            for batch in batches:
                net(batch)

    seconds = in_turns({"torch": with_torch, "engine": lambda: predictor.engine.logits(slices)}, options.rounds)
    rates = {name: SLICES / value for name, value in seconds.items()}
    return {
        "engine": predictor.engine.name,
        "network alone, PyTorch eager float32, slices/s": round(rates["torch"], 1),
        "network alone, engine, slices/s": round(rates["engine"], 1),
        "network alone, ratio": round(rates["engine"] / rates["torch"], 2),
    }


def whole_command(data: Path, folder: Path, options: argparse.Namespace, what: str) -> dict[str, Any]:
    """Return the seconds of `gliomask predict` (masks only) and of the script, each from a cold process, in turns."""
    out = folder / "out"
    command = [sys.executable, "-m", "gliomask", "predict", str(data), "--model", options.model, "--out", str(out)]
    command += ["--engine", options.engine, "--precision", options.precision, "--no-pictures", "--overwrite", "--quiet"]
    script = [sys.executable, "-m", "benchmarks.predict", "--plain", str(data), "--model", options.model]
    script += ["--network", str(folder / NETWORK)]
    seconds = in_turns({"script": lambda: run(script), "command": lambda: run(command)}, options.rounds)
    return {
        f"{what}, script with PyTorch, s": round(seconds["script"], 2),
        f"{what}, gliomask predict, s": round(seconds["command"], 2),
        f"{what}, ratio": round(seconds["script"] / seconds["command"], 2),
    }


def outside(data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the share of the time that is spent outside of the network, and the peak memory of the process."""
    command = [sys.executable, "-m", "benchmarks.predict_parts", str(data)]
    command += [options.model, options.engine, options.precision]
    told: list[dict[str, float]] = [json.loads(run(command).splitlines()[-1]) for _ in range(options.rounds)]
    return {
        "share of the time outside the network": round(median(1 - each["network"] / each["all"] for each in told), 3),
        "peak memory, MB": round(max(each["peak_memory"] for each in told) / 1e6),
    }


def plain_script(data: Path, model: str, network: Path, out: Path) -> None:
    """Predict slices as a script with PyTorch does, and write their masks."""
    import torch  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    from gliomask.data.neighbours import with_neighbours  # noqa: PLC0415
    from gliomask.data.normalisation import normalise, stack_statistics  # noqa: PLC0415
    from gliomask.models.trained import contract_of  # noqa: PLC0415

    contract = contract_of(model)
    net = torch.load(network, weights_only=False)
    files = [path for path in data.rglob("*.tif") if not path.stem.endswith("_mask")]
    for patient in sorted({path.parent for path in files}):
        names = sorted(
            (path for path in files if path.parent == patient), key=lambda path: int(path.stem.rpartition("_")[2])
        )
        images = [Image.open(path) for path in names]
        stack = np.stack([np.asarray(image.resize((contract.image_size,) * 2)) for image in images])
        planes = normalise(stack, stack_statistics(stack, "volume"))
        slices = torch.from_numpy(with_neighbours(planes) if contract.neighbours else planes)
        with torch.inference_mode():
            logits = torch.cat([net(batch)[:, 0] for batch in torch.split(slices, 8)]).numpy()
        for path, image, values in zip(names, images, logits, strict=True):
            mask = np.asarray(Image.fromarray(values).resize(image.size)) >= 0  # a probability of one half
            Image.fromarray(mask.astype(np.uint8) * 255).save(out / f"{path.stem}_mask.tif")


def in_turns(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each job; each runs once before the clock starts, then they take turns."""
    for job in jobs.values():
        job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def run(command: Sequence[str]) -> str:
    """Run a program of this project and return what it printed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout  # noqa: S603


if __name__ == "__main__":
    raise SystemExit(main())
