"""What training promises to inference: the content of model.json beside model.onnx. Knows nothing of PyTorch or ONNX.

Everything that a predictor has to know about an exported model is here and nowhere else: channels, sizes,
normalisation, threshold, what is left out of a mask.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from gliomask.config import NormalisationName
from gliomask.errors import ModelFileError
from gliomask.files import whole_file

__all__ = ["CHANNELS", "FORMAT_VERSION", "NEIGHBOURS", "ModelContract", "read_contract", "write_contract"]

FORMAT_VERSION = 4
_EARLIER: Mapping[int, Mapping[str, Any]] = {
    1: {"temperature": 1.0, "smallest_component": 0.0, "int8_sha256": None},
    2: {"smallest_component": 0.0, "int8_sha256": None},
    3: {"int8_sha256": None},
}
"""What an earlier format lacks, and what its models did."""
CHANNELS = ("pre", "flair", "post")
"""Pre-contrast T1, FLAIR, post-contrast T1."""
NEIGHBOURS = ("flair below", "flair above")
"""FLAIR of the slices on both sides, which follow the others in a 2.5D network."""
_SMALLEST_IMAGE = 32
_TRAINING_KINDS: Mapping[str, type] = {
    "fingerprint": str, "split": str, "recipe": str, "epochs": int, "seed": int, "patients": int, "cases": list,
    "trained_cases": list, "stride_in_1x1": bool, "looks": dict,
}  # fmt: skip


@dataclass(frozen=True)
class ModelContract:
    """An exported model, apart from its weights.

    Raises
    ------
    ModelFileError
        If a field has the wrong type or a value out of range; the field is named.
    """

    name: str
    """What the user calls it."""
    architecture: str
    """Network, a name of `gliomask.models.catalogue`."""
    image_size: int
    """Height and width in pixels that slices are resized to."""
    normalisation: str
    """imagenet or volume, see `gliomask.config.TrainConfig`."""
    threshold: float
    """Probability from which a pixel is tumour, between 0 and 1, both excluded."""
    onnx_sha256: str
    """SHA-256 of model.onnx, 64 lower-case hexadecimal digits."""
    training: dict[str, Any]
    """Where it comes from: fingerprint, split, recipe (str), epochs, seed, patients (int), the persons it was trained
    or chosen on (cases, list of str) and those it was trained on (trained_cases), and other plain values."""
    scores: dict[str, Any]
    """Scores by name; plain values, finite or None."""
    versions: dict[str, str]
    """Versions of the libraries that trained and exported it."""
    temperature: float = 1.0
    """Logits are divided by it before they become probabilities (Guo et al. 2017), above 0."""
    smallest_component: float = 0.0
    """Components of a patient's mask with fewer voxels than this fraction of the largest one's are left out, 0 (none)
    to 1 (all but the largest)."""
    int8_sha256: str | None = None
    """SHA-256 of the same network with 8-bit integers (model.int8.onnx); None if there is none."""
    channels: tuple[str, ...] = CHANNELS
    """Input channels in order."""
    format_version: int = FORMAT_VERSION
    """Version of this format."""

    @property
    def neighbours(self) -> bool:
        """Whether the network sees FLAIR of the slices below and above, too."""
        return len(self.channels) > len(CHANNELS)

    def __post_init__(self) -> None:
        """Check every field."""
        _require(_is(self.format_version, int) and self.format_version == FORMAT_VERSION, self, "format_version",
                 f"{FORMAT_VERSION}; upgrade gliomask or export the model again")  # fmt: skip
        for field in ("name", "architecture"):
            value = getattr(self, field)
            _require(isinstance(value, str) and bool(value.strip()), self, field, "a text that is not empty")
        kinds = (CHANNELS, CHANNELS + NEIGHBOURS)
        _require(self.channels in kinds, self, "channels", f"{list(CHANNELS)}, with {list(NEIGHBOURS)} or without")
        size, threshold, names = self.image_size, self.threshold, get_args(NormalisationName)
        _require(_is(size, int) and size >= _SMALLEST_IMAGE, self, "image_size", f"an integer >= {_SMALLEST_IMAGE}")
        _require(self.normalisation in names, self, "normalisation", " or ".join(names))
        _require(_is(threshold, float, int) and 0 < threshold < 1, self, "threshold", "a number between 0 and 1")
        _require(_is(self.temperature, float, int) and self.temperature > 0, self, "temperature", "a number above 0")
        smallest = self.smallest_component
        _require(_is(smallest, float, int) and 0 <= smallest <= 1, self, "smallest_component", "a number from 0 to 1")
        for field in ("onnx_sha256", "int8_sha256"):
            known = _is_sha256(getattr(self, field)) or (field == "int8_sha256" and self.int8_sha256 is None)
            _require(known, self, field, "64 lower-case hexadecimal digits")
        for field in ("training", "scores", "versions"):
            plain = isinstance(getattr(self, field), dict) and _is_plain(getattr(self, field))
            _require(plain, self, field, "a mapping of plain, finite values")
        for field, kind in _TRAINING_KINDS.items():
            fits = field not in self.training or type(self.training[field]) is kind
            _require(fits, self, "training", f"{field} of type {kind.__name__}")
        _require(all(isinstance(v, str) for v in self.versions.values()), self, "versions", "texts")


def write_contract(contract: ModelContract, path: Path) -> None:
    """Write a contract as JSON, whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with whole_file(path) as part:
        part.write_text(json.dumps(asdict(contract), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_contract(path: Path) -> ModelContract:
    """Read a contract that `write_contract` wrote.

    Raises
    ------
    ModelFileError
        If the file is missing, is not JSON, lacks a field, has one too many, or one with a wrong value; the field is
        named.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"{path}: cannot be read ({error}); expected model.json; export the model again"
        ) from error
    if not isinstance(values, dict):
        raise ModelFileError(f"{path}: holds {type(values).__name__}; expected an object; export the model again")
    version = values.get("format_version")
    if isinstance(version, int) and version in _EARLIER and version is not True:
        values = {**_EARLIER[version], **values, "format_version": FORMAT_VERSION}
    elif version != FORMAT_VERSION:
        raise ModelFileError(f"{path}: format_version is {version!r}; expected {FORMAT_VERSION}; upgrade gliomask")
    names = {field.name for field in fields(ModelContract)}
    wrong = sorted(names ^ set(values))
    if wrong:
        kind = "missing" if wrong[0] in names else "unknown"
        raise ModelFileError(f"{path}: field {wrong[0]} is {kind}; export the model again")
    if isinstance(values["channels"], list):
        values["channels"] = tuple(values["channels"])
    try:
        return ModelContract(**values)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error


def _require(fits: bool, contract: ModelContract, field: str, rule: str) -> None:
    if not fits:
        raise ModelFileError(f"{field} of the model is {getattr(contract, field)!r}; expected {rule}")


def _is(value: object, *kinds: type) -> bool:
    """Say whether a value is of these types; True and False are not numbers here."""
    return isinstance(value, kinds) and not isinstance(value, bool)


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_plain(value: object) -> bool:
    """Say whether a value survives JSON unchanged."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))
