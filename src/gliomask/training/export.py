"""From the weights that a run keeps to model.onnx and model.json, checked against the trained network."""

from __future__ import annotations

import hashlib
import logging
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnxscript.optimizer import fold_constants, remove_unused_nodes

from gliomask.config import TrainConfig
from gliomask.errors import ModelFileError
from gliomask.files import whole_file
from gliomask.models.catalogue import resolve_name
from gliomask.models.checkpoint import load_model
from gliomask.models.contract import CHANNELS, NEIGHBOURS, ModelContract, write_contract
from gliomask.models.int8 import quantise
from gliomask.models.padding import PaddedSegmenter
from gliomask.models.runtimes import import_onnxruntime
from gliomask.training.beginning import beginning_of
from gliomask.training.environment import versions
from gliomask.training.learned import Learned
from gliomask.training.run_folder import RunFolder

TOLERANCE = 1e-3
"""Largest allowed difference of a probability between the trained network and the exported one."""
INT8_TOLERANCE = 0.02
"""Largest allowed mean difference of a probability between the exported network and the one with 8-bit integers."""
INT8_AGREEMENT = 0.9
"""Smallest allowed Dice of their masks (probability 0.5), over all examples together."""
_AT_ONCE = 8
_NOTHING = Learned()


def export(
    run: RunFolder, learned: Learned = _NOTHING, *, examples: NDArray[np.float32] | None = None
) -> ModelContract:
    """Export the weights that a run keeps and verify the result.

    Parameters
    ----------
    run
        A training of at least one epoch.
    learned
        What else was learned from the run's data.
    examples
        (S, C, size, size) float32 network input (`gliomask.training.examples`): a network with 8-bit integers is
        written as well, with the ranges that its activations have there. Without, one of an earlier export is removed.

    Returns
    -------
    ModelContract
        What model.json says.

    Raises
    ------
    DataError
        If the folder holds no run, or a damaged one.
    ModelFileError
        If the weights are missing or damaged, the run has no start.json and its first model is gone, or the exported
        network answers differently.
    """
    config = run.config()
    net, metadata = load_model(run.best)
    exported = to_onnx(net, config.image_size)
    difference = largest_difference(net, exported, config.image_size)
    if not difference <= TOLERANCE:  # or no number at all
        raise ModelFileError(
            f"{run.model}: exported probabilities differ by {difference:.2g} from the trained network's; "
            f"expected at most {TOLERANCE}; report this with environment.json of the run"
        )
    small = None if examples is None else with_integers(exported, examples)
    contract = ModelContract(
        name=run.name,
        architecture=resolve_name(config.model.model),
        image_size=config.image_size,
        normalisation=config.normalisation,
        threshold=config.threshold,
        smallest_component=config.smallest_component,
        training=_training_facts(config, run) | {"stride_in_1x1": metadata["stride_in_1x1"], "looks": learned.looks},
        scores={"validation_dice": metadata["extra"]["val_dice"], "best_epoch": metadata["extra"]["epoch"] + 1},
        temperature=learned.temperature,
        versions=versions(),
        channels=CHANNELS + NEIGHBOURS if net.neighbours else CHANNELS,
        onnx_sha256=hashlib.sha256(exported).hexdigest(),
        int8_sha256=None if small is None else hashlib.sha256(small).hexdigest(),
    )
    with whole_file(run.model) as part:
        part.write_bytes(exported)
    run.int8.unlink(missing_ok=True)
    if small is not None:
        with whole_file(run.int8) as part:
            part.write_bytes(small)
    write_contract(contract, run.contract)
    return contract


def with_integers(exported: bytes, examples: NDArray[np.float32]) -> bytes:
    """Return an exported network with 8-bit integers, after comparing it with the exported one.

    Parameters
    ----------
    exported
        The ONNX file.
    examples
        (S, C, size, size) float32 network input.

    Raises
    ------
    ModelFileError
        If the two differ on the examples by more than `INT8_TOLERANCE` and `INT8_AGREEMENT` allow, or as
        `gliomask.models.int8.quantise`.
    """
    small = quantise(exported, examples)
    whole, found = _probabilities(exported, examples), _probabilities(small, examples)
    difference, masks = float(np.abs(whole - found).mean()), (whole >= 0.5, found >= 0.5)
    pixels = sum(int(mask.sum()) for mask in masks)
    agreement = 2 * int((masks[0] & masks[1]).sum()) / pixels if pixels else 1.0
    if difference > INT8_TOLERANCE or agreement < INT8_AGREEMENT:
        raise ModelFileError(
            f"with 8-bit integers probabilities differ by {difference:.2g} on average and masks agree to a Dice of "
            f"{agreement:.3f}; expected at most {INT8_TOLERANCE} and at least {INT8_AGREEMENT}; leave --int8 out"
        )
    return small


def _probabilities(network: bytes, examples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (S, 1, size, size) probabilities of an ONNX file."""
    session = import_onnxruntime().InferenceSession(network, providers=["CPUExecutionProvider"])
    batches = (examples[start : start + _AT_ONCE] for start in range(0, len(examples), _AT_ONCE))
    logits = np.concatenate([session.run(["logits"], {"slices": batch})[0] for batch in batches])
    return np.asarray(torch.from_numpy(logits).sigmoid())  # NumPy has no function that takes any logit


def _training_facts(config: TrainConfig, run: RunFolder) -> dict[str, Any]:
    split, beginning = run.split(), beginning_of(run)
    return {
        "fingerprint": split.fingerprint,
        "split": split.kind,
        "patients": len({entry.partition("/")[0] for entry in split.parts["train"]}),
        "recipe": config.recipe,
        "epochs": len(run.metrics()),
        "seed": config.seed,
        "encoder_weights": config.model.encoder_weights,
        "weights": config.model.weights,
        "weights_sha256": beginning.weights_sha256,
        "trained_cases": sorted(split.trained_cases().union(beginning.trained_cases)),
        "cases": sorted(split.seen_cases().union(beginning.cases)),
    }


def to_onnx(net: PaddedSegmenter, size: int) -> bytes:
    """Return the ONNX file of a network in evaluation mode for (batch, C, size, size) float32 input.

    Weights keep their names and values (the runtime folds the batch norm when it loads the file), so that a network to
    train on can be had from the file again: `gliomask.models.onnx_weights.load_trained`.

    Raises
    ------
    ModelFileError
        If the exporter fails.
    """
    example = torch.zeros(2, net.inputs, size, size)
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter warns of its own internals
            program = torch.onnx.export(
                net.eval(),
                (example,),
                input_names=["slices"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                verbose=False,
                optimize=False,
            )
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    if program is None:
        raise ModelFileError(
            "the exporter returned nothing; expected an ONNX program; check the versions of torch and onnx"
        )
    fold_constants(program.model)
    remove_unused_nodes(program.model)
    program.model.graph.metadata_props.clear()
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # where in this machine's files the operation was written
    serialised: bytes = program.model_proto.SerializeToString()
    return serialised


def largest_difference(net: PaddedSegmenter, exported: bytes, size: int) -> float:
    """Return the largest absolute difference of probabilities between a network and its exported form.

    Compared on one slice and on a batch of three, of normally distributed input. NaN if either answers with it.
    """
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for count in (1, 3):
        slices = torch.randn(count, net.inputs, size, size, generator=generator)
        with torch.no_grad():
            expected = net(slices).sigmoid().numpy()
        here = np.abs(_probabilities(exported, slices.numpy()) - expected).max()
        largest = float(np.maximum(largest, here))  # which a NaN survives
    return largest
