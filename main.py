"""The original project's options, mapped onto gliomask. ``python main.py --help`` lists them."""

from __future__ import annotations

import argparse
import os

from gliomask.cli.app import main as gliomask
from gliomask.training.environment import is_main_process

MODELS = {"unet": "original-unet", "resnext": "original-resnext"}


def boolean(text: str) -> bool:
    """Read true and false as a person means them."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"{text!r}; expected True or False")
    return known[text.lower()]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the original's options, with their names, types and defaults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--train", type=boolean, default=False, help="train a model")
    parser.add_argument("--test", type=boolean, default=True, help="test the model of this run name")
    parser.add_argument("--view_aug", type=boolean, default=False, help="show the augmentations")
    parser.add_argument("--num_epochs", type=int, default=30, help="passes over the training slices")
    parser.add_argument("--gpus", type=str, default="0", help="GPUs to use, if there are any")
    parser.add_argument("--root_dir", type=str, default="data/kaggle_3m", help="path of the data set")
    parser.add_argument("--run_name", type=str, default="0", help="name of the run, a folder in runs/")
    parser.add_argument("--batch_size", type=int, default=32, help="slices in a batch")
    parser.add_argument("--lr_scheduler", type=boolean, default=False, help="linear warm-up of the learning rate")
    parser.add_argument("--image_path", type=str, default=None, help="a slice to predict")
    parser.add_argument("--model", choices=sorted(MODELS), default="unet", help="network to train")
    parser.add_argument("--encoder_weights", default="imagenet", help="(new) imagenet, none, or a file")
    parser.add_argument("--resume", type=boolean, default=False, help="(new) go on with the training of this run name")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for, in the original's order; stop at the first that fails."""
    options = parse(arguments)
    os.environ["CUDA_VISIBLE_DEVICES"] = options.gpus
    run = f"runs/{options.run_name}"
    schedule = "warmup" if options.lr_scheduler else "none"
    train = ["train", options.root_dir, "--recipe", "original", "--name", options.run_name,
             "--model", MODELS[options.model], "--epochs", str(options.num_epochs),
             "--batch-size", str(options.batch_size), "--lr-scheduler", schedule,
             "--encoder-weights", options.encoder_weights, *["--resume"] * options.resume]  # fmt: skip
    commands = {
        "view_aug": ["explore", options.root_dir, "--out", f"{run}/explore", "--recipe", "original"],
        "train": train,
        "test": ["evaluate", options.root_dir, "--model", run],
        "image_path": [
            "predict",
            str(options.image_path),
            "--model",
            run,
            "--out",
            f"{run}/predictions",
            "--overwrite",
        ],
    }
    wanted = [command for name, command in commands.items() if getattr(options, name)]
    if not is_main_process():  # one of several processes that train together
        wanted = [train] if options.train else []
    return next((status for command in wanted if (status := gliomask(command))), 0)


if __name__ == "__main__":
    raise SystemExit(main())
