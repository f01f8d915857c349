"""What the result of a volume is called: after its file or folder, and after folders above where two are alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath


def place_of(path: Path) -> PurePosixPath:
    """Return a path with the slashes that zips have, too."""
    return PurePosixPath(path.as_posix())


def stem(place: PurePosixPath) -> str:
    """Return the last part of a place without the endings of images and archives."""
    return re.sub(r"(\.nii(\.gz)?|\.zip|\.dcm)$", "", place.name, flags=re.IGNORECASE) or "study"


def own_names(found: Sequence[tuple[str, PurePosixPath]]) -> list[str]:
    """Put folders before names that several have, as many as it takes; the names and places are those of volumes."""
    names = [[name] for name, _ in found]
    above = [[part for part in place.parent.parts if part != "/"] for _, place in found]
    while longer := [number for number in _shared(names) if above[number]]:
        for number in longer:
            names[number].insert(0, above[number].pop())
    return ["_".join(parts) for parts in names]


def _shared(names: Sequence[Sequence[str]]) -> list[int]:
    """Return the numbers of the names that others have, too."""
    counts = Counter("_".join(parts) for parts in names)
    return [number for number, parts in enumerate(names) if counts["_".join(parts)] > 1]
