"""Predicts uploads one after the other, by the road of `gliomask predict`. Knows no HTTP."""

from __future__ import annotations

import logging
from contextlib import closing
from threading import Condition, Thread

from gliomask.errors import GliomaskError, failure
from gliomask.inference.predictor import Predictor
from gliomask.results.batch import predict_all
from gliomask.results.loaded import Keep
from gliomask.serve.told import study_of
from gliomask.serve.trouble import sentence
from gliomask.serve.upload import State, Upload
from gliomask.studies.inputs import find_inputs

_KEEP = Keep(preview=True)
_NOTHING = "no images in it; expected slices (TIFF, PNG), NIfTI or DICOM; check what was sent"
_log = logging.getLogger(__name__)


class Jobs:
    """A queue of uploads, and a thread that predicts the first of them.

    Parameters
    ----------
    predictor
        The model.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._waiting: list[Upload] = []
        self._news, self._ended = Condition(), False
        self._thread = Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def start(self, upload: Upload, series: str | None = None) -> None:
        """Put an upload at the end of the queue.

        Parameters
        ----------
        upload
            All of its files are there.
        series
            Number or part of the description by which to choose the FLAIR series of DICOM.

        Raises
        ------
        UploadStateError
            If it is there already, or not complete.
        """
        with self._news:
            upload.start(series)
            self._waiting.append(upload)
            self._news.notify()

    def place(self, upload: Upload) -> int:
        """Return how many uploads, the one that is predicted among them, come before this one; 0 if it does not wait.

        Uploads that were removed do not count.
        """
        with self._news:
            if upload not in self._waiting:
                return 0
            return 1 + sum(not other.gone for other in self._waiting[: self._waiting.index(upload)])

    def close(self) -> None:
        """Predict nothing more, and wait for the end of the study that is in hand; uploads in work count as removed."""
        with self._news:
            self._ended = True
            self._news.notify()
        self._thread.join()

    def _next(self) -> Upload | None:
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._ended)
            if self._ended:
                return None
            upload = self._waiting.pop(0)
            upload.state = State.SEARCHING
            return upload

    def _work(self) -> None:
        while (upload := self._next()) is not None:
            if not upload.gone:
                self._predict(upload)
            if upload.gone:
                upload.erase()

    def _predict(self, upload: Upload) -> None:
        try:
            self._predict_all(upload)
        except (GliomaskError, OSError, MemoryError) as error:
            upload.fail(failure("this upload", error, upload.results).reason)
        except Exception as error:  # one upload must not end the others
            if not upload.gone:  # whose files may be taken away at any moment
                _log.error("%s", sentence(error))
            upload.fail(sentence(error))

    def _predict_all(self, upload: Upload) -> None:
        def searched(done: int, known: int) -> None:
            upload.done, upload.total = done, known

        found = find_inputs(upload.inputs(), results=upload.results, series=upload.series, progress=searched)
        upload.done, upload.total = 0, len(found.studies) + len(found.errors)
        upload.state = State.PREDICTING
        with closing(predict_all(found, self._predictor, upload.results, _KEEP)) as outcomes:
            for outcome in outcomes:
                if upload.gone or self._ended:
                    return
                upload.outcomes.append(outcome)
                upload.told.append(study_of(upload, len(upload.outcomes) - 1))
                upload.done = len(upload.outcomes)
        if upload.outcomes:
            upload.state = State.DONE
        else:
            upload.fail(_NOTHING)
