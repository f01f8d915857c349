"""What is written while a training runs: metrics, weights to keep, resumable state, example overlays.

Knows where files lie (`RunFolder`), nothing of how batches or losses are made.
"""

from __future__ import annotations

import logging
import time

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from torch import Tensor
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from gliomask.data.augmentation import prepare
from gliomask.data.batches import SliceBatch
from gliomask.models.checkpoint import save_weights
from gliomask.training.module import SegmentationModule
from gliomask.training.run_folder import RunFolder

_log = logging.getLogger(__name__)


class RunWriter(Checkpoint):
    """Writes the run folder at the end of every epoch: weights to keep, metrics, then the state to resume from.

    Parameters
    ----------
    run
        Where to write.
    architecture
        Name of the network, kept with the weights.
    first_epoch
        Epoch that the training starts at; rows of metrics.csv from later epochs (of a killed run) are dropped.
    keeps_last
        Whether the weights of every epoch take the place of the earlier ones, or only better ones do.
    """

    def __init__(self, run: RunFolder, architecture: str, first_epoch: int, *, keeps_last: bool) -> None:
        self._run, self._architecture, self._keeps_last = run, architecture, keeps_last
        self._rows = [row for row in run.metrics() if row["epoch"] < first_epoch]
        self._start = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the epoch's files; the state comes last, so what it describes exists."""
        if not isinstance(pl_module, SegmentationModule):
            raise TypeError(f"expected a SegmentationModule, not {type(pl_module).__name__}")
        if trainer.is_global_zero:
            self._write(trainer, pl_module)
        trainer.save_checkpoint(self._run.last)

    def _write(self, trainer: lightning.Trainer, module: SegmentationModule) -> None:
        row = {"epoch": float(trainer.current_epoch), "step": float(trainer.global_step), **module.epoch_metrics}
        row["seconds"] = round(time.perf_counter() - self._start, 2)
        score = row.get("val_dice")  # None where nobody is validated on: then the last epoch is the one to keep
        is_best = score is not None and score > max((past["val_dice"] for past in self._rows), default=-1.0)
        if is_best or score is None or self._keeps_last:
            extra = {"epoch": trainer.current_epoch, "val_dice": score}
            for stale in (
                self._run.contract,
                self._run.model,
                self._run.int8,
            ):  # describes weights that are no longer kept
                stale.unlink(missing_ok=True)
            save_weights(self._run.best, module.averaged_net, name=self._architecture, extra=extra)
        self._rows.append(row)
        self._run.write_metrics(self._rows)
        _log.info(
            "epoch %d of %d: train loss %.4f%s%s, %.0f s",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            row["train_loss"],
            "" if score is None else f", validation Dice {score:.4f}",
            " (best)" if is_best else "",
            row["seconds"],
        )


class OverlayWriter(Callback):
    """Shows a few validation slices in TensorBoard: FLAIR, truth outlined in green, prediction in red.

    Parameters
    ----------
    examples
        Slices to show, unchanged by augmentation.
    """

    def __init__(self, examples: SliceBatch) -> None:
        self._examples = examples

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Predict the examples and write them."""
        writer = getattr(trainer.logger, "experiment", None)
        if not isinstance(writer, SummaryWriter) or not isinstance(pl_module, SegmentationModule):
            return
        batch = self._examples.to(pl_module.device)
        inputs, targets = prepare(batch.images, batch.masks, statistics=batch.volume_statistics)
        logits = pl_module.averaged_net(inputs.contiguous(memory_format=torch.channels_last)).float()
        pictures = overlays(batch.images, targets, logits.sigmoid() >= pl_module.config.threshold)
        writer.add_images("validation/overlay", pictures.cpu(), trainer.global_step)


def overlays(images: Tensor, targets: Tensor, predicted: Tensor) -> Tensor:
    """Draw outlines on FLAIR.

    Parameters
    ----------
    images
        (B, H, W, 3) uint8.
    targets
        (B, 1, H, W) float32, 0 or 1.
    predicted
        (B, 1, H, W) bool.

    Returns
    -------
    Tensor
        (B, 3, H, W) uint8: truth green, prediction red, both yellow.
    """
    pictures = images[..., 1][:, None].repeat(1, 3, 1, 1)
    green, red = _outline(targets), _outline(predicted.float())
    either = green | red
    for channel, line in enumerate((red, green, torch.zeros_like(red))):
        pictures[:, channel] = torch.where(either[:, 0], line[:, 0].to(torch.uint8) * 255, pictures[:, channel])
    return pictures


def _outline(masks: Tensor) -> Tensor:
    """Return the pixels of (B, 1, H, W) masks that touch the outside."""
    return (masks > 0.5) & (F.max_pool2d(1 - masks, 3, stride=1, padding=1) > 0.5)
