"""From folds and a training on everybody to a model in the package: scores of the folds, a card, half the size."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gliomask.cli.app import main
from gliomask.config import save_config
from gliomask.data import naming
from gliomask.data.cache import SliceCache
from gliomask.data.index import build_index
from gliomask.errors import DataError, UsageError
from gliomask.inference.predictor import Predictor
from gliomask.models.contract import read_contract, write_contract
from gliomask.training.cross_validation import CrossValidation
from gliomask.training.run_folder import RunFolder
from results_page import make_results
from tiny_runs import WideNet, tiny_index, use_tiny_net
from tools import add_integers, bundle_model
from tools.recipe import Stage

OPTIONS = (
    "--model", "resnet18", "--image-size", "32", "--epochs", "1", "--batch-size", "8",
    "--precision", "float32", "--quiet",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Train two folds and everybody, and evaluate the folds three times; "resnet18" is three convolutions here."""
    place = tmp_path_factory.mktemp("bundle")
    index = tiny_index(place / "data")
    data, runs = str(index.root), ("--runs", str(place))
    with pytest.MonkeyPatch.context() as patch:
        use_tiny_net(patch, "resnet18", WideNet)
        assert main(["train", data, *runs, "--name", "folds", "--folds", "2", *OPTIONS]) == 0
        assert main(["train", data, *runs, "--name", "everybody", "--split", "all", *OPTIONS]) == 0
        for option in ((), ("--flair-alone",), ("--one-by-one",)):
            assert main(["evaluate", data, "--model", str(place / "folds"), "--quiet", *option]) == 0
        yield place


@pytest.fixture(scope="module")
def with_integers(folder: Path) -> Path:
    """Export everybody and the folds with 8-bit integers, as copies, and bundle them."""
    place, data = folder / "integers", folder / "data"
    for name in ("folds", "everybody"):
        shutil.copytree(folder / name, place / name)
    for run in (place / "everybody", *(place / "folds").glob("fold?")):
        assert main(["export", str(run), "--data", str(data), "--int8", "--quiet"]) == 0
    assert main(["evaluate", str(data), "--model", str(place / "folds"), "--precision", "int8", "--quiet"]) == 0
    arguments = [str(place / "everybody"), "--folds", str(place / "folds"), "--name", "small"]
    assert bundle_model.main([*arguments, "--out", str(place / "out"), "--card", str(place / "card.md")]) == 0
    return place


def test_integers_come_along_with_what_they_cost(with_integers: Path) -> None:
    model, contract = with_integers / "out" / "small.onnx", read_contract(with_integers / "out" / "small.json")
    assert Predictor.load(model, precision="int8").settings()["model_sha256"] == contract.int8_sha256
    whole, small = (
        json.loads((with_integers / "folds" / name / "summary.json").read_text())["scores"]["dice_patient"]["mean"]
        for name in ("out-of-fold", "out-of-fold-int8")
    )
    assert contract.scores["change_int8"] == pytest.approx(small - whole, abs=2e-6)
    assert contract.scores["slices_per_second_int8"] > 0
    card = (with_integers / "card.md").read_text()
    assert " epochs, seed 0; " in card
    assert f"(`--precision int8`) | {contract.scores['change_int8']:+.4f} (" in card
    assert "    gliomask export runs/everybody --data data/kaggle_3m --int8\n" in card


def test_scores_of_other_weights_are_not_told(folder: Path, tmp_path: Path) -> None:
    """Folds that were trained further and not evaluated again."""
    folds = shutil.copytree(folder / "folds", tmp_path / "folds")
    contract = read_contract(folds / "fold1" / "model.json")
    write_contract(replace(contract, onnx_sha256="0" * 64), folds / "fold1" / "model.json")
    with pytest.raises(DataError, match="scores of other weights than the folds have now"):
        bundle_model.Scores.read(CrossValidation(folds))


@pytest.fixture(scope="module")
def bundled(folder: Path) -> Path:
    out, card = folder / "bundled", folder / "card.md"
    arguments = [str(folder / "everybody"), "--folds", str(folder / "folds"), "--name", "small"]
    assert bundle_model.main([*arguments, "--out", str(out), "--card", str(card)]) == 0
    return out


def test_scores_are_those_of_the_folds(folder: Path, bundled: Path) -> None:
    contract = read_contract(bundled / "small.json")
    told = json.loads((folder / "folds" / "out-of-fold" / "summary.json").read_text())
    assert contract.scores["dice_patient"] == pytest.approx(told["scores"]["dice_patient"]["mean"])
    assert contract.scores["patients"] == 5
    flair = json.loads((folder / "folds" / "out-of-fold-flair-alone" / "summary.json").read_text())
    change = flair["scores"]["dice_patient"]["mean"] - told["scores"]["dice_patient"]["mean"]
    assert abs(change) > 2e-5  # or the next line proves nothing
    assert contract.scores["change_flair_alone"] == pytest.approx(change, abs=2e-6)  # tables have six decimals
    assert contract.scores["slices_per_second"] > 0


def test_temperature_is_the_mean_of_the_folds(folder: Path, bundled: Path) -> None:
    product = math.prod(read_contract(folder / "folds" / f"fold{fold}" / "model.json").temperature for fold in (0, 1))
    assert read_contract(bundled / "small.json").temperature == pytest.approx(product**0.5)


def test_bundled_model_is_half_the_size_and_whole(folder: Path, bundled: Path) -> None:
    whole = (folder / "everybody" / "model.onnx").stat().st_size
    assert (bundled / "small.onnx").stat().st_size < 0.55 * whole
    assert Predictor.load(bundled / "small.onnx").contract.training["patients"] == 5


def test_card_is_in_the_package_and_in_the_documentation(folder: Path, bundled: Path) -> None:
    card = (bundled / "small.md").read_text()
    assert card == (folder / "card.md").read_text()
    assert "--image-size 32 --model resnet18 --epochs 1 --batch-size 8 --folds 2" in card
    assert f"{read_contract(bundled / 'small.json').scores['dice_patient']:.3f} (" in card
    assert "{" not in card
    assert "are a mean" not in card


def test_card_says_that_weights_are_a_mean(folder: Path, bundled: Path, tmp_path: Path) -> None:
    run, folds = RunFolder(shutil.copytree(folder / "everybody", tmp_path / "run")), CrossValidation(folder / "folds")
    config = run.config()
    model, optimisation = replace(config.model, weights="x"), replace(config.optimisation, start_share=0.25)
    save_config(replace(config, model=model, optimisation=optimisation), run.config_file)
    scores = bundle_model.Scores.read(folds)
    card = bundle_model.card(read_contract(bundled / "small.json"), [Stage(run, folds)], scores, 1.0, "made by")
    assert "The weights are a mean:\n0.25 of those before the last training" in card


def test_a_bundled_model_gets_its_integers_without_its_run(folder: Path, bundled: Path, tmp_path: Path) -> None:
    for name in ("small.onnx", "small.json", "small.md"):
        shutil.copyfile(bundled / name, tmp_path / name)
    model, card = tmp_path / "small.onnx", tmp_path / "card.md"
    assert add_integers.main([str(model), str(folder / "data"), "--card", str(card)]) == 0
    contract, told = read_contract(tmp_path / "small.json"), card.read_text()
    predictor = Predictor.load(model, precision="int8")
    assert predictor.settings()["model_sha256"] == contract.int8_sha256
    assert told == (tmp_path / "small.md").read_text()
    assert "one with 8-bit integers for `--precision int8` |" in told
    assert f"| speed | {contract.scores['slices_per_second']} slices of 256 x 256 a second" in told
    assert f"; {contract.scores['slices_per_second_int8']} with 8-bit integers, OpenVINO |" in told
    before, after = ((place / "small.md").read_text().splitlines() for place in (bundled, tmp_path))
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 2
    assert add_integers.main([str(model), str(folder / "data"), "--card", str(card)]) == 0  # anew
    again = card.read_text().splitlines()
    assert [line for line in again if "speed" not in line] == [line for line in after if "speed" not in line]
    assert read_contract(tmp_path / "small.json").int8_sha256 == contract.int8_sha256


def test_integers_are_learned_from_trained_patients_alone(
    folder: Path, bundled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model that kept patients back for its test, those stay unseen."""
    contract, index = read_contract(bundled / "small.json"), build_index(folder / "data")
    left = {naming.person(index.patients[0].name)}
    some = replace(contract, training=contract.training | {"trained_cases": sorted(left)})
    asked: list[int] = []

    def spy(cache: SliceCache, rows: NDArray[np.int64], **_: object) -> NDArray[np.float32]:
        asked.extend(np.asarray(cache.patients)[rows].tolist())
        return np.zeros((1, 3, 32, 32), np.float32)

    monkeypatch.setattr(add_integers, "choose_examples", spy)
    add_integers.examples_for(some, folder / "data")
    assert set(asked) == {0}


def test_integers_are_learned_from_the_training_data_alone(bundled: Path, tmp_path: Path) -> None:
    others = tiny_index(tmp_path / "others", patients=4)
    with pytest.raises(UsageError, match="not what small was trained on"):
        add_integers.main([str(bundled / "small.onnx"), str(others.root), "--card", str(tmp_path / "card.md")])


def test_results_page_repeats_what_must_be_known(folder: Path, tmp_path: Path) -> None:
    folds = shutil.copytree(folder / "folds", tmp_path / "folds")
    summary = folds / "out-of-fold" / "summary.json"
    values = json.loads(summary.read_text())
    summary.write_text(json.dumps(values | {"caveats": ["the model has seen 2 of these patients"]}))
    config = RunFolder(folds / "fold0").config()
    save_config(replace(config, split=replace(config.split, validation=False)), folds / "fold0" / "config.json")
    make_results("--folds", str(folds), "--out", str(tmp_path / "docs"))
    page = (tmp_path / "docs" / "results.md").read_text()
    assert "never saw it" not in page
    assert "**The model has seen 2 of these patients.**" in page
    assert "not calibrated" in page


def test_results_page_tells_what_the_folds_found(folder: Path, tmp_path: Path) -> None:
    make_results("--folds", str(folder / "folds"), "--out", str(tmp_path))
    page = (tmp_path / "results.md").read_text()
    told = json.loads((folder / "folds" / "out-of-fold" / "summary.json").read_text())
    assert f"{told['scores']['dice_patient']['mean']:.3f}" in page
    assert f"{told['calibration']['tumour_slices']['expected_calibration_error']:.4f}" in page
    for command in ("", " --flair-alone", " --one-by-one"):
        assert f"gliomask evaluate data/kaggle_3m --model {folder / 'folds'}{command}\n" in page
    assert "| sees FLAIR alone |" in page


def test_an_export_keeps_its_temperature_or_fits_it_again(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "fold0"
    shutil.copytree(folder / "folds" / "fold0", run)
    before = read_contract(run / "model.json")
    changed = json.loads((run / "model.json").read_text()) | {"temperature": 3.25}
    (run / "model.json").write_text(json.dumps(changed))
    assert main(["export", str(run), "--quiet"]) == 0
    assert read_contract(run / "model.json").temperature == 3.25
    assert main(["export", str(run), "--data", str(folder / "data"), "--quiet"]) == 0
    assert read_contract(run / "model.json") == before
