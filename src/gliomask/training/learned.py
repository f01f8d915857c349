"""What an exported model says beside its network and the settings: learned from a run's data after the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gliomask.data import naming
from gliomask.data.cache import SliceCache, read_rows
from gliomask.data.index import DatasetIndex
from gliomask.data.looks import training_looks
from gliomask.models.checkpoint import load_model
from gliomask.training.beginning import beginning_of
from gliomask.training.run_folder import RunFolder
from gliomask.training.temperature import network_temperature


@dataclass(frozen=True)
class Learned:
    """What an exported model holds beside its network and the settings.

    Attributes
    ----------
    temperature
        What logits are divided by before they become probabilities, see `gliomask.training.temperature`.
    looks
        What the training slices look like, see `gliomask.data.looks`.
    """

    temperature: float = 1.0
    looks: Mapping[str, Any] = field(default_factory=dict)


def learn(run: RunFolder, cache: SliceCache, index: DatasetIndex) -> Learned:
    """Fit the temperature of a run's best weights on its validation part, and describe its training slices.

    Persons whom the model that it started from was trained on are left out of the fit; if nobody else is there, or no
    tumour, the temperature is that model's.

    Raises
    ------
    ModelFileError, DataError
        If the weights are missing or damaged, or as `gliomask.training.beginning.beginning_of`.
    SplitMismatchError
        If the run was trained on other data.
    """
    net, _ = load_model(run.best)
    split, beginning, patients = run.split(), beginning_of(run), np.asarray(cache.patients)
    known = [not naming.known_as(patient.name).isdisjoint(beginning.trained_cases) for patient in index.patients]
    validation, training = split.positions(index, "validation"), split.positions(index, "train")
    unknown = validation[~np.array(known)[patients[validation]]]
    temperature = network_temperature(net, cache, unknown, run.config().normalisation)
    groups = (training[patients[training] == patient] for patient in np.unique(patients[training]))
    looks = training_looks(read_rows(cache.images, rows) for rows in groups)
    return Learned(beginning.temperature if temperature is None else temperature, looks)
