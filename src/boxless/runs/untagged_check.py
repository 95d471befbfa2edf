"""What images without tags would bring to a data set, and whether test images are among them."""

from dataclasses import dataclass

from boxless.data.images import BadImage, find_bad_images
from boxless.data.leaks import near_duplicates
from boxless.data.manifest import Manifest
from boxless.data.untagged import join_untagged, read_untagged
from boxless.recipe.sections import DataConfig
from boxless.runs.parts import split_parts


@dataclass(frozen=True, slots=True)
class UntaggedReport:
    """What `check_untagged` found.

    Attributes:
        images: Untagged images that a run would learn from.
        left_out: Those that are files of the data set itself, or stand there twice.
        lost: Training images that lose their tags.
        notes: What was skipped in a folder.
        compared_with: Test and held-out images that all of these were compared with; 0 = not
            looked at.
        bad_images: Untagged images that cannot be decoded.
        duplicates: Path of an image without tags, of the test or held-out image that shows the same
            picture, and the split of that.
    """

    images: int
    left_out: int
    lost: int
    notes: tuple[str, ...]
    compared_with: int
    bad_images: tuple[BadImage, ...]
    duplicates: tuple[tuple[str, str, str], ...]


def check_untagged(
    manifest: Manifest, config: DataConfig, spec: str, *, images: bool = True
) -> UntaggedReport:
    """Look over the images that a run would learn from without their tags.

    Args:
        manifest: The data set.
        config: Where untagged images are, and how many training images keep their tags.
        spec: The data set as the user named it.
        images: Also decode them and compare them with test and held-out images.

    Raises:
        DataError: Untagged images are not found, or the data set has no training images.
    """
    notes: list[str] = []
    found = read_untagged(config.untagged, on_note=notes.append) if config.untagged else ()
    joined = join_untagged(manifest, found) if found else manifest
    parts = split_parts(joined, config, spec)
    apart = list(parts.held_out.records) if parts.held_out else []
    apart += [record for record in manifest.records if record.split == "test"]
    pairs = near_duplicates((*parts.lost, *parts.found), apart) if images else []
    return UntaggedReport(
        images=len(parts.found),
        left_out=len(found) - len(parts.found),
        lost=len(parts.lost),
        notes=tuple(notes),
        compared_with=len(apart) if images else 0,
        bad_images=tuple(find_bad_images(parts.found)) if images else (),
        duplicates=tuple((one.path, two.path, two.split) for one, two in pairs),
    )
