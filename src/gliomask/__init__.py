"""gliomask: train, evaluate, compare and run brain-MRI tumour segmentation, with scores that can be believed.

The public names are in ``__all__``; each is imported when it is first used, so ``import gliomask`` is quick and needs
no PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "DatasetIndex": "gliomask.data.index",
    "Evaluation": "gliomask.evaluation.results",
    "GliomaskError": "gliomask.errors",
    "Prediction": "gliomask.inference.predictor",
    "Predictor": "gliomask.inference.predictor",
    "RunFolder": "gliomask.training.run_folder",
    "TrainConfig": "gliomask.config",
    "build_index": "gliomask.data.index",
    "choose_subset": "gliomask.evaluation.subsets",
    "evaluate": "gliomask.evaluation.evaluate",
    "fit": "gliomask.training.fit",
    "write_phantoms": "gliomask.volumes.phantom",
}

if TYPE_CHECKING:
    from gliomask.config import TrainConfig
    from gliomask.data.index import DatasetIndex, build_index
    from gliomask.errors import GliomaskError
    from gliomask.evaluation.evaluate import evaluate
    from gliomask.evaluation.results import Evaluation
    from gliomask.evaluation.subsets import choose_subset
    from gliomask.inference.predictor import Prediction, Predictor
    from gliomask.training.fit import fit
    from gliomask.training.run_folder import RunFolder
    from gliomask.volumes.phantom import write_phantoms

__all__ = [
    "DatasetIndex",
    "Evaluation",
    "GliomaskError",
    "Prediction",
    "Predictor",
    "RunFolder",
    "TrainConfig",
    "build_index",
    "choose_subset",
    "evaluate",
    "fit",
    "write_phantoms",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gliomask' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
