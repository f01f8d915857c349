"""Seconds in the network, seconds in all, and peak memory of predicting a folder; imports what the command imports.

python -m benchmarks.predict_parts DATA MODEL ENGINE PRECISION
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.resident import peak_memory
from gliomask.inference.predictor import Predictor
from gliomask.results.batch import predict_all
from gliomask.results.loaded import Keep
from gliomask.studies.inputs import find_inputs


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict every study of a folder as the command does, masks only, and print a line of JSON."""
    data, model, engine, precision = sys.argv[1:] if arguments is None else arguments
    predictor, spent = Predictor.load(model, engine=engine, precision=precision), [0.0]  # type: ignore[arg-type]
    logits = predictor.engine.logits

    def timed(slices: Any) -> Any:
        start = time.perf_counter()
        result = logits(slices)
        spent[0] += time.perf_counter() - start
        return result

    predictor.engine.logits = timed  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        found = find_inputs([Path(data)], results=Path(folder))
        failed = [each for each in predict_all(found, predictor, Path(folder), Keep(pictures=False))
                  if not isinstance(each, dict)]  # fmt: skip
        seconds = time.perf_counter() - start
    if failed:
        raise RuntimeError(f"{failed}; expected a mask of every patient")
    sys.stdout.write(json.dumps({"network": spent[0], "all": seconds, "peak_memory": peak_memory()}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
