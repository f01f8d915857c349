"""``gliomask index``: what is in a folder, and what is wrong with it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from gliomask.cli.console import OutputOptions, Printer, parse
from gliomask.files import whole_file

if TYPE_CHECKING:
    from gliomask.data.index import DatasetIndex


@dataclass(frozen=True, kw_only=True)
class IndexOptions(OutputOptions):
    """List the patients of a folder of slices, and every problem with its cure (exit status 1 if there is any)."""

    data: tyro.conf.Positional[Path]
    """Folder in the Kaggle layout: PATIENT/PATIENT_<n>.tif (or .png) and PATIENT_<n>_mask.tif, with any name of the
    patients; perhaps a data.csv with a column Patient."""
    out: Path | None = None
    """Write the table of patients to this CSV file."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(IndexOptions, "index", arguments)
    from gliomask.data.index import build_index, index_table

    printer = Printer(options)
    with printer.progress("reading slices") as progress:
        index = build_index(options.data, progress=progress)
    facts = _facts(index)
    rows = [
        (p.name, p.institution, len(p.slices), p.tumour_slices, p.tumour_pixels, "+".join(p.missing) or "-")
        for p in index.patients
    ]
    columns = ("patient", "institution", "slices", "with tumour", "tumour pixels", "missing")
    printer.table(str(options.data), columns, rows)
    for name, value in facts.items():
        printer.line(f"{name.replace('_', ' '):<24}{value}")
    for problem in index.problems:
        printer.error(f"{problem.path}: {problem.found}; expected {problem.expected}; {problem.cure}")
    printer.line(f"{len(index.problems)} problems" if index.problems else "no problems")
    if options.out is not None:
        with whole_file(options.out) as part:
            index_table(index).to_csv(part, index=False)
    printer.result(facts | {"problems": [dataclasses.asdict(problem) for problem in index.problems]})
    return 1 if index.problems else 0


def _facts(index: DatasetIndex) -> dict[str, Any]:
    sizes = Counter(f"{r.height}x{r.width}" for p in index.patients for r in p.slices)
    return {
        "patients": len(index.patients),
        "slices": index.slice_count,
        "slices_with_tumour": index.tumour_slice_count,
        "slices_without_tumour": index.slice_count - index.tumour_slice_count,
        "size": ", ".join(sizes),
        "channels": "pre-contrast T1, FLAIR, post-contrast T1",
        "institutions": ", ".join(f"{k} {n}" for k, n in Counter(p.institution for p in index.patients).most_common()),
        "missing_pre": sum("pre" in p.missing for p in index.patients),
        "missing_post": sum("post" in p.missing for p in index.patients),
        "with_clinical_data": sum(bool(p.clinical) for p in index.patients),
        "fingerprint": index.fingerprint,
    }
