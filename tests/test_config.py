"""Settings survive a file, mistakes are named, and the original's recipe is the one that was published."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import typing
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gliomask import config
from gliomask.config import (
    ORIGINAL,
    RECIPES,
    AugmentationConfig,
    ModelConfig,
    OptimisationConfig,
    SplitConfig,
    TrainConfig,
    from_dict,
    load_config,
    load_settings,
    save_config,
    to_dict,
)
from gliomask.errors import UsageError


def altered(settings: Any) -> Any:
    """Return the settings with every single value changed."""
    hints = typing.get_type_hints(type(settings))
    return replace(settings, **{name: _other(getattr(settings, name), hint) for name, hint in hints.items()})


def _other(value: Any, hint: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return altered(value)
    if typing.get_origin(hint) is typing.Literal:
        return next(choice for choice in typing.get_args(hint) if choice != value)
    return f"{value}x" if hint is str else hint(value / 2 + 0.01 if hint is float else value + 2)


def leaves(kind: type) -> Iterator[tuple[type, str]]:
    """Yield the class and name of every single setting."""
    for name, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from leaves(typing.cast("type", hint))
        else:
            yield kind, name


@pytest.mark.parametrize(
    ("values", "last"),
    [({}, True), ({"lr_scheduler": "cosine"}, True), ({"lr_scheduler": "none"}, False), ({"early_stopping": 3}, False),
     ({"keep": "best"}, False), ({"keep": "last", "lr_scheduler": "none"}, True)],
)  # fmt: skip
def test_which_epoch_is_kept(values: dict[str, Any], last: bool) -> None:
    assert OptimisationConfig(**values).keeps_last is last


def test_last_epoch_and_early_stopping_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="keep is last; expected auto or best with early stopping"):
        TrainConfig(optimisation=OptimisationConfig(keep="last", early_stopping=3))


@pytest.mark.parametrize(
    ("share", "weights", "message"),
    [(0.5, "none", "start_share is 0.5; expected 0 without --from"), (1.5, "x", "start_share is 1.5; expected 0 to 1")],
)
def test_a_share_of_the_start_needs_one(share: float, weights: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainConfig(model=ModelConfig(weights=weights), optimisation=OptimisationConfig(start_share=share))


@pytest.mark.parametrize("split", [SplitConfig(split="all"), SplitConfig(validation=False)])
def test_nobody_stops_early_without_validation(split: SplitConfig) -> None:
    with pytest.raises(UsageError, match="early_stopping is 3; expected 0 without validation"):
        TrainConfig(split=split, optimisation=OptimisationConfig(early_stopping=3))


def test_a_run_of_an_earlier_version_kept_its_best_epoch(tmp_path: Path) -> None:
    values = to_dict(TrainConfig())
    del values["optimisation"]["keep"], values["smallest_component"]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    assert load_settings(path).optimisation.keep == "best"
    assert load_settings(path).smallest_component == 0
    assert load_config(path).optimisation.keep == "auto"
    save_config(TrainConfig(), path)
    assert load_settings(path) == TrainConfig()


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
@pytest.mark.parametrize(
    "settings",
    [*RECIPES.values(), altered(TrainConfig()), TrainConfig(split=SplitConfig(validation=False))],
    ids=[*RECIPES, "altered", "without validation"],
)
def test_settings_survive_a_file(tmp_path: Path, settings: TrainConfig, suffix: str) -> None:
    path = tmp_path / f"settings{suffix}"
    save_config(settings, path)
    assert load_config(path) == settings
    assert path.read_text().startswith("{") == (suffix == ".json")


def test_altered_settings_differ_everywhere() -> None:
    before, after = to_dict(TrainConfig()), to_dict(altered(TrainConfig()))
    for kind, name in leaves(TrainConfig):
        group = next((key for key, hint in typing.get_type_hints(TrainConfig).items() if hint is kind), None)
        one, other = (values if group is None else values[group] for values in (before, after))
        assert one[name] != other[name] or name == "validation", name  # which early stopping needs


def test_settings_that_are_absent_keep_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "few.yaml"
    path.write_text("image_size: 64\noptimisation:\n  epochs: 3\n")
    expected = replace(TrainConfig(), image_size=64, optimisation=OptimisationConfig(epochs=3))
    assert load_config(path) == expected


def test_settings_that_are_absent_are_those_of_the_recipe_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "few.yaml"
    path.write_text("recipe: original\noptimisation:\n  epochs: 3\n")
    assert load_config(path) == replace(ORIGINAL, optimisation=replace(ORIGINAL.optimisation, epochs=3))


@pytest.mark.parametrize("recipe", ["[original]", "{}", "1", "null", "originale"])
def test_an_unknown_recipe_is_refused(tmp_path: Path, recipe: str) -> None:
    path = tmp_path / "few.yaml"
    path.write_text(f"recipe: {recipe}\n")
    with pytest.raises(UsageError, match=r"^recipe is .*; expected one of original, default"):
        load_config(path)


def test_whole_numbers_are_accepted_for_fractions() -> None:
    made = from_dict(OptimisationConfig, {"learning_rate": 1})
    assert made.learning_rate == 1.0
    assert type(made.learning_rate) is float


def test_numbers_that_yaml_takes_for_text_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("optimisation: {learning_rate: 1e-3, weight_decay: 2.5E-5}\n")
    made = load_config(path).optimisation
    assert (made.learning_rate, made.weight_decay) == (1e-3, 2.5e-5)


def test_off_in_yaml_is_off(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("hardware: {resident: off}\n")
    assert load_config(path).hardware.resident == "off"
    path.write_text("1: 2\n")
    with pytest.raises(UsageError, match="unknown setting 1"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("folds: 3", ("fold", 3, -1)), ("fold: 1", ("fold", 5, 1)), ("split_seed: 1", ("patient", 5, -1)),
     ("split: slice, folds: 3", ("slice", 3, -1))],
)  # fmt: skip
def test_folds_in_a_file_mean_what_they_mean_as_options(
    tmp_path: Path, text: str, expected: tuple[str, int, int]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"split: {{{text}}}\n")
    made = load_config(path).split
    assert (made.split, made.folds, made.fold) == expected


@pytest.mark.parametrize(
    "values",
    [{"image_sise": 64}, {"optimisation": {"momentum": 0.9}}, {"epochs": 3}],
)
def test_unknown_setting_is_refused_by_name(values: dict[str, Any]) -> None:
    (name,) = values if not isinstance(next(iter(values.values())), dict) else next(iter(values.values()))
    with pytest.raises(UsageError, match=f"unknown setting {name}"):
        from_dict(TrainConfig, values)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"image_size": 64.0}, "image_size"),
        ({"image_size": "64"}, "image_size"),
        ({"seed": True}, "seed"),
        ({"threshold": True}, "threshold"),
        ({"threshold": "0.5"}, "threshold"),
        ({"normalisation": "minmax"}, "normalisation"),
        ({"model": "unet"}, "model"),
        ({"model": {"model": "vnet"}}, "model"),
        ({"hardware": {"devices": 2}}, "devices"),
        ({"optimisation": {"epochs": None}}, "epochs"),
        ({"optimisation": [1]}, "optimisation"),
    ],
)
def test_wrong_type_is_refused_by_name(values: dict[str, Any], name: str) -> None:
    with pytest.raises(UsageError, match=f"^{name} is .*; expected"):
        from_dict(TrainConfig, values)


@pytest.mark.parametrize(
    ("group", "values"),
    [
        (None, {"image_size": 30}),
        (None, {"image_size": 65}),
        (None, {"threshold": 0.0}),
        (None, {"threshold": 1.0}),
        (None, {"threshold": float("nan")}),
        (None, {"seed": -1}),
        ("optimisation", {"epochs": 0}),
        ("optimisation", {"batch_size": 0}),
        ("optimisation", {"learning_rate": 0.0}),
        ("optimisation", {"learning_rate": float("nan")}),
        ("optimisation", {"average": 1.0}),
        ("optimisation", {"average": -0.1}),
        ("optimisation", {"epoch_slices": -1}),
        ("optimisation", {"empty_ratio": -1.0}),
        ("optimisation", {"early_stopping": -1}),
        ("augmentation", {"flip": 1.5}),
        ("augmentation", {"drop_channel": -0.1}),
        ("augmentation", {"drop_both": 1.1}),
        ("optimisation", {"encoder_rate": 1.5}),
        ("augmentation", {"scale": 1.0}),
        ("augmentation", {"noise": -0.1}),
        ("split", {"folds": 1}),
        ("split", {"fold": 5}),
        ("split", {"fold": -2}),
    ],
)
def test_values_that_cannot_train_are_refused_by_name(group: str | None, values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(UsageError, match=f"^{name} is .*; expected"):
        from_dict(TrainConfig, values if group is None else {group: values})


@pytest.mark.parametrize("kind", ["patient", "slice", "fold"])
def test_settings_from_before_fold_minus_1_are_read_as_they_were_meant(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"split": {"split": kind, "folds": 5, "fold": 0, "split_seed": 0}}))
    assert load_config(path).split == SplitConfig(split=kind, folds=5, fold=0)


@pytest.mark.parametrize("content", ["{", "[1, 2]", "3", "", "\x00"])
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_files_that_hold_no_settings_are_refused_with_their_path(tmp_path: Path, suffix: str, content: str) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_text(content)
    with pytest.raises(UsageError, match=f"broken{suffix}: .*expected"):
        load_config(path)


def test_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.json: not a readable configuration"):
        load_config(tmp_path / "absent.json")


def test_file_of_settings_is_whole_or_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.json"
    save_config(TrainConfig(seed=1), path)

    def disk_full(self: Path, text: str, *_: Any, **__: Any) -> int:
        self.write_bytes(text[:10].encode())
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", disk_full)
    with pytest.raises(OSError, match="disk full"):
        save_config(TrainConfig(seed=2), path)
    assert load_config(path).seed == 1
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def test_original_recipe_is_the_published_one() -> None:
    assert (ORIGINAL.image_size, ORIGINAL.normalisation, ORIGINAL.threshold) == (128, "imagenet", 0.5)
    assert ORIGINAL.model == ModelConfig(model="original-unet", encoder_weights="imagenet")
    optimisation = ORIGINAL.optimisation
    assert (optimisation.optimiser, optimisation.learning_rate, optimisation.weight_decay) == ("adamax", 5e-4, 0)
    assert (optimisation.batch_size, optimisation.epochs, optimisation.lr_scheduler) == (32, 30, "none")
    assert (optimisation.average, optimisation.early_stopping) == (0, 0)
    assert (optimisation.empty_ratio, optimisation.epoch_slices) == (0, 0)  # every slice, once


def test_original_recipe_augments_as_published() -> None:
    values = dataclasses.asdict(ORIGINAL.augmentation)
    expected = {"flip": 0.5, "flip_vertical": 0.5, "rotate90": 0.5, "transpose": 0.5}
    expected |= {"affine": 0.25, "shift": 0.01, "scale": 0.04}
    assert {name: value for name, value in values.items() if value} == expected


def test_defect_patients_leak_is_not_part_of_any_recipe() -> None:
    assert all(recipe.split.split == "patient" for recipe in RECIPES.values())


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_knows_its_name(name: Any) -> None:
    assert RECIPES[name].recipe == name


def test_recipes_are_the_names_that_can_be_given() -> None:
    assert set(RECIPES) == set(typing.get_args(config.RecipeName))


def test_every_setting_has_a_docstring_for_the_help() -> None:
    tree = ast.parse(inspect.getsource(config))
    described = set()
    for body in (node.body for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, text in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                assert isinstance(text.value, ast.Constant)
                assert str(text.value.value).rstrip().endswith(".")
                described.add(field.target.id)
    assert described == {name for _, name in leaves(TrainConfig)}


def test_names_of_settings_are_unique_because_options_have_no_prefix() -> None:
    counts = Counter(name for _, name in leaves(TrainConfig))
    assert [name for name, count in counts.items() if count > 1] == []


def test_settings_cannot_be_changed_after_they_were_checked() -> None:
    for kind in (TrainConfig, ModelConfig, SplitConfig, AugmentationConfig, OptimisationConfig, config.HardwareConfig):
        settings = kind()
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(settings, dataclasses.fields(settings)[0].name, None)


def test_json_is_plain_and_complete(tmp_path: Path) -> None:
    save_config(TrainConfig(), tmp_path / "config.json")
    assert json.loads((tmp_path / "config.json").read_text()) == to_dict(TrainConfig())
