"""What was trained on what, as rows of names and values. Knows no page; of several folds it tells where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gliomask.data.split import PARTS
from gliomask.reporting.report.curves import keeps_last, kept_epoch
from gliomask.reporting.report.sources import Scored, Trained
from gliomask.reporting.report.wording import NONE, plural
from gliomask.reporting.views import shown

Rows = list[tuple[str, str]]
"""Names and values in reading order."""


@dataclass(frozen=True)
class TrainingRow:
    """One training as a row of a table."""

    name: str
    parts: tuple[str, ...]
    epochs: int
    kept: str
    dice: str
    checksums: tuple[tuple[str, str], ...]


def evaluation_rows(scored: Scored) -> Rows:
    """Return what was scored."""
    facts = scored.facts
    threshold = facts.get("threshold")
    size = f"{plural(scored.patients, 'patient')}, {plural(len(scored.evaluation.counts), 'slice')}"
    return [
        ("Scored", f"{facts.get('model') or NONE}, {facts.get('subset') or NONE}"),
        ("Patients and slices", size),
        ("Data", str(facts.get("data") or NONE)),
        ("Data fingerprint", str(facts.get("data_fingerprint") or NONE)),
        *([("Shown to the model", view)] if (view := shown(facts)) is not None else []),
        *([("Precision", str(facts["precision"]))] if facts.get("precision") else []),
        ("Threshold", f"probability {threshold:g}" if threshold is not None else "masks without probabilities"),
        ("Small components", _components(facts.get("smallest_component"))),
        ("Slice spacing", _spacing(facts.get("spacing"), scored.unit)),
    ]


def _components(smallest: float | None) -> str:
    if smallest is None:
        return NONE
    return f"those under {smallest:g} of the largest are left out" if smallest else "all are kept"


def training_rows(runs: Sequence[Trained], scored: Scored) -> Rows:
    """Return what the scored model was trained on and with."""
    same = {run.split.fingerprint for run in runs} == {scored.facts.get("data_fingerprint")}
    fingerprint = _together(runs, [run.split.fingerprint for run in runs])
    epochs = [f"{len(run.metrics)} of {run.config['optimisation']['epochs']}" for run in runs]
    return [
        ("Network", _settings(runs, "{model[model]}")),
        _beginning(runs),
        ("Recipe", _settings(runs, "{recipe}")),
        ("Image size", _settings(runs, "{image_size} x {image_size} pixels")),
        ("Epochs trained", _together(runs, epochs)),
        ("Seed of the training", _settings(runs, "{seed}")),
        ("Split", _together(runs, [_split_kind(run) for run in runs])),
        ("Training data", "the data that was scored, by fingerprint" if same else f"other data, {fingerprint}"),
    ]


def _beginning(runs: Sequence[Trained]) -> tuple[str, str]:
    """Return what the first weights were: a trained model's, or those of the encoder."""
    if all(run.config["model"].get("weights", "none") == "none" for run in runs):
        return "Encoder weights", _settings(runs, "{model[encoder_weights]}")
    share = _together(runs, [f"{run.config['optimisation'].get('start_share', 0):g}" for run in runs])
    kept = "" if share == "0" else f"; what is kept holds {share} of it"
    return "Goes on from", _settings(runs, "{model[weights]}") + kept


def machine_rows(runs: Sequence[Trained]) -> Rows:
    """Return versions, code and hardware."""
    environments = [run.environment for run in runs]
    packages = dict.fromkeys(name for each in environments for name in each.get("versions", {}))
    rows = [(f"Version of {name}", _of_each(runs, ("versions", name))) for name in packages]
    rows += [
        ("Git commit of the code", _of_each(runs, ("git_commit",))),
        ("Processor", _of_each(runs, ("processor",))),
        ("Accelerator", _of_each(runs, ("accelerator",))),
        ("Processor cores", _of_each(runs, ("cores",))),
        ("Operating system", _of_each(runs, ("platform",))),
        ("Precision", _settings(runs, "{hardware[precision]}")),
        ("Started or resumed on (UTC)", _of_each(runs, ("date",))),
    ]
    return [(name, value) for name, value in rows if value != NONE]


def training_table(runs: Sequence[Trained]) -> list[TrainingRow]:
    """Return one row a training: sizes of its parts, epochs, the epoch that was kept, checksums of its networks."""
    rows = []
    for run in runs:
        kept = kept_epoch(run)
        rows.append(
            TrainingRow(
                name=run.name,
                parts=tuple(_part(run, part) for part in PARTS),
                epochs=len(run.metrics),
                kept=str(kept[0]) if kept is not None else str(len(run.metrics)) if keeps_last(run) else NONE,
                dice=NONE if kept is None else f"{kept[1]:.3f}",
                checksums=_checksums(run),
            )
        )
    return rows


def setting_rows(runs: Sequence[Trained]) -> Rows:
    """Return every setting by its name on the command line's sections, as in ``optimisation.epochs``."""
    flat = [_flat(run.config) for run in runs]
    return [(name, _together(runs, [each.get(name, NONE) for each in flat])) for name in flat[0]] if flat else []


def _checksums(run: Trained) -> tuple[tuple[str, str], ...]:
    """Return each exported network's file and its SHA-256."""
    if run.model is None:
        return (("model.onnx", NONE),)
    found = (("model.onnx", run.model.onnx_sha256), ("model.int8.onnx", run.model.int8_sha256))
    return tuple((file, checksum) for file, checksum in found if checksum is not None)


def _part(run: Trained, part: str) -> str:
    entries = run.split.parts[part]
    patients = {entry.partition("/")[0] for entry in entries}
    if any("/" in entry for entry in entries):
        return f"{plural(len(entries), 'slice')} of {plural(len(patients), 'patient')}"
    return plural(len(patients), "patient")


def _split_kind(run: Trained) -> str:
    split = run.split
    what = {
        "patient": "by patient",
        "fold": f"by patient, fold {split.fold} of {split.folds}, counted from 0",
        "slice": "by slice: patients leak from training to test",
        "leak-by-patient": "by patient, for the measurement of the leak",
        "leak-by-slice": "by slice, for the measurement of the leak: patients leak from training to test",
        "buda10": "the ten published test patients, the rest by patient",
    }
    return f"{what.get(split.kind, split.kind)}; seed {split.seed}"


def _spacing(spacing: Sequence[float] | None, unit: str) -> str:
    if spacing is None:
        return "of each patient, in mm" if unit == "mm" else "unknown: distances are in pixels, volumes in voxels"
    return " x ".join(f"{length:g}" for length in spacing) + " mm (slices, rows, columns)"


def _settings(runs: Sequence[Trained], form: str) -> str:
    return _together(runs, [form.format(**run.config) for run in runs])


def _of_each(runs: Sequence[Trained], keys: tuple[str, ...]) -> str:
    values = []
    for run in runs:
        value: Any = run.environment
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        values.append(NONE if value is None else str(value))
    return _together(runs, values)


def _together(runs: Sequence[Trained], values: Sequence[str]) -> str:
    """Return the value that all runs share, or each with the name of its run."""
    if len(set(values)) == 1:
        return values[0]
    return "; ".join(f"{run.name}: {value}" for run, value in zip(runs, values, strict=True))


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = str(value)
    return found
