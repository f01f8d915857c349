"""``gliomask explore``: figures of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from gliomask.cli.console import OutputOptions, Printer, parse
from gliomask.config import RECIPES, AugmentationConfig, RecipeName
from gliomask.errors import install_command

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ExploreOptions(OutputOptions):
    """Draw the distribution of positive and negative slices, patients, institutions, samples, masks, augmentations."""

    data: tyro.conf.Positional[Path]
    """Folder in the Kaggle layout (see `gliomask index --help`)."""
    out: Path = Path("explore")
    """Folder for the figures."""
    recipe: RecipeName = "default"
    """Recipe whose augmentation is shown."""
    seed: int = 0
    """Chooses the patients and augmentations that are shown."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(ExploreOptions, "explore", arguments)
    from gliomask.reporting.explore import explore

    printer = Printer(options)
    index = printer.read_index(options.data)
    augmented = None
    if find_spec("torch") is None:
        printer.error(f"the sheet of augmentations is left out: torch comes with: {install_command('train')}")
    else:
        augmented = augmenter(RECIPES[options.recipe].augmentation, options.seed)
    paths = explore(index, options.out, augmented=augmented, seed=options.seed)
    printer.line(f"{len(paths)} files in {options.out}: {', '.join(path.name for path in paths)}")
    printer.result({"files": paths})
    return 0


def augmenter(config: AugmentationConfig, seed: int, versions: int = 5) -> Callable[..., list[Any]]:
    """Return what draws a slice's augmented versions, as training would, on the grey scale of the slice."""
    import numpy as np
    import torch

    from gliomask.data.augmentation import augment, draw

    rng = np.random.default_rng(seed)
    unchanged = torch.tensor([0.0, 1.0])[None, :, None].repeat(versions, 1, 3)

    def make(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> list[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
        scale = float(max(image.std(), 1.0))  # intensity changes are in standard deviations
        statistics = unchanged.clone()
        statistics[:, 1] = scale
        planes, targets = augment(
            torch.from_numpy(image.copy()).expand(versions, *image.shape),
            torch.from_numpy(mask.astype(np.uint8)).expand(versions, *mask.shape),
            volume_statistics=statistics,
            slice_statistics=statistics,
            parameters=draw(config, versions, rng),
        )
        pictures = (planes * scale).clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        return [(picture, target[0] > 0.5) for picture, target in zip(pictures, targets.numpy(), strict=True)]

    return make
