"""A training state is read back as it was written, damage is noticed, and nothing in the file can run."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from builders import full_disk
from gliomask.errors import ModelFileError
from gliomask.training.state import SafetensorsCheckpointIO, decode, encode, load_state, save_state

TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
KEYS = st.one_of(st.text("ab/~0:", max_size=4), st.integers(-2, 20), st.booleans(), st.none())
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(),
        st.builds(
            lambda shape, dtype, value: torch.full(shape, value, dtype=dtype),
            st.lists(st.integers(0, 3), max_size=3).map(tuple),
            st.sampled_from(TYPES),
            st.integers(0, 1),
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Say whether two states are equal in values and types, keys included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        keys = [(type(key), key) for key in one]
        return keys == [(type(key), key) for key in other] and same(list(one.values()), list(other.values()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@given(value=VALUES)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_any_nested_state_survives_encoding(value: Any) -> None:
    tensors: dict[str, Tensor] = {}
    assert same(decode(encode(value, tensors), tensors), value)


@given(value=st.dictionaries(KEYS, VALUES, max_size=3))
@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_nested_state_survives_a_file(tmp_path: Path, value: dict[Any, Any]) -> None:
    save_state(value, tmp_path / "state.safetensors")
    assert same(load_state(tmp_path / "state.safetensors"), value)


def test_names_that_look_alike_do_not_meet() -> None:
    value = {"a/b": torch.tensor(1), "a": {"b": torch.tensor(2)}, 0: torch.tensor(3), "0": torch.tensor(4)}
    tensors: dict[str, Tensor] = {}
    assert same(decode(encode(value, tensors), tensors), value)


def test_state_of_an_optimiser_survives_a_file(tmp_path: Path) -> None:
    net = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    save_state({"optimiser": optimiser.state_dict()}, tmp_path / "state.safetensors")
    assert same(load_state(tmp_path / "state.safetensors")["optimiser"], optimiser.state_dict())


def test_numbers_that_are_none_survive_a_file(tmp_path: Path) -> None:
    save_state({"best": -math.inf, "worst": math.nan}, tmp_path / "state.safetensors")
    loaded = load_state(tmp_path / "state.safetensors")
    assert loaded["best"] == -math.inf
    assert math.isnan(loaded["worst"])


def test_what_is_saved_does_not_change_with_the_net(tmp_path: Path) -> None:
    tensor = torch.zeros(3)
    tensors: dict[str, Tensor] = {}
    encoded = encode({"weights": tensor, "tied": tensor, "turned": torch.ones(2, 3).T}, tensors)
    tensor.fill_(1)
    decoded = decode(encoded, tensors)
    assert not decoded["weights"].any()
    assert decoded["tied"].data_ptr() != decoded["weights"].data_ptr()
    assert decoded["turned"].shape == (3, 2)


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes", lambda: None, 1j])
def test_anything_else_is_refused_with_its_place(tmp_path: Path, value: object) -> None:
    with pytest.raises(TypeError, match=r"callbacks/0 is a .*, which a training state cannot hold"):
        save_state({"callbacks": [value]}, tmp_path / "state.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 0.5, 0.99])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "last.safetensors"
    save_state({"weights": torch.zeros(1000), "epoch": 3}, path)
    os.truncate(path, int(kept if kept == int(kept) else kept * path.stat().st_size))
    with pytest.raises(ModelFileError, match=r"last\.safetensors: not a training state"):
        load_state(path)


@pytest.mark.parametrize("metadata", [None, {"other": "{}"}, {"gliomask_training_state": "{"}])
def test_another_file_is_refused_by_name(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "best.safetensors"
    save_file({"weights": torch.zeros(3)}, path, metadata=metadata)
    with pytest.raises(ModelFileError, match=r"best\.safetensors: not a training state"):
        load_state(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"absent\.safetensors: not a training state"):
        load_state(tmp_path / "absent.safetensors")


def test_there_is_no_pickle_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_state({"weights": torch.arange(300), "epoch": 3, "kinds": (1, [None])}, path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert content[8:9] == b"{"
    assert len(content) == 8 + length + 300 * 8  # a JSON header and raw tensors, nothing else
    assert content[8 + length :] == torch.arange(300).numpy().tobytes()


def test_a_failed_write_leaves_the_state_before(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    save_state({"epoch": 1}, path)

    with full_disk(), pytest.raises(OSError, match="cannot be written") as caught:
        save_state({"epoch": 2, "weights": torch.ones(10_000)}, path)
    assert caught.value.filename == str(path)
    assert load_state(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_lightning_writes_reads_and_removes_through_it(tmp_path: Path) -> None:
    path, door = tmp_path / "last.safetensors", SafetensorsCheckpointIO()
    door.save_checkpoint({"epoch": 1, "weights": torch.ones(2)}, str(path))
    assert same(load_state(path), {"epoch": 1, "weights": torch.ones(2)})
    assert same(door.load_checkpoint(path), load_state(path))
    door.remove_checkpoint(path)
    door.remove_checkpoint(path)
    assert not path.exists()
