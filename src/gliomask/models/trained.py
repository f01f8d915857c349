"""Trained models by name or place: which file is meant, and what is known of it. Needs no PyTorch.

What a user writes is, in this order, a file or folder that exists, or the name of a bundled model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gliomask.errors import ModelFileError, UsageError
from gliomask.models.contract import ModelContract, read_contract

BUNDLED = Path(__file__).resolve().parent / "bundled"
"""Folder of the models that come with the package: NAME.onnx, NAME.int8.onnx, NAME.json and the card NAME.md."""
INT8 = ".int8.onnx"
"""What the name of a network with 8-bit integers ends with, in place of .onnx."""
DEFAULT = "lgg-resnet50-s16"
"""Name of the model that is used where none is named."""


def bundled_models() -> Mapping[str, Path]:
    """Return the models that come with the package, ``model.onnx`` by name, the default first."""
    found = {path.stem: path for path in sorted(BUNDLED.glob("*.onnx")) if not path.name.endswith(INT8)}
    return dict(sorted(found.items(), key=lambda item: item[0] != DEFAULT))


def find_model(source: Path | str) -> Path:
    """Return the ONNX file of a run folder, a file, or a bundled model's name.

    Raises
    ------
    UsageError
        If there is no such file, folder or name.
    ModelFileError
        If it is no model, or the run is not exported.
    """
    path = Path(source)
    if path.name.endswith(INT8):
        whole = path.name.removesuffix(INT8) + ".onnx"
        raise ModelFileError(f"{path}: the 8-bit part of a model; expected {whole} beside it, and --precision int8")
    if path.is_dir():
        if (path / "folds.json").is_file():
            raise ModelFileError(
                f"{path}: the folds of a cross-validation; expected one of them: {path / 'fold0'}, ..."
            )
        if not (path / "model.onnx").is_file():
            raise ModelFileError(
                f"{path}: no model.onnx; expected a finished run; end the training with `gliomask train --resume`, "
                f"or export what there is with `gliomask export {path}`"
            )
        return path / "model.onnx"
    bundled = bundled_models()
    if not path.exists() and str(source) in bundled:
        return bundled[str(source)]
    expected = f"expected a run folder, a .onnx file or a name ({', '.join(bundled) or 'none is bundled'})"
    half = path.suffix == ".onnx" and path.with_suffix(".json").is_file()  # whose other half is lost: no wrong name
    if not (path.exists() or half):
        raise UsageError(f"{path}: no such model; {expected}; check the name")
    if path.suffix != ".onnx":
        raise ModelFileError(f"{path}: not a model; {expected}; give one of them")
    return path


def int8_of(model: Path) -> Path:
    """Return where the network with 8-bit integers lies that belongs to an ONNX file, whether it exists or not."""
    return model.with_name(model.stem + INT8)


def contract_of(source: Path | str) -> ModelContract:
    """Read what is known of a model, named as for `find_model`.

    Raises
    ------
    UsageError
        If there is no such model.
    ModelFileError
        If it is not exported, or its model.json is missing or damaged.
    """
    return read_contract(find_model(source).with_suffix(".json"))


def seen_by(source: Path | str) -> frozenset[str]:
    """Return the persons that a model was trained or chosen on; nobody for ``none``.

    Raises
    ------
    UsageError, ModelFileError
        As `contract_of`; or if its model.json does not tell.
    """
    return _cases(source, "cases")


def trained_on(source: Path | str) -> frozenset[str]:
    """Return the persons whose slices a model's weights come from, those who only chose the epoch left out.

    Raises
    ------
    UsageError, ModelFileError
        As `seen_by`.
    """
    known = contract_of(source).training if str(source) != "none" else {}
    split = find_model(source).with_name("split.json") if known and "trained_cases" not in known else None
    if split is not None and split.is_file():  # of an earlier version, whose model.json has only the larger list
        from gliomask.data.split import load_split  # noqa: PLC0415 - brings NumPy, and --help reads this module

        return load_split(split).trained_cases() | trained_on(known.get("weights", "none"))
    return _cases(source, "trained_cases")


def _cases(source: Path | str, name: str) -> frozenset[str]:
    if str(source) == "none":
        return frozenset()
    known = contract_of(source).training
    cases = known.get(name, known.get("cases"))
    if cases is None:
        raise ModelFileError(f"{source}: does not say who it was trained on; export it again")
    return frozenset(map(str, cases))
