"""Predicts many studies, one being read or written while another is predicted, and keeps the table of all."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from gliomask.errors import DataError, Failure, GliomaskError, failure
from gliomask.inference.predictor import Predictor
from gliomask.results.loaded import MASKS_AND_PICTURES, Keep
from gliomask.results.study import predict_study
from gliomask.results.table import TABLE, require_own_table, write_table
from gliomask.share import ALL, Share
from gliomask.studies.inputs import Inputs
from gliomask.studies.own_results import read_result
from gliomask.studies.slices import Study
from gliomask.studies.volume import VolumeStudy

_log = logging.getLogger(__name__)
_AT_ONCE = 2
"""Studies in hand: as many as there are in memory at a time."""


def predict_all(
    found: Inputs, predictor: Predictor, out: Path | str, keep: Keep = MASKS_AND_PICTURES, part: Share = ALL
) -> Generator[dict[str, Any] | Failure]:
    """Predict everything that was found, or one part of it, as `gliomask predict` does.

    Parameters
    ----------
    found
        What `gliomask.find_inputs` returned.
    predictor
        The model.
    out
        Folder of all results: one folder a study, and ``summary.csv`` and ``summary.json``, which are written at the
        end, also of an iteration that was broken off.
    keep
        What to write beside the masks.
    part
        What to predict of it; calls with the other parts, on other machines, may write to the same folder at the same
        time. Each writes the table of all that is there.

    Yields
    ------
    dict or Failure
        For each study what `predict_study` returns, or why there is no result; first what `find_inputs` could not
        use; last, if it could not be written, why there is no table.

    Raises
    ------
    DataError
        At the first study, if there is a table in the folder that is none of ours.
    """
    out, rest, found = Path(out), found.others(part), found.mine(part)
    require_own_table(out)
    results: list[dict[str, Any]] = []
    failures = [Failure(_name(error), str(error)) for error in found.errors]
    elsewhere = {study.name for study in rest.studies} | {_name(error) for error in rest.errors}
    trouble = None
    try:
        yield from tuple(failures)
        with closing(_in_hand(found, predictor, out, keep)) as hand:  # ends before the table is written
            for study, result in hand:
                try:
                    results.append(result.result())
                except (GliomaskError, OSError, MemoryError) as error:
                    failures.append(failure(study.name, error, out / study.name))
                    yield failures[-1]
                else:
                    yield results[-1]
    finally:
        done = results or any(read_result(out / study.name) for study in found.studies)  # in hand when broken off
        if done or (failures and (part != ALL or (out / TABLE).is_file())):  # a failure of all alone begins none
            try:
                write_table(out, results, failures, elsewhere)
            except OSError as error:
                trouble = failure(str(out), error, out)
                if error.__context__ is not None:  # broken off: nobody is there to be told
                    _log.warning("%s", trouble.reason)
    if trouble is not None:
        yield trouble


def _name(error: DataError) -> str:
    return Path(error.path).name


def _in_hand(
    found: Inputs, predictor: Predictor, out: Path, keep: Keep
) -> Generator[tuple[Study | VolumeStudy, Future[dict[str, Any]]]]:
    """Yield each study with its result to come; while the network is busy with one, another is read or written."""
    waiting: deque[tuple[Study | VolumeStudy, Future[dict[str, Any]]]] = deque()
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="predict")
    try:
        for study in found.studies:
            waiting.append((study, pool.submit(predict_study, study, predictor, out, keep)))
            if len(waiting) > _AT_ONCE:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(cancel_futures=True)
