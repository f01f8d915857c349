"""Write the tables of measured benchmarks into docs/performance.md, between its marks. Measures nothing.

python -m benchmarks.page
python -m benchmarks.page benchmarks/results/training.json
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, load, table_of
from gliomask.errors import DataError
from gliomask.files import whole_file

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Replace what stands between the marks of each benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="JSON files; by default all in benchmarks/results")
    parser.add_argument("--page", type=Path, default=PAGE, help="page to write into")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    text = options.page.read_text(encoding="utf-8")
    for path in options.files or sorted(RESULTS.glob("*.json")):
        values = load(path)
        text = _put(text, values, options.page)
    with whole_file(options.page) as part:
        part.write_text(text, encoding="utf-8")
    return 0


def _put(text: str, values: dict[str, Any], page: Path) -> str:
    """Put a benchmark's tables between its marks.

    Raises
    ------
    DataError
        If the page has no marks for it.
    """
    name = str(values["benchmark"])
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise DataError(page, f"no marks for {name}", f"one line {begin} and one {end}", "add them where it belongs")
    tables = "\n\n".join(table_of(table).markdown() for table in values["tables"])
    body = f"{begin}\n\n{_origin(values)}\n\n{tables}\n\n{end}"
    return re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: body, text, flags=re.DOTALL)


def _origin(values: dict[str, Any]) -> str:
    """Say when, where and of which code."""
    machine = values["machine"]
    on_gpu = values["settings"].get("device") == "cuda" and values["benchmark"] != "gpu-expected"
    where = machine["gpu"] if on_gpu and machine.get("gpu") else machine["processor"]
    commit = str(machine.get("git_commit") or "-")[:12]
    return (
        f"Measured {values['measured'][:10]} on {where}, {machine['cores']} cores ({machine['cpu_capability']}, "
        f"{machine['threads']} threads), PyTorch {machine['versions']['torch']}, commit {commit}."
    )


if __name__ == "__main__":
    raise SystemExit(main())
