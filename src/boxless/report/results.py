"""`results.json`: everything a run found out, as one validated value.

The report reads nothing else, so a results file alone is enough to draw it again. The fields
are described in ``docs/results-schema.md``.
"""

import json
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from boxless.errors import RunError
from boxless.files.atomic import write_atomically
from boxless.methods.table import PLAIN
from boxless.report.part import (
    Count,
    Fraction,
    Interval,
    MapLocalization,
    Part,
    Points,
    Seconds,
    Shipped,
)
from boxless.report.variants import VariantResult

SCHEMA: Final = 3
TEACHER: Final = "teacher"


class Data(Part):
    """The data set of the run.

    Attributes:
        spec: What the user named, such as ``"voc:DIR"``.
        name: Short name.
        fingerprint: Hash of the manifest.
        classes: K class names.
        images: Number of images of each part: ``train``, ``held_out``, ``test``, and ``untagged``
            where there are some.
        train_positives: K numbers of training images that carry the class.
    """

    spec: str
    name: str
    fingerprint: str
    classes: tuple[str, ...] = Field(min_length=1)
    images: dict[str, Count]
    train_positives: tuple[Count, ...]


class Gain(Part):
    """What distillation changed, distilled minus plain, in fractions.

    Attributes:
        map: mAP with its paired interval.
        per_seed: One mAP difference for each seed that both variants have.
        per_class: K differences of AP; None for a class without positives.
    """

    map: Interval
    per_seed: tuple[Points, ...]
    per_class: tuple[Points | None, ...]


class Profile(Part):
    """Where the time of a training step's updates went.

    Attributes:
        updates: Updates that were measured.
        milliseconds: Mean of one update by part, such as ``"loader"`` or ``"region loss"``.
    """

    updates: Count
    milliseconds: dict[str, Seconds]

    @property
    def total(self) -> float:
        """Mean milliseconds of a whole update."""
        return sum(self.milliseconds.values())


class Step(Part):
    """One step of the run.

    Attributes:
        name: Its folder.
        seconds: Wall time.
        status: ``done``, ``skipped``, ...
        profile: Where its time went, or None where that was not measured.
    """

    name: str
    seconds: Seconds
    status: str
    profile: Profile | None = None


class RecallRow(Part):
    """Recall of one set of boxes at one overlap.

    Attributes:
        name: Whose boxes, such as ``"edge_boxes"`` or ``"random"``.
        iou: A true box counts as covered from this overlap on.
        recalls: One value for each of the table's ``counts``.
    """

    name: str
    iou: Fraction
    recalls: tuple[Fraction, ...]


class Recall(Part):
    """How many true boxes the proposals cover.

    Attributes:
        images: Images measured.
        objects: True boxes in them.
        counts: Numbers of best boxes per image that were considered.
        rows: One row for each set of boxes and overlap.
    """

    images: Count
    objects: Count
    counts: tuple[Count, ...]
    rows: tuple[RecallRow, ...]

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        for row in self.rows:
            _same_length(f"recall of {row.name}", row.recalls, self.counts, "counts")
        return self


class Results(Part):
    """A whole run; the layout of ``results.json``.

    Attributes:
        schema_: Version of the layout; the key is ``schema``.
        boxless: Version of the package that wrote it.
        created: ISO 8601 time.
        recipe: Resolved settings; ``name`` names the recipe.
        data: The data set.
        method: The run's own method; its students are the distilled ones.
        variants: Teacher and students by key: ``teacher``, METHOD, or METHOD@SIZE where the input
            size is not the recipe's.
        gain: The run's own method against ``plain``, or None where one of them is missing.
        gains: The same for every further method.
        oracle_share: Part of the gain of the method ``oracle`` that the own method reaches, which
            may be below 0 or above 1; None without that method, or where it gains nothing.
        shipped: Which student is in ``export/student.onnx``, and why.
        steps: Steps in the order they ran.
        environment: Versions and machine.
        recall: Recall of the proposals, or None where the data set has no boxes.
        localization: What distillation changes in localization by class maps, or None likewise.
    """

    schema_: Literal[3] = Field(default=SCHEMA, alias="schema")
    boxless: str
    created: str
    recipe: dict[str, Any]
    data: Data
    method: str
    variants: dict[str, VariantResult] = Field(min_length=1)
    gain: Gain | None = None
    gains: dict[str, Gain] = Field(default_factory=dict)
    oracle_share: float | None = None
    shipped: Shipped | None = None
    steps: tuple[Step, ...] = ()
    environment: dict[str, Any] = Field(default_factory=dict)
    recall: Recall | None = None
    localization: MapLocalization | None = None

    @model_validator(mode="after")
    def _everything_has_k_values(self) -> Self:
        classes = self.data.classes
        _same_length("data.train_positives", self.data.train_positives, classes)
        for key, variant in self.variants.items():
            for seed in variant.seeds:
                where = f"variants.{key}, seed {seed.seed}: per_class_ap"
                _same_length(where, seed.metrics.per_class_ap, classes)
                if seed.calibration is not None:
                    where = f"variants.{key}, seed {seed.seed}: calibration"
                    _same_length(f"{where}.temperatures", seed.calibration.temperatures, classes)
                    _same_length(f"{where}.thresholds", seed.calibration.thresholds, classes)
            if variant.localization is not None:
                found = variant.localization
                _same_length(f"variants.{key}: detection AP", found.per_class_detection_ap, classes)
                _same_length(f"variants.{key}: CorLoc", found.per_class_corloc, classes)
        for key, gain in self._all_gains().items():
            what = "gain" if key == self.method else f"gains.{key}"
            _same_length(f"{what}.per_class", gain.per_class, classes)
            missing = [variant for variant in (PLAIN, key) if variant not in self.variants]
            if missing:
                raise ValueError(
                    f"{what} is given, but the variant {missing[0]!r} is not in variants"
                )
        return self

    def _all_gains(self) -> dict[str, Gain]:
        return self.gains | ({} if self.gain is None else {self.method: self.gain})

    def gain_of(self, variant: str) -> Gain | None:
        """What a variant gains over the plain student; None where that was not measured."""
        return self._all_gains().get(variant)

    @property
    def recipe_name(self) -> str:
        """Name of the recipe, or ``"unnamed"``."""
        return str(self.recipe.get("name", "unnamed"))


def _same_length(
    what: str, found: tuple[Any, ...], wanted: tuple[Any, ...], name: str = "classes"
) -> None:
    if len(found) != len(wanted):
        raise ValueError(f"{what} has {len(found)} values, but there are {len(wanted)} {name}")


def parse_results(value: Any, *, source: str = "results") -> Results:
    """Validate a results dictionary.

    Args:
        value: Decoded JSON.
        source: Where it came from, for the message.

    Returns:
        The validated results.

    Raises:
        RunError: The schema is another one, or a field is missing, unknown or out of range.
    """
    found = value.get("schema") if isinstance(value, dict) else None
    if found != SCHEMA:
        raise RunError(
            f"{source}: expected results of schema {SCHEMA}, found schema {found!r}",
            hint="finish the run with this version of boxless, or use the version that wrote it",
        )
    try:
        return Results.model_validate(value)
    except ValidationError as error:
        faults = [_fault(item) for item in error.errors()]
        more = f"\n  and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise RunError(
            f"{source}: does not fit the results schema\n  " + "\n  ".join(faults[:5]) + more,
            hint="docs/results-schema.md describes every field",
        ) from error


def _fault(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "results"
    found = item["input"]
    shown = "" if isinstance(found, dict | Results) else f" (found {found!r:.60})"
    return f"{where}: {item['msg'].removeprefix('Value error, ')}{shown}"


def read_results(path: Path) -> Results:
    """Read and validate ``results.json``.

    Returns:
        The validated results.

    Raises:
        RunError: The file is absent, is not JSON, or does not fit the schema.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(
            f"{path}: cannot read the results: {error}",
            hint="name the folder of a run that has reached its evaluation",
        ) from error
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise RunError(
            f"{path}:{error.lineno}: expected JSON: {error.msg}",
            hint="the file was changed by hand; run the evaluation again",
        ) from error
    return parse_results(value, source=str(path))


def write_results(path: Path, results: Results) -> None:
    """Write ``results.json`` atomically; `read_results` gives an equal value back.

    Raises:
        RunError: The file cannot be written.
    """
    value = results.model_dump(mode="json", by_alias=True)
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, text.encode())
