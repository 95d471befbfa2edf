"""Leave unreadable images out, loudly, when the user asked for it."""

from rich.console import Console

from boxless.data.images import find_bad_images
from boxless.data.manifest import Manifest

SHOWN = 5


def without_bad_images(manifest: Manifest) -> Manifest:
    """The manifest without images that cannot be decoded; says how many and which.

    Args:
        manifest: The data set.
    """
    bad = find_bad_images(manifest.records, workers=0)
    if not bad:
        return manifest
    console = Console(stderr=True)
    console.print(f"[yellow]leaving out {len(bad)} unreadable image(s)[/] (data.skip_bad):")
    for entry in bad[:SHOWN]:
        console.print(
            f"  {entry.record.path} ({entry.record.source}): {entry.reason}", markup=False
        )
    return manifest.without([entry.record.image_id for entry in bad])
