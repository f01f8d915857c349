"""What a training starts from: a network with its first weights, and what is known of the model that they came from.

Kept in start.json of the run, because a training that goes on must not ask again: the model may have moved, or may be
another one by then.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from gliomask.config import ModelConfig
from gliomask.errors import DataError
from gliomask.models.checkpoint import load_model
from gliomask.models.onnx_weights import load_trained
from gliomask.models.padding import PaddedSegmenter
from gliomask.models.registry import build_model, model_spec
from gliomask.models.trained import contract_of, seen_by, trained_on
from gliomask.training.run_folder import RunFolder


@dataclass(frozen=True)
class Beginning:
    """What is known of the first weights.

    Attributes
    ----------
    stride_in_1x1
        Where the bottlenecks of a ResNet encoder have their stride, see `gliomask.models.resnet`.
    weights_sha256
        SHA-256 of the model.onnx that the whole network started from; None if it was none.
    temperature
        Of that model.
    trained_cases, cases
        Persons whom that model was trained on, and whom it was trained or chosen on.
    """

    stride_in_1x1: bool = False
    weights_sha256: str | None = None
    temperature: float = 1.0
    trained_cases: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()


def first_network(config: ModelConfig) -> tuple[PaddedSegmenter, Beginning]:
    """Build the network of a new training, with the weights that it starts from.

    Raises
    ------
    UsageError, WeightsError
        As `gliomask.models.registry.build_model`; or if there is no such model to start from.
    ModelFileError
        If the model to start from cannot be read, or does not tell whom it was trained on.
    """
    if config.weights == "none":
        net = build_model(config.model, encoder_weights=config.encoder_weights)
        return net, Beginning(_stride_in_1x1(net))
    net = load_trained(config.weights, config.model)
    return net, _of_model(config.weights, _stride_in_1x1(net))


def network_of(run: RunFolder) -> PaddedSegmenter:
    """Build the network of a training that goes on; its weights are in the state that it goes on from.

    Raises
    ------
    DataError, UsageError, ModelFileError
        As `beginning_of`.
    """
    return model_spec(run.config().model.model).build(beginning_of(run).stride_in_1x1)


def beginning_of(run: RunFolder) -> Beginning:
    """Read what a training started from; of a run made before start.json was, find it out.

    Raises
    ------
    DataError
        If start.json is damaged.
    UsageError, ModelFileError
        If the run has no start.json, and the model that it started from is no longer there.
    """
    path = run.start_file
    if not path.is_file():
        return _found_out(run)
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        persons: Any = {name: tuple(values.pop(name)) for name in ("trained_cases", "cases")}
        return Beginning(**values, **persons)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(path, f"damaged ({error})", "a start.json as it was written", "train anew") from error


def save_beginning(beginning: Beginning, run: RunFolder) -> None:
    """Write start.json, whole or not at all."""
    run.write_json(run.start_file, asdict(beginning))


def _stride_in_1x1(net: PaddedSegmenter) -> bool:
    return bool(getattr(net, "stride_in_1x1", False))


def _found_out(run: RunFolder) -> Beginning:
    stride = run.best.is_file() and load_model(run.best)[1]["stride_in_1x1"]
    source = run.config().model.weights
    return Beginning(stride) if source == "none" else _of_model(source, stride)


def _of_model(source: str, stride_in_1x1: bool) -> Beginning:
    contract = contract_of(source)
    trained, seen = (tuple(sorted(persons(source))) for persons in (trained_on, seen_by))
    return Beginning(stride_in_1x1, contract.onnx_sha256, contract.temperature, trained, seen)
