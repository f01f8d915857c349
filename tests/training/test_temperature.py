"""Probabilities are divided by a temperature that is fitted on patients the weights do not know."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from builders import write_known_model
from gliomask.data import naming
from gliomask.data.cache import open_cache
from gliomask.inference.predictor import Predictor
from gliomask.models.contract import read_contract, write_contract
from gliomask.training import fit as fit_module
from gliomask.training import learned
from gliomask.training.beginning import Beginning, save_beginning
from gliomask.training.learned import learn
from gliomask.training.temperature import fit_temperature
from tiny_runs import tiny_config, tiny_index, train, use_tiny_net


def test_the_temperature_is_fitted_on_those_the_model_was_not_trained_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that the others choose the epoch is said; if nobody is left, the model's temperature stays."""
    caplog.set_level("WARNING", logger="gliomask")
    use_tiny_net(monkeypatch)
    index = tiny_index(tmp_path / "data", patients=30)
    run = train(index, replace(tiny_config(epochs=1)), tmp_path / "run")
    validated = sorted(naming.person(name) for name in run.split().patients(index, "validation"))
    assert len(validated) == 3
    assert "validation patients were trained on" not in caplog.text
    fit_module._tell_of_known(index, run.split(), Beginning(trained_cases=tuple(validated[:2])))
    assert "2 of 3 validation patients were trained on by the model" in caplog.text
    cache, looked_at = open_cache(index, run.config().image_size), []

    def remembered(_net: object, _cache: object, rows: NDArray[np.int64], _normalisation: object) -> float | None:
        looked_at.append({naming.person(index.patients[cache.patients[row]].name) for row in rows})
        return 0.5 if len(rows) else None

    monkeypatch.setattr(learned, "network_temperature", remembered)
    for known in range(4):
        save_beginning(Beginning(temperature=1.75, trained_cases=tuple(validated[:known])), run)
        assert learn(run, cache, index).temperature == (0.5 if known < 3 else 1.75)
        assert looked_at[-1] == set(validated[known:])


@settings(max_examples=20, deadline=None)
@given(st.floats(0.3, 4.0), st.integers(0, 1000))
def test_a_temperature_that_was_applied_is_found_again(temperature: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(40_000, generator=generator)
    targets = (torch.rand(len(logits), generator=generator) < logits.sigmoid()).float()
    assert fit_temperature(logits * temperature, targets) == pytest.approx(temperature, rel=0.1)


def test_temperature_changes_probabilities_and_not_the_mask(tmp_path: Path) -> None:
    model = write_known_model(tmp_path)
    levels = np.arange(32 * 32, dtype=np.int64).reshape(1, 32, 32) % 256
    images = np.repeat(levels[..., np.newaxis], 3, axis=3).astype(np.uint8)
    sharp = Predictor.load(model).predict(images)
    write_contract(replace(read_contract(model.with_suffix(".json")), temperature=3.0), model.with_suffix(".json"))
    soft = Predictor.load(model).predict(images)
    clear = levels != 100  # probability one half is at the mercy of rounding
    assert np.array_equal(sharp.mask[clear], soft.mask[clear])
    odds = [np.log(each.probabilities / (1 - each.probabilities))[np.abs(levels - 100) < 40] for each in (sharp, soft)]
    assert np.allclose(odds[0], 3 * odds[1], atol=1e-3)


def test_a_model_of_the_first_format_has_temperature_one(tmp_path: Path) -> None:
    path = write_known_model(tmp_path).with_suffix(".json")
    values = json.loads(path.read_text())
    del values["temperature"], values["smallest_component"]
    path.write_text(json.dumps(values | {"format_version": 1}))
    assert read_contract(path).temperature == 1
    assert read_contract(path).smallest_component == 0
