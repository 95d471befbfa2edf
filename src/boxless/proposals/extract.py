"""Propose boxes on a whole data set: parallel, resumable, the same bytes on any machine shape."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from itertools import chain, islice

from boxless.errors import ConfigError, DataError, StoreError
from boxless.files.engine import Engine, LocalEngine, not_shared
from boxless.files.launched import available_cores
from boxless.files.lock import held
from boxless.files.paths import AnyPath
from boxless.proposals.index import INDEX_NAME, INPUTS_NAME, StoreInputs
from boxless.proposals.proposer import BoxSource, works_in_process
from boxless.proposals.store import ProposalStore
from boxless.proposals.workers import Outcome, ProposeOne
from boxless.proposals.writer import ProposalWriter
from boxless.types import ImageRecord, UInt8Array

SHARD_SIZE = 1024


def extract(  # noqa: PLR0913  (all are the caller's to decide, and all but three have a keyword)
    records: Sequence[ImageRecord],
    proposer: BoxSource,
    folder: AnyPath,
    *,
    manifest_fingerprint: str,
    load_image: Callable[[str], UInt8Array],
    workers: int = 0,
    engine: Engine | None = None,
    shard_size: int = SHARD_SIZE,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ProposalStore:
    """Fill a proposal store; call again after a kill to carry on.

    A finished store of the same inputs is returned at once; shards of an interrupted call are kept.
    The bytes written depend on images and proposer alone, not on workers or interruptions.

    Args:
        records: Images, each id once.
        proposer: Finds the boxes; picklable if ``workers`` is not 1. Those of a file are checked.
        folder: Where the store is or will be.
        manifest_fingerprint: Hash of the manifest that the records come from.
        load_image: Path -> (H, W, 3) uint8 RGB, a module-level function. A `BoxlessError`,
            ``OSError`` or ``ValueError`` from it marks the image as unreadable.
        workers: Processes; 0 takes all cores, 1 stays in this process.
        engine: Where images are worked on, if not in such processes.
        shard_size: Images per shard.
        skip_bad: Leave unreadable images out and list them in the store's ``skipped``.
        progress: Called with (images done, images in all), first with what was done before.

    Returns:
        The finished store.

    Raises:
        DataError: An image is unreadable (without ``skip_bad``), an id occurs twice, or no image.
        StoreError: The folder is damaged, or belongs to other inputs (names what differs).
        RunError: A worker died, another process fills the store, or workers see no images.
        ConfigError: The proposer works in one process, but an engine is given.
    """
    if shard_size < 1 or workers < 0:
        found = f"found {shard_size} and {workers}"
        raise DataError(f"expected shard_size >= 1 and workers >= 0, {found}")
    ids = _unique_ids(records)
    inputs = StoreInputs(
        proposer.name, dict(proposer.settings), manifest_fingerprint, shard_size, ids
    )
    report = progress or (lambda *_: None)
    if (folder / INDEX_NAME).exists():
        store = _reopen(folder, inputs, skip_bad=skip_bad)
        report(len(ids), len(ids))
        return store
    chosen, one = _engine(engine, proposer, workers, len(ids)), ProposeOne(proposer, load_image)
    one.check(records, skip_bad=skip_bad)
    with held(folder):
        if (folder / INDEX_NAME).exists():  # another process has just finished it
            return _reopen(folder, inputs, skip_bad=skip_bad)
        writer = ProposalWriter(folder, inputs)
        _fill(writer, records, one, chosen, skip_bad=skip_bad, report=report)
        return writer.finish()


def _engine(engine: Engine | None, proposer: BoxSource, workers: int, images: int) -> Engine:
    single = works_in_process(proposer)
    if engine is None:
        return LocalEngine(1 if single else min(workers or available_cores(), images))
    if single:
        raise ConfigError(
            f"the method {proposer.name!r} works in one process of this machine",
            hint="leave --engine away",
        )
    return engine


def _fill(
    writer: ProposalWriter,
    records: Sequence[ImageRecord],
    one: ProposeOne,
    engine: Engine,
    *,
    skip_bad: bool,
    report: Callable[[int, int], None],
) -> None:
    """Write the shards that an earlier call did not."""
    size = writer.inputs.shard_size
    there = [writer.finished(number) for number in range(writer.shard_count)]
    # A shard stays if it is whole and lacks no image that it should have.
    todo = [n for n, lacks in enumerate(there) if lacks is None or (lacks and not skip_bad)]
    shards = [records[number * size : (number + 1) * size] for number in todo]
    done = len(records) - sum(map(len, shards))
    report(done, len(records))
    with closing(_outcomes(list(chain.from_iterable(shards)), one, engine)) as outcomes:
        for number, shard in zip(todo, shards, strict=True):
            found, skipped = [], []
            for record, outcome in zip(shard, islice(outcomes, len(shard)), strict=True):
                if isinstance(outcome, str):
                    skipped.append(_skip(record, outcome, skip_bad=skip_bad))
                else:
                    found.append((record.image_id, outcome))
                done += 1
                report(done, len(records))
            writer.write_shard(number, found, tuple(skipped))


def _outcomes(
    records: Sequence[ImageRecord], one: ProposeOne, engine: Engine
) -> Generator[Outcome]:
    """Outcomes of all images, in order; units may reach from one shard into the next."""
    size = engine.images_per_unit
    units = [records[start : start + size] for start in range(0, len(records), size)]
    for unit, answers in zip(units, engine.map(one.each, units), strict=True):
        for record, outcome in zip(unit, answers, strict=True):
            yield _seen_here(record, outcome, one) if engine.elsewhere else outcome


def _seen_here(record: ImageRecord, outcome: Outcome, one: ProposeOne) -> Outcome:
    """Never take another machine's word that an image is bad: it may only be out of its sight."""
    if not isinstance(outcome, str):
        return outcome
    here = one(record)
    if isinstance(here, str):
        return here
    raise not_shared(record.path, outcome)


def _unique_ids(records: Sequence[ImageRecord]) -> tuple[str, ...]:
    if not records:
        raise DataError("expected images to propose boxes on, found none")
    seen: dict[str, ImageRecord] = {}
    for record in records:
        if record.image_id in seen:
            raise DataError(
                f"image id {record.image_id!r} occurs twice: {seen[record.image_id].path} and "
                f"{record.path}"
            )
        seen[record.image_id] = record
    return tuple(seen)


def _skip(record: ImageRecord, reason: str, *, skip_bad: bool) -> tuple[str, str]:
    if skip_bad:
        return record.image_id, reason
    listed = f", listed in {record.source}" if record.source else ""
    raise DataError(
        f"cannot read image {record.image_id!r} ({record.path}{listed}): {reason}",
        hint="repair or remove it, or leave such images out with --skip-bad",
    )


def _reopen(folder: AnyPath, inputs: StoreInputs, *, skip_bad: bool) -> ProposalStore:
    store = ProposalStore.open(folder)
    difference = store.index.inputs.difference(inputs)
    if difference:
        raise StoreError(
            f"{folder} holds a proposal store of other inputs: {difference}",
            hint="choose another folder, or delete this one",
        )
    if store.skipped and not skip_bad:
        image_id, reason = store.skipped[0]
        raise DataError(
            f"the store {folder} was made without {len(store.skipped)} unreadable images, first "
            f"{image_id!r}: {reason}",
            hint="accept that with --skip-bad, or repair the images, delete the folder and "
            "propose again",
        )
    (folder / INPUTS_NAME).unlink(missing_ok=True)  # killed just before it was removed
    return store
