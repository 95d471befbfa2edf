"""Read a run's images: who is trained on with tags, who without them, and who is set apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from boxless.data.few_tags import keep_one_tag, keep_tags
from boxless.data.images import find_bad_images
from boxless.data.manifest import Manifest
from boxless.data.sources import load_manifest
from boxless.data.untagged import UNTAGGED, join_untagged, read_untagged
from boxless.errors import DataError
from boxless.files.console import plain_console
from boxless.recipe.schema import Recipe
from boxless.recipe.sections import DataConfig
from boxless.types import UNKNOWN, ImageRecord

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


HELD_OUT = "val"
"""Split that is the held-out part, where the data set has one."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A data set, dealt out.

    Attributes:
        train: Images that are trained on with their tags.
        held_out: Images with tags that are never trained on; None = there are none.
        lost: Training images that become untagged, with the tags that they had.
        found: Images that never had any: those of `DataConfig.untagged`.
    """

    train: Manifest
    held_out: Manifest | None
    lost: tuple[ImageRecord, ...]
    found: tuple[ImageRecord, ...]

    def pool(self, left_out: frozenset[str] = frozenset()) -> Manifest:
        """Images with tags, then those without, all of whose tags are unknown.

        Args:
            left_out: Ids of untagged images that are not to be trained on.
        """
        others = [r for r in (*self.lost, *self.found) if r.image_id not in left_out]
        unknown = (UNKNOWN,) * len(self.train.classes)
        hidden = (replace(record, labels=unknown, boxes=None) for record in others)
        return replace(self.train, records=(*self.train.records, *hidden))

    def oracle(self, pool: Manifest, elsewhere: Mapping[str, tuple[int, ...]]) -> Manifest:
        """The pool with the true tags of its untagged images.

        Args:
            pool: Of `pool`.
            elsewhere: Tags of `found` by id.

        Raises:
            DataError: There are no untagged images, or the tags of one are not known.
        """
        known = {record.image_id: record.labels for record in self.lost} | dict(elsewhere)
        hidden = pool.records[len(self.train) :]
        without = [r for r in hidden if set(known.get(r.image_id, ())) <= {UNKNOWN}]
        if without or not hidden:
            first = f", first {without[0].path}" if without else ""
            raise DataError(
                "the method 'oracle' learns the true tags of the untagged images; expected some,"
                f" found {len(hidden):,} images, {len(without):,} of them without true tags{first}",
                hint="name a data set with the same classes as untagged images, such as"
                " --untagged voc:DIR, or leave 'oracle' out of --methods",
            )
        told = (replace(record, labels=known[record.image_id]) for record in hidden)
        return replace(pool, records=(*self.train.records, *told))


def no_split(spec: str, wanted: str, found: Sequence[str]) -> DataError:
    """The error for a data set without training or test images."""
    lists = spec.startswith(("list:", "nus-wide:"))
    hint = f"say which images are meant: {spec},{wanted}={'FILE' if lists else 'NAME'}"
    if wanted == "test" and not lists:
        hint += f"; or draw a fifth of them: {spec},test=20%"
    return DataError(
        f"{spec} has no split named {wanted!r}, only {', '.join(map(repr, found))}", hint=hint
    )


def split_parts(manifest: Manifest, config: DataConfig, spec: str) -> Parts:
    """Deal a data set out: the held-out part first, from what is left the images with tags.

    So the held-out part does not shrink with `DataConfig.tags`: its tags come on top. With
    `DataConfig.single_positive` its images keep one tag each like those trained on, for nothing may
    be chosen by tags that training lacks.

    Args:
        manifest: The data set, joined with its untagged images.
        config: Sizes and seeds.
        spec: The data set as the user named it.

    Raises:
        DataError: There is no split ``train``, or it has fewer images than are to keep their tags.
    """
    if "train" not in manifest.split_names:
        raise no_split(spec, "train", manifest.split_names)
    train = manifest.split("train")
    if config.limit and config.limit < len(train):
        train = train.without(train.image_ids[config.limit :])
    held_out: Manifest | None = None
    if HELD_OUT in manifest.split_names and config.held_out:
        held_out = manifest.split(HELD_OUT)
    elif config.held_out:
        train, held_out = train.holdout(config.held_out, seed=config.seed)
    lost: tuple[ImageRecord, ...] = ()
    if config.tags:
        train, lost = keep_tags(train, config.tags, seed=config.tags_seed)
    if config.single_positive:
        train = keep_one_tag(train, seed=config.tags_seed)
        held_out = held_out and keep_one_tag(held_out, seed=config.tags_seed)
    known = config.untagged and UNTAGGED in manifest.split_names
    found = manifest.split(UNTAGGED).records if known else ()
    return Parts(train, held_out, lost, found)
