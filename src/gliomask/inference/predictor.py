"""The one road from slices to a mask: evaluation, command line and Python all take it.

Everything it needs to know about a model comes from model.json. Knows nothing of files other than the model's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomask.config import DeviceName, EngineName, NormalisationName, PredictionPrecision
from gliomask.data.head import head_window
from gliomask.data.looks import unlike
from gliomask.data.neighbours import with_neighbours
from gliomask.data.normalisation import normalise, stack_statistics
from gliomask.data.resampling import SquareFit
from gliomask.errors import ModelFileError, UsageError
from gliomask.files import file_sha256
from gliomask.inference.components import without_small
from gliomask.inference.engine import Engine, load_engine
from gliomask.models.contract import ModelContract, read_contract
from gliomask.models.trained import DEFAULT, find_model, int8_of


@dataclass(frozen=True)
class Prediction:
    """The answer for a stack of slices.

    Parameters
    ----------
    mask
        (S, H, W) bool: FLAIR abnormality. What reaches the threshold, without small components.
    probabilities
        (S, H, W) float32, 0 to 1; also those of components that were left out.
    threshold
        Probability from which a pixel is in the mask.
    concern
        How the images differ from those the model was trained on, in a sentence; None if they do not, or the model
        does not know.
    cropped
        Whether only the window around the head was looked at, because the image shows much more.
    left_out
        How many components were left out because they are small beside the largest.
    """

    mask: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    threshold: float
    concern: str | None = None
    cropped: bool = False
    left_out: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether no pixel at all is in the mask."""
        return not self.mask.any()


class Predictor:
    """An exported model, ready to predict.

    Parameters
    ----------
    engine
        Computes logits.
    contract
        What model.json says.
    flips
        Whether the mean logits of every slice and of its left-right mirror image are taken, in twice the time of the
        network.
    smallest_component
        Components of fewer voxels than this fraction of the largest one's are left out, 0 (none) to 1; None: what the
        model asks for.
    int8
        Whether the engine runs the contract's network with 8-bit integers.

    Raises
    ------
    UsageError
        If `smallest_component` is out of range.
    """

    def __init__(
        self,
        engine: Engine,
        contract: ModelContract,
        *,
        flips: bool = False,
        smallest_component: float | None = None,
        int8: bool = False,
    ) -> None:
        if smallest_component is not None and not 0 <= smallest_component <= 1:
            raise UsageError(f"smallest_component is {smallest_component}; expected 0 to 1")
        self.engine, self.contract, self.flips, self.int8 = engine, contract, flips, int8
        self.smallest_component = contract.smallest_component if smallest_component is None else smallest_component
        self._one_at_a_time = Lock()
        self.mirrored_seconds = 0.0
        """Seconds that the mirror images have taken so far: what `flips` costs."""

    @classmethod
    def load(  # noqa: PLR0913 - all but the first by name
        cls,
        source: Path | str = DEFAULT,
        *,
        engine: EngineName = "auto",
        precision: PredictionPrecision = "auto",
        device: DeviceName = "cpu",
        flips: bool = False,
        smallest_component: float | None = None,
        batch_size: int = 8,
        threads: int = 0,
    ) -> Predictor:
        """Load a run folder, a model.onnx that has its model.json beside it, or a bundled model by its name.

        Parameters
        ----------
        source
            What to load.
        engine, device, batch_size, threads
            How it is computed, see `gliomask.inference.engine.load_engine`.
        precision
            Likewise; ``int8`` takes the model's other file, with 8-bit integers, whose masks differ a little.
        flips, smallest_component
            See the class.

        Raises
        ------
        ModelFileError
            If either file is missing or damaged, or they do not belong together.
        MissingExtraError, UsageError
            If there is no such model, or the engine, the device or the precision is not to be had, or
            `smallest_component` is out of range.
        """
        model, int8 = find_model(source), precision == "int8"
        described = model.with_suffix(".json")
        if int8:
            if read_contract(described).int8_sha256 is None:
                raise UsageError(
                    f"{source} has no network with 8-bit integers; expected a run exported with "
                    "`gliomask export RUN --data DATA --int8`, or no --precision int8"
                )
            model = int8_of(model)
            if not model.is_file():
                raise ModelFileError(f"{model}: no such file; copy it, too, or export with `gliomask export --int8`")
        network = load_engine(model, engine, precision=precision, device=device, batch_size=batch_size, threads=threads)
        contract = read_contract(described)
        if file_sha256(model) != (contract.int8_sha256 if int8 else contract.onnx_sha256):
            raise ModelFileError(
                f"{model}: its checksum is not the one in {described.name}; expected files that were "
                "exported together; copy both again"
            )
        if network.image_size != contract.image_size:
            raise ModelFileError(
                f"{described}: image_size is {contract.image_size}; expected "
                f"{network.image_size}, what the network takes; copy both files again"
            )
        return cls(network, contract, flips=flips, smallest_component=smallest_component, int8=int8)

    @property
    def precision(self) -> str:
        """In what the engine computes: float32, bfloat16 or int8."""
        return self.engine.name.rpartition(", ")[2]

    def settings(self) -> dict[str, Any]:
        """Return all that decides which mask an image gets, as plain values."""
        return {
            "model_sha256": self.contract.int8_sha256 if self.int8 else self.contract.onnx_sha256,
            "precision": self.precision,
            "threshold": self.contract.threshold,
            "temperature": self.contract.temperature,
            "flips": self.flips,
            "smallest_component": self.smallest_component,
        }

    def predict(self, images: NDArray[np.uint8], *, pixel: tuple[float, float] = (1.0, 1.0)) -> Prediction:
        """Predict the slices of one patient, or a single slice; several threads may ask at once.

        Parameters
        ----------
        images
            (S, H, W, 3) uint8: pre-contrast T1, FLAIR, post-contrast T1; any H and W. With volume normalisation the
            grey values are scaled over all S slices together. They follow each other in the head, up or down: a model
            may look at the slices on both sides of one.
        pixel
            Height and width of a pixel, in any unit, where pixels are not square.

        Returns
        -------
        Prediction
            On the grid of the input. Where several slices show much more than a head, only the part around the head is
            looked at (`gliomask.data.head`); probabilities elsewhere are 0.

        Raises
        ------
        ValueError
            If the array has another shape or dtype.
        """
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or not images.size:
            raise ValueError(f"expected (S, H, W, 3) uint8, not {images.shape} {images.dtype}")
        window = head_window(images, pixel)
        if window is None:
            probabilities, concern = self._probabilities(images, pixel)
        else:
            probabilities = np.zeros(images.shape[:3], np.float32)
            probabilities[:, *window], concern = self._probabilities(images[:, *window], pixel)
        threshold = self.contract.threshold
        mask, left_out = without_small(probabilities >= threshold, self.smallest_component)
        return Prediction(mask, probabilities, threshold, concern, cropped=window is not None, left_out=left_out)

    def _probabilities(
        self, images: NDArray[np.uint8], pixel: tuple[float, float]
    ) -> tuple[NDArray[np.float32], str | None]:
        """Return (S, H, W) probabilities, and how the images differ from those of the training, if they do."""
        fit = SquareFit(images.shape[1], images.shape[2], self.contract.image_size, pixel)
        squares = fit.images(images)
        network_input = self._network_input(squares)
        with self._one_at_a_time:
            logits = self._logits(network_input)
        logits = fit.back(logits)
        scaled = np.clip(logits / np.float32(-self.contract.temperature), -30, 30)
        probabilities = np.exp(scaled, out=scaled)  # in place: fresh memory costs as much
        np.reciprocal(np.add(probabilities, 1, out=probabilities), out=probabilities)
        return probabilities, unlike(squares, self.contract.training.get("looks") or {})

    def _logits(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = self.engine.logits(slices)
        if not self.flips:
            return logits
        start = time.perf_counter()
        mirrored = self.engine.logits(np.ascontiguousarray(slices[..., ::-1]))[..., ::-1]
        mean = np.asarray((logits + mirrored) / 2, np.float32)
        self.mirrored_seconds += time.perf_counter() - start
        return mean

    def _network_input(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        kind: NormalisationName = "imagenet" if self.contract.normalisation == "imagenet" else "volume"
        planes = normalise(squares, stack_statistics(squares, kind))
        return with_neighbours(planes) if self.contract.neighbours else planes
