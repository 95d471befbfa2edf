"""Read a run's images: the data set, and the untagged ones beside it."""

from dataclasses import replace

from boxless.data.images import find_bad_images
from boxless.data.manifest import Manifest
from boxless.data.sources import load_manifest
from boxless.data.untagged import join_untagged, read_untagged
from boxless.files.console import plain_console
from boxless.recipe.schema import Recipe

SHOWN = 5


def read_images(spec: str, recipe: Recipe) -> Manifest:
    """The data set of a run, its untagged images in a split of their own.

    Args:
        spec: The data set.
        recipe: Says where untagged images are, and whether unreadable ones are left out.

    Raises:
        DataError: An image, a table or a folder has something wrong.
    """
    config, manifest = recipe.data, load_manifest(spec)
    if config.untagged:
        notes: list[str] = []
        found = read_untagged(config.untagged, on_note=notes.append)
        manifest = join_untagged(manifest, found)
        manifest = replace(manifest, notes=(*manifest.notes, *notes))
    return without_bad_images(manifest) if config.skip_bad else manifest


def without_bad_images(manifest: Manifest) -> Manifest:
    """The manifest without images that cannot be decoded; says how many and which."""
    bad = find_bad_images(manifest.records, workers=0)
    if not bad:
        return manifest
    console = plain_console(stderr=True)
    told = f"leaving out {len(bad)} unreadable image(s) (data.skip_bad):"
    console.print(told, style="yellow")
    for entry in bad[:SHOWN]:
        console.print(f"  {entry.record.path} ({entry.record.source}): {entry.reason}")
    return manifest.without([entry.record.image_id for entry in bad])
