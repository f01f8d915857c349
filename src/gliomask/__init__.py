"""gliomask: train, evaluate, compare and run brain-MRI tumour segmentation, with scores that can be believed.

The public names are in ``__all__``; each is imported when it is first used, so ``import gliomask`` is quick and needs
no PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Conversion": "gliomask.conversion.convert",
    "CrossValidation": "gliomask.training.cross_validation",
    "DatasetIndex": "gliomask.data.index",
    "Evaluation": "gliomask.evaluation.results",
    "Failure": "gliomask.errors",
    "GliomaskError": "gliomask.errors",
    "Keep": "gliomask.results.loaded",
    "OutlineFinder": "gliomask.conversion.finder",
    "Prediction": "gliomask.inference.predictor",
    "Predictor": "gliomask.inference.predictor",
    "RunFolder": "gliomask.training.run_folder",
    "Share": "gliomask.share",
    "TrainConfig": "gliomask.config",
    "build_index": "gliomask.data.index",
    "choose_subset": "gliomask.evaluation.subsets",
    "compare": "gliomask.evaluation.compare",
    "convert_all": "gliomask.conversion.convert",
    "evaluate": "gliomask.evaluation.evaluate",
    "explore": "gliomask.reporting.explore",
    "find_inputs": "gliomask.studies.inputs",
    "fit": "gliomask.training.fit",
    "fit_folds": "gliomask.training.folds",
    "predict_all": "gliomask.results.batch",
    "predict_study": "gliomask.results.study",
    "read_evaluation": "gliomask.evaluation.results",
    "write_evaluation": "gliomask.evaluation.results",
    "write_phantoms": "gliomask.volumes.phantom",
}

if TYPE_CHECKING:
    from gliomask.config import TrainConfig
    from gliomask.conversion.convert import Conversion, convert_all
    from gliomask.conversion.finder import OutlineFinder
    from gliomask.data.index import DatasetIndex, build_index
    from gliomask.errors import Failure, GliomaskError
    from gliomask.evaluation.compare import compare
    from gliomask.evaluation.evaluate import evaluate
    from gliomask.evaluation.results import Evaluation, read_evaluation, write_evaluation
    from gliomask.evaluation.subsets import choose_subset
    from gliomask.inference.predictor import Prediction, Predictor
    from gliomask.reporting.explore import explore
    from gliomask.results.batch import predict_all
    from gliomask.results.loaded import Keep
    from gliomask.results.study import predict_study
    from gliomask.share import Share
    from gliomask.studies.inputs import find_inputs
    from gliomask.training.cross_validation import CrossValidation
    from gliomask.training.fit import fit
    from gliomask.training.folds import fit_folds
    from gliomask.training.run_folder import RunFolder
    from gliomask.volumes.phantom import write_phantoms

__all__ = [
    "Conversion",
    "CrossValidation",
    "DatasetIndex",
    "Evaluation",
    "Failure",
    "GliomaskError",
    "Keep",
    "OutlineFinder",
    "Prediction",
    "Predictor",
    "RunFolder",
    "Share",
    "TrainConfig",
    "build_index",
    "choose_subset",
    "compare",
    "convert_all",
    "evaluate",
    "explore",
    "find_inputs",
    "fit",
    "fit_folds",
    "predict_all",
    "predict_study",
    "read_evaluation",
    "write_evaluation",
    "write_phantoms",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gliomask' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
