"""Seconds in the network, seconds in all, and peak memory of predicting a folder; imports what the command imports.

python -m benchmarks.predict_parts DATA MODEL ENGINE PRECISION
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gliomask.inference.predictor import Predictor
from gliomask.inference.studies import find_studies
from gliomask.reporting.loaded import Keep
from gliomask.reporting.results import predict_study


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
        for study in find_studies([Path(data)]):
            predict_study(study, predictor, Path(folder), Keep(pictures=False))
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(json.dumps({"network": spent[0], "all": seconds, "peak_memory": peak}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
