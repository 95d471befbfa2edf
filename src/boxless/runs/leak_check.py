"""Refuse to train on what will be tested on."""

from rich.console import Console

from boxless.data.leaks import shared_images
from boxless.errors import DataError
from boxless.runs.context import Run

SHOWN = 3


def refuse_leaks(run: Run) -> None:
    """Compare the images of train with those of every other split, byte by byte.

    Args:
        run: The run; with ``run.leaks = "allow"`` it is warned instead.

    Raises:
        DataError: Images stand in both, and the run does not allow it.
    """
    train = run.manifest.split("train").records
    for name in run.manifest.split_names:
        if name == "train":
            continue
        pairs = shared_images(train, run.manifest.split(name).records)
        if not pairs:
            continue
        shown = "".join(
            f"\n  {one.path} ({one.source}) and {two.path}" for one, two in pairs[:SHOWN]
        )
        told = f"in 'train' and in {name!r} with the very same bytes: {len(pairs):,} image(s)"
        if run.recipe.run.leaks == "allow":
            Console(stderr=True).print(f"warning: {told}{shown}", markup=False, soft_wrap=True)
            continue
        raise DataError(
            f"{told}{shown}",
            hint="figures on them would tell nothing: take them out of one split (`boxless data"
            " check` lists them all), or accept it with --run.leaks allow",
        )
