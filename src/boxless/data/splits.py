"""Which part an image belongs to: train, val (held out) or test, however a data set says it."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from boxless.data.options import Options
from boxless.errors import DataError
from boxless.types import ImageRecord

TEST_PERCENT = 20
"""Share of the images that become the test split where a data set has no splits."""

_NAMES = {
    **dict.fromkeys(("train", "training", "trn", "trainval", "trainset", "trainingset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "development"), "val"),
    **dict.fromkeys(("eval", "evaluation", "valset", "validationset", "holdout", "heldout"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "testset", "publictest", "privatetest"), "test"),
}


def split_name(text: str) -> str | None:
    """``train``, ``val`` or ``test`` for what people call these; None for other words.

    Numbers behind the word do not count: ``train2017``, ``test_0``.
    """
    word = "".join(char for char in text.casefold() if char.isalnum())
    return _NAMES.get(word.rstrip("0123456789"))


def settle_splits(
    records: Sequence[ImageRecord], options: Options
) -> tuple[list[ImageRecord], list[str]]:
    """Give every image a split of a known name, where what its data set says can be understood.

    Other names are kept. Where there is no test part, a held-out part takes its place. Images whose
    data set says nothing are drawn by a hash of their ids, the same ones everywhere.

    Args:
        records: Images with what their data set says; "" where it says nothing.
        options: ``train=``, ``val=`` and ``test=`` say which of the names mean these, as in
            ``test=fold4``; ``test=20%`` draws a test part.

    Returns:
        The images, and what was decided.

    Raises:
        DataError: A name that was asked for does not occur, or the images are too few to draw from.
    """
    said = list(dict.fromkeys(record.split for record in records))
    drawn = options.text("test") if (options.text("test") or "").endswith("%") else None
    meanings = _meanings(said, options, drawn=drawn is not None)
    notes = [
        f"split {name!r} is {meaning}"
        for name, meaning in meanings.items()
        if meaning != name and name
    ]
    settled = [replace(r, split=meanings[r.split]) if r.split else r for r in records]
    parts = Counter(record.split for record in settled)
    notes += [
        f"split {name!r} is neither trained on nor evaluated ({count} images)"
        for name, count in parts.items()
        if name not in ("", "train", "val", "test")
    ]
    if "train" in parts and "val" in parts and "test" not in parts and drawn is None:
        notes.append("no test images: the split val is the test part")
        settled = [replace(r, split="test") if r.split == "val" else r for r in settled]
    if "" in parts or drawn is not None:
        percent = _percent(drawn, options.prefix) if drawn else TEST_PERCENT
        settled = _drawn(settled, percent)
        notes.append(
            f"no split in the data: {100 - percent} % train and {percent} % test, by a hash of the "
            "path"
            if "" in parts
            else f"{percent} % of the training images are the test part, by a hash of the path"
        )
    return settled, notes


def _meanings(said: Sequence[str], options: Options, *, drawn: bool) -> dict[str, str]:
    meanings = {name: split_name(name) or name.strip() for name in said}
    for part in ("train", "val", "test"):
        if part == "test" and drawn:
            continue
        for name in options.names(part, said):
            meant = [other for other in said if other == name or split_name(other) == name]
            if not meant:
                raise DataError(
                    f"{options.prefix}: {part}={name} names no split, found "
                    f"{', '.join(map(repr, filter(None, said))) or 'none'}",
                    hint=_advice(part, name),
                )
            meanings |= dict.fromkeys([name] if name in said else meant, part)
    if any(options.text(part) for part in ("val", "test")) and "train" not in meanings.values():
        asked = {n for part in ("val", "test") for n in options.names(part, said)}
        meanings |= {name: "train" for name in said if name not in asked and name}
    return meanings


def _advice(part: str, name: str) -> str:
    """What to write where a share or a file was meant."""
    number = name.rstrip("% ").replace(".", "", 1)
    if number.isdecimal():
        return "a share of the images is drawn by test=20%, and for the test part only"
    if part == "train" and Path(name).suffix:
        return "the file before the options holds the training images; val= and test= name others"
    return ""


def _percent(text: str, prefix: str) -> int:
    number = text.rstrip("% ")
    if not number.isdecimal() or not 0 < int(number) < 100:
        raise DataError(f"expected {prefix}: test as a share from 1% to 99%, found {text!r}")
    return int(number)


def _drawn(records: Sequence[ImageRecord], percent: int) -> list[ImageRecord]:
    """Draw the test part by a hash of the ids; at least one image where there are two."""
    hashes = {r.image_id: _hash(r.image_id) for r in records if r.split in ("", "train")}
    if len(hashes) < 2:
        raise DataError(
            f"{records[0].source}: {len(records)} images are too few to split by themselves",
            hint="say which are for testing; in a table by a column 'split' with train or test",
        )
    test = {image_id for image_id, value in hashes.items() if value % 100 < percent}
    if len(test) in (0, len(hashes)):
        order = sorted(hashes, key=hashes.__getitem__)
        test = set(order[: max(1, len(order) * percent // 100)])
    return [
        replace(record, split="test" if record.image_id in test else "train")
        if record.image_id in hashes
        else record
        for record in records
    ]


def _hash(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
