"""Every setting of a training, once: command line, run folder and documentation are made from these classes.

Knows nothing of data, networks or PyTorch. The docstring under a field is its ``--help``.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from gliomask.errors import UsageError
from gliomask.files import whole_file

ModelName = Literal[
    "unet",
    "original-unet",
    "original-resnext",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet50-s16",
    "resnet50-s16-2.5d",
    "resnext50",
    "resnext",
]
RecipeName = Literal["original", "default"]
SplitKind = Literal["patient", "fold", "slice", "buda10", "all", "leak-by-patient", "leak-by-slice"]
Scheduler = Literal["none", "warmup", "one-cycle", "cosine"]
LossName = Literal["bce-dice", "bce-slice-dice"]
NormalisationName = Literal["imagenet", "volume"]
EngineName = Literal["auto", "onnxruntime", "openvino"]
DeviceName = Literal["cpu", "cuda"]
PredictionPrecision = Literal["auto", "float32", "bfloat16", "int8"]
SubsetName = Literal["test", "validation", "train", "unseen", "all", "buda10"]
CutName = Literal["median", "quartiles", "none"]

_Config = TypeVar("_Config")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+")  # 1e-3, which YAML takes for text
_EXTENTS = {"shift", "scale", "rotate", "gain", "offset", "noise"}
"""The augmentation settings that are no probabilities."""


@dataclass(frozen=True)
class ModelConfig:
    """Which network, and where its encoder starts from."""

    model: ModelName = "unet"
    """Network to train; `gliomask models` describes them (resnext is short for resnext50)."""
    encoder_weights: str = "none"
    """Where a ResNet encoder starts: imagenet (downloaded once, checksum verified), none, or a file, .safetensors or
    .pth."""
    weights: str = "none"
    """Trained model that the whole network starts from: a bundled model's name, run folder or model.onnx; or none.
    --from names it and takes network, image size, normalisation, threshold and smallest_component from it, too."""


@dataclass(frozen=True)
class SplitConfig:
    """Who is trained on and who is tested."""

    split: SplitKind = "patient"
    """patient: 80/10/10 over patients. fold: cross-validation by patient. buda10: the ten published test patients are
    the test set. all: everybody else than those ten is trained on, and nobody chooses the epoch; for a model that is to
    be given away. slice: 80/10/10 over slices, so that patients leak from training to test; only to show it.
    leak-by-patient, leak-by-slice: the pair that `gliomask leak` compares."""
    folds: int = 5
    """Number of folds of the fold split; giving it, or --fold, means --split fold."""
    fold: int = -1
    """Train only the fold with this number, from 0; -1 trains all folds, one after another."""
    split_seed: int = 0
    """Seed of the split."""
    validation: bool = True
    """Set patients aside, on whom the temperature is fitted and, with `--keep best`, the epoch chosen. Without,
    they are trained on, too, and the last epoch is kept."""


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes of training slices. Probabilities are per slice; validation and test slices are never changed."""

    flip: float = 0.5
    """Probability of a left-right flip."""
    flip_vertical: float = 0.0
    """Probability of an up-down flip."""
    rotate90: float = 0.0
    """Probability of a rotation by a random multiple of 90 degrees."""
    transpose: float = 0.0
    """Probability of swapping rows and columns."""
    affine: float = 0.8
    """Probability of a random shift, scale and rotation."""
    shift: float = 0.05
    """Largest shift, as a fraction of the image side."""
    scale: float = 0.15
    """Largest change of scale, as a fraction."""
    rotate: float = 15.0
    """Largest rotation in degrees."""
    intensity: float = 0.8
    """Probability of a random gain and offset per channel."""
    gain: float = 0.2
    """Largest relative change of contrast."""
    offset: float = 0.2
    """Largest change of brightness, in standard deviations."""
    noise: float = 0.1
    """Largest standard deviation of added Gaussian noise."""
    drop_channel: float = 0.1
    """Probability, for T1 and for post-contrast T1, of being replaced by FLAIR as in patients who lack the sequence."""
    drop_both: float = 0.0
    """Probability that both are replaced, as in patients of whom there is nothing but FLAIR."""
    single_slice: float = 0.25
    """Probability of seeing a slice as if it were alone: normalised by itself rather than by its volume (volume
    normalisation only), and its own neighbour (2.5D networks only)."""
    reverse: float = 0.5
    """Probability that the slices below and above change places (2.5D networks only)."""


@dataclass(frozen=True)
class OptimisationConfig:
    """How the weights are found."""

    epochs: int = 20
    """Passes over the training slices."""
    batch_size: int = 16
    """Slices per optimiser step, over all devices together; a multiple of their number."""
    optimiser: Literal["adamw", "adamax"] = "adamw"
    """Optimiser."""
    loss: LossName = "bce-dice"
    """bce-dice: cross-entropy plus Dice over the whole batch, in which large tumours count most. bce-slice-dice: half
    of the Dice over the batch, half the mean Dice of the slices with tumour, so that small ones count, too."""
    learning_rate: float = 1.5e-3
    """Highest learning rate."""
    encoder_rate: float = 1.0
    """Learning rate of a ResNet encoder, as a fraction of that of the rest; no other network has one."""
    weight_decay: float = 1e-4
    """Decoupled weight decay (adamw only)."""
    lr_scheduler: Scheduler = "one-cycle"
    """none, one-cycle, cosine, or warmup: the original's linear rise over 100 steps, started anew in every epoch."""
    average: float = 0.99
    """Decay of the moving average of the weights, which is what is validated, exported and kept; 0 turns it off."""
    start_share: float = 0.0
    """With --from: share of the weights that the training starts from in those that are validated, exported and kept:
    0.5 keeps the mean of before and after. The training itself does not change."""
    keep: Literal["auto", "best", "last"] = "auto"
    """Which epoch's weights are kept: the best by validation Dice, or the last. auto: the last if the learning rate
    ends near 0 (one-cycle, cosine) without --early-stopping, else the best. Without validation, the last."""
    early_stopping: int = 0
    """Stop after so many epochs without a better validation Dice; 0 never stops."""
    empty_ratio: float = 1.0
    """Empty slices drawn in an epoch, for each slice with tumour; 0 takes every slice."""
    epoch_slices: int = 0
    """Slices in an epoch, drawn anew each time; 0 takes all that --empty-ratio leaves."""

    @property
    def keeps_last(self) -> bool:
        """Whether the last epoch's weights are kept rather than the best by validation Dice."""
        if self.keep == "auto":
            return self.lr_scheduler in {"one-cycle", "cosine"} and not self.early_stopping
        return self.keep == "last"


@dataclass(frozen=True)
class HardwareConfig:
    """Where it runs."""

    accelerator: str = "auto"
    """Lightning accelerator: auto, cpu, gpu, ..."""
    devices: str = "auto"
    """How many devices (a number), which ones (0,1), or auto; on a CPU, auto is one process."""
    nodes: int = 1
    """Number of machines."""
    strategy: str = "auto"
    """Lightning strategy: auto, ddp, ..."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto is bfloat16 on a CUDA device that has it, on a CPU if a convolution is at least 1.3 times as fast in it;
    else float32."""
    resident: Literal["auto", "on", "off"] = "auto"
    """Keep all slices in the device's memory: auto does on a GPU, if they take less than half of what is free."""
    micro_batch: int = 0
    """Most slices that a device takes at once, where memory is short: gradients of the parts of a batch are added up.
    Batch norm and the Dice loss then see the parts, not the batch. 0 takes a batch whole."""
    compile: bool = False
    """Compile the network: a minute at the start; no gain on a CPU, not measured on a GPU (docs/performance.md)."""


@dataclass(frozen=True)
class TrainConfig:
    """All settings of one training."""

    recipe: RecipeName = "default"
    """Recipe that the settings started from."""
    seed: int = 0
    """Seed of weights, order and augmentation."""
    image_size: int = 256
    """Side in pixels that slices are resized to for the network."""
    normalisation: NormalisationName = "volume"
    """volume: z-score over the bright voxels of the patient; imagenet: fixed mean and deviation of ImageNet."""
    threshold: float = 0.5
    """Probability from which a pixel is tumour; travels in the exported model."""
    smallest_component: float = 0.1
    """Connected parts of a patient's mask with fewer voxels than this fraction of the largest part's are left out of
    predictions (not in validation while training); travels in the exported model. 0 leaves out none."""
    model: ModelConfig = field(default_factory=ModelConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    optimisation: OptimisationConfig = field(default_factory=OptimisationConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)

    def __post_init__(self) -> None:
        """Refuse values that cannot train.

        Raises
        ------
        UsageError
            Naming the setting, its value and the allowed range.
        """
        _require(self.image_size >= 32 and self.image_size % 2 == 0, "image_size", self.image_size, "even, >= 32")
        _require(0 < self.threshold < 1, "threshold", self.threshold, "between 0 and 1")
        smallest = self.smallest_component
        _require(0 <= smallest <= 1, "smallest_component", smallest, "0 to 1")
        _require(self.seed >= 0, "seed", self.seed, ">= 0")
        _require(self.optimisation.epochs >= 1, "epochs", self.optimisation.epochs, ">= 1")
        _require(self.optimisation.batch_size >= 1, "batch_size", self.optimisation.batch_size, ">= 1")
        _require(self.optimisation.learning_rate > 0, "learning_rate", self.optimisation.learning_rate, "> 0")
        encoder_rate = self.optimisation.encoder_rate
        _require(0 <= encoder_rate <= 1, "encoder_rate", encoder_rate, "0 (keep its weights) to 1")
        _require(0 <= self.optimisation.average < 1, "average", self.optimisation.average, "in [0, 1)")
        _require(self.hardware.micro_batch >= 0, "micro_batch", self.hardware.micro_batch, ">= 0")
        for name in ("weight_decay", "early_stopping", "empty_ratio", "epoch_slices"):
            value = getattr(self.optimisation, name)
            _require(value >= 0, name, value, ">= 0")
        for name, value in vars(self.augmentation).items():
            _require(value >= 0, name, value, ">= 0")
            _require(name in _EXTENTS or value <= 1, name, value, "a probability, 0 to 1")
        _require(self.augmentation.scale < 1, "scale", self.augmentation.scale, "< 1")
        share = self.optimisation.start_share
        _require(0 <= share <= 1, "start_share", share, "0 to 1")
        _require(not share or self.model.weights != "none", "start_share", share, "0 without --from")
        alone = self.split.split == "all" or not self.split.validation
        stops = self.optimisation.early_stopping and alone
        _require(not stops, "early_stopping", self.optimisation.early_stopping, "0 without validation")
        late = self.optimisation.early_stopping and self.optimisation.keep == "last"
        _require(not late, "keep", self.optimisation.keep, "auto or best with early stopping")
        _require(self.split.folds >= 2, "folds", self.split.folds, ">= 2")
        rule = f"0 to {self.split.folds - 1}, or -1 for all"
        _require(-1 <= self.split.fold < self.split.folds, "fold", self.split.fold, rule)


def _require(condition: bool, name: str, value: object, rule: str) -> None:
    if not condition:
        raise UsageError(f"{name} is {value}; expected {rule}")


ORIGINAL = TrainConfig(
    recipe="original",
    image_size=128,
    normalisation="imagenet",
    smallest_component=0.0,
    model=ModelConfig(model="original-unet", encoder_weights="imagenet"),
    split=SplitConfig(split="patient"),
    augmentation=AugmentationConfig(
        flip=0.5, flip_vertical=0.5, rotate90=0.5, transpose=0.5, affine=0.25, shift=0.01, scale=0.04, rotate=0.0,
        intensity=0.0, gain=0.0, offset=0.0, noise=0.0, drop_channel=0.0, drop_both=0.0,
        single_slice=0.0, reverse=0.0,
    ),
    optimisation=OptimisationConfig(
        epochs=30, batch_size=32, optimiser="adamax", learning_rate=5e-4, weight_decay=0.0, lr_scheduler="none",
        average=0.0, empty_ratio=0.0,
    ),
)  # fmt: skip
TAKEN = ("image_size", "normalisation", "threshold", "smallest_component")
"""Settings that a training takes from the model that it goes on from; an exported model has them under these names."""
EARLIER: Mapping[str, Any] = {"smallest_component": 0.0, "optimisation": {"keep": "best"}}
"""What runs did that do not tell, because the settings are newer than they are."""
RECIPES: dict[RecipeName, TrainConfig] = {"default": TrainConfig(), "original": ORIGINAL}


def to_dict(config: Any) -> dict[str, Any]:
    """Return a config as nested plain values, ready for JSON or YAML."""
    return dataclasses.asdict(config)


def from_dict(kind: type[_Config], values: dict[str, Any], base: _Config | None = None) -> _Config:
    """Build a config from nested plain values; settings that are absent are those of ``base``, or the defaults.

    Raises
    ------
    UsageError
        If a setting is unknown or has a value of the wrong type.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(map(str, set(values) - set(hints)))
    if unknown:
        raise UsageError(f"unknown setting {', '.join(unknown)} in {kind.__name__}; expected {', '.join(hints)}")
    arguments: dict[str, Any] = {} if base is None else {name: getattr(base, name) for name in hints}
    for name, value in values.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint) and isinstance(value, dict):
            arguments[name] = from_dict(typing.cast("type[Any]", hint), value, arguments.get(name))
        else:
            arguments[name] = _checked(name, value, hint)
    return kind(**arguments)


def _checked(name: str, value: Any, hint: Any) -> Any:
    if typing.get_origin(hint) is Literal:
        if isinstance(value, bool):  # how YAML reads a bare on or off
            value = "on" if value else "off"
        if value not in typing.get_args(hint):
            raise UsageError(f"{name} is {value!r}; expected one of {', '.join(map(str, typing.get_args(hint)))}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if type(value) is not hint:
        raise UsageError(f"{name} is {value!r}; expected {hint.__name__}")
    return value


def save_config(config: TrainConfig, path: Path) -> None:
    """Write a config as JSON or, if the name ends in .yaml or .yml, as YAML; whole or not at all."""
    if path.suffix in {".yaml", ".yml"}:
        import yaml  # noqa: PLC0415 - only for those who write YAML

        text = yaml.safe_dump(to_dict(config), sort_keys=False)
    else:
        text = json.dumps(to_dict(config), indent=2) + "\n"
    with whole_file(path) as part:
        part.write_text(text)


def load_settings(path: Path) -> TrainConfig:
    """Read the settings that a run has kept, also one of an earlier version.

    Raises
    ------
    UsageError
        As `load_config`.
    """
    return load_config(path, EARLIER)


def load_config(path: Path, known: Mapping[str, Any] | None = None) -> TrainConfig:
    """Read a config that `save_config` wrote, or one written by hand with only what differs from its recipe.

    Parameters
    ----------
    path
        JSON or YAML.
    known
        Nested plain values that take the place of the recipe's where the file says nothing.

    Raises
    ------
    UsageError
        If the file cannot be read or parsed, or holds an unknown setting.
    """
    try:
        text = path.read_text()
        if path.suffix in {".yaml", ".yml"}:
            import yaml  # noqa: PLC0415 - only for those who write YAML

            values = yaml.safe_load(text)
        else:
            values = json.loads(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a readable configuration ({error}); expected JSON or YAML") from error
    except Exception as error:
        if type(error).__module__.startswith("yaml"):
            reason = " ".join(str(error).split())
            raise UsageError(f"{path}: not YAML ({reason}); expected a mapping of settings") from error
        raise
    if not isinstance(values, dict):
        raise UsageError(f"{path}: holds {type(values).__name__}; expected a mapping of settings")
    split = values.get("split")
    if isinstance(split, dict) and "split" not in split and {"folds", "fold"} & set(split):
        values = values | {"split": split | {"split": "fold"}}  # as on the command line
    recipe = values.get("recipe", "default")  # anything at all, so not yet a key
    base = next((RECIPES[name] for name in RECIPES if name == recipe), None)
    return from_dict(TrainConfig, values, from_dict(TrainConfig, dict(known or {}), base))
