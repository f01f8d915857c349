"""Readers in several threads keep other packages silent, and leave the process as it was."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event, Thread

import pytest
from pydicom import Dataset, config

from gliomask.volumes.dicom_headers import quiet_pydicom
from gliomask.volumes.nifti_file import in_silence


def state() -> tuple[object, ...]:
    """Return all that a reader changes for the whole process."""
    levels = [(logger.level, logger.disabled) for logger in map(logging.getLogger, ("pydicom", "nibabel.global"))]
    modes = config.settings.reading_validation_mode, config.settings.writing_validation_mode
    return *levels, *modes, list(warnings.filters), warnings.showwarning


def speak() -> None:
    """Do what pydicom and nibabel warn of, with a value that must not be shown."""
    Dataset().StudyInstanceUID = "DOE^JANE"
    Dataset().PatientBirthDate = "DOE^JANE"
    logging.getLogger("pydicom").warning("DOE^JANE")
    logging.getLogger("highdicom.base").warning("DOE^JANE")
    warnings.warn("DOE^JANE", stacklevel=1)


@pytest.mark.parametrize("quiet", [quiet_pydicom, in_silence])
@pytest.mark.parametrize("first_out", ["reader", "main"])
def test_threads_that_overlap_leave_the_process_as_it_was(
    quiet: Callable[[], AbstractContextManager[None]], first_out: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The second enters while the first is inside, and the first leaves while the second is."""
    before = state()
    inside, leave = Event(), Event()

    def reader() -> None:
        with quiet():
            inside.set()
            leave.wait(10)

    thread = Thread(target=reader)
    if first_out == "reader":
        thread.start()
        assert inside.wait(10)
    with quiet():
        if first_out == "reader":
            leave.set()
            thread.join(10)
        else:
            thread.start()
            assert inside.wait(10)
        if quiet is quiet_pydicom:
            speak()
        logging.getLogger("nibabel.global" if quiet is in_silence else "pydicom").warning("DOE^JANE")
    leave.set()
    thread.join(10)
    assert state() == before
    assert not caplog.records


def test_failure_leaves_the_process_as_it_was() -> None:
    before = state()
    with pytest.raises(ZeroDivisionError), quiet_pydicom(), quiet_pydicom():
        raise ZeroDivisionError
    assert state() == before
    with pytest.warns(UserWarning, match="DOE"):
        speak()
