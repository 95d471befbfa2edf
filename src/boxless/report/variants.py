"""The variants of a run: what each compared model reached, seed by seed.

All rates are fractions in [0, 1]; only tables and plots turn them into percent.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any, Final, Self

from pydantic import Field, computed_field, model_validator

from boxless.report.part import (
    CalibrationFigures,
    Count,
    Fraction,
    Part,
    Seconds,
    SeedCalibration,
    SeedMapLocalization,
)


def mean_or_none(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are not None; None where there is none."""
    known = [value for value in values if value is not None]
    return mean(known) if known else None


class F1(Part):
    """Precision, recall and F1 of one way to turn probabilities into labels.

    Attributes:
        cp: Mean precision over classes.
        cr: Mean recall over classes.
        f1_c: Mean of the classes' F1 (the paper's F1-C).
        cf1: Harmonic mean of ``cp`` and ``cr`` (CF1 of other papers).
        op: Precision over all decisions.
        or_: Recall over all positives; the key is ``or``.
        of1: Harmonic mean of ``op`` and ``or`` (the paper's F1-O).

    A value is None where nothing can be computed.
    """

    cp: Fraction | None
    cr: Fraction | None
    f1_c: Fraction | None
    cf1: Fraction | None
    op: Fraction | None
    or_: Fraction | None = Field(alias="or")
    of1: Fraction | None


class F1Table(Part):
    """F1 of three decisions: threshold, threshold and top 3, the best 3 in any case."""

    all: F1
    top3: F1
    top3_forced: F1


class Metrics(Part):
    """Classification metrics of one seed on the test images.

    Attributes:
        map: Mean of ``per_class_ap`` over the classes that have one; area under the envelope.
        map_non_interpolated: The same with plain precision at each positive.
        map_eleven_point: The same with the 11-point rule of VOC 2007.
        per_class_ap: K average precisions; None for a class without positives.
        excluded_classes: Names or indices of the classes left out of the means.
        f1: Precision, recall and F1.
    """

    map: Fraction
    map_non_interpolated: Fraction
    map_eleven_point: Fraction
    per_class_ap: tuple[Fraction | None, ...]
    excluded_classes: tuple[str | int, ...] = ()
    f1: F1Table


METRICS: Final[Mapping[str, Callable[[Metrics], float | None]]] = {
    "map": lambda m: m.map,
    "f1_c": lambda m: m.f1.all.f1_c,
    "of1": lambda m: m.f1.all.of1,
    "top3_f1_c": lambda m: m.f1.top3.f1_c,
    "top3_of1": lambda m: m.f1.top3.of1,
}

FITTED: Final[Mapping[str, Callable[[CalibrationFigures], float | None]]] = {
    "f1_c": lambda figures: figures.f1_c.after,
    "of1": lambda figures: figures.of1.after,
}
"""Those of `METRICS` that are also known at fitted thresholds."""


class SeedResult(Part):
    """One training run of a variant.

    Attributes:
        seed: Seed of the run.
        metrics: What it reached on the test images.
        updates: Optimiser updates.
        seconds: Wall time of its training.
        train_map: mAP on training images, where it was measured.
        unseen_map: Of a cross-fitted teacher: the same by heads that had not seen the image.
        whole_image_map: Of a teacher on a frozen backbone: the same of a linear layer on its pooled
            map, cross-validated.
        held_out_map: mAP on the held-out part of the training images, where it was measured.
        calibration: Temperatures, thresholds and what they change, where they were fitted.
        localization: Localization by its class maps, where that was measured.
    """

    seed: int
    metrics: Metrics
    updates: Count
    seconds: Seconds
    train_map: Fraction | None = None
    unseen_map: Fraction | None = None
    whole_image_map: Fraction | None = None
    held_out_map: Fraction | None = None
    calibration: SeedCalibration | None = None
    localization: SeedMapLocalization | None = None


class Localization(Part):
    """Localization by the teacher's regions, against true boxes that training never saw.

    Attributes:
        detection_map: Mean detection AP at IoU 0.5 over test images.
        corloc: Share of an image's true classes whose best box is right, mean over classes.
        coverage: Share of the objects' area that the ten best regions by s' cover together, those
            of the whole image left out; None where that was not measured.
        covered_area: Share of the images' area that these regions cover, to set it beside.
        per_class_detection_ap: K values; None where a class has no box.
        per_class_corloc: K values; None where a class has no box.
    """

    detection_map: Fraction
    corloc: Fraction
    coverage: Fraction | None = None
    covered_area: Fraction | None = None
    per_class_detection_ap: tuple[Fraction | None, ...]
    per_class_corloc: tuple[Fraction | None, ...]


class Spread(Part):
    """Mean and spread over seeds.

    Attributes:
        mean: Mean; None where no seed has a value.
        std: Sample standard deviation (divisor n - 1); None for a single seed.
        n: Number of seeds with a value.
    """

    mean: Fraction | None
    std: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Self:
        """Of the values that are not None."""
        known = [value for value in values if value is not None]
        std = stdev(known) if len(known) > 1 else None
        return cls(mean=mean_or_none(known), std=std, n=len(known))


class VariantResult(Part):
    """One of the compared models; its ``summary`` is derived from the seeds.

    Attributes:
        label: Name for people.
        method: Key of `boxless.methods.table.METHODS`; ``teacher`` for the teacher.
        input_size: Side of the model's input in pixels.
        parameters: Number of parameters.
        seeds: At least one training run.
        localization: Of the teacher; None where it was not measured.
    """

    label: str
    method: str
    input_size: Count
    parameters: Count
    seeds: tuple[SeedResult, ...] = Field(min_length=1)
    localization: Localization | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_derived(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if key != "summary"}
        return value

    def values(self, name: str) -> list[float]:
        """One metric of every seed.

        Args:
            name: A key of `METRICS`, such as ``"map"``.

        Returns:
            Fractions in the order of the seeds; seeds without a value are left out.
        """
        found = (METRICS[name](seed.metrics) for seed in self.seeds)
        return [value for value in found if value is not None]

    def spread(self, name: str) -> Spread:
        """Mean and standard deviation over seeds of one metric (a key of `METRICS`)."""
        return Spread.of(self.values(name))

    @property
    def fitted(self) -> bool:
        """Whether thresholds were fitted for every seed."""
        return all(seed.calibration is not None and seed.calibration.fitted for seed in self.seeds)

    def fitted_spread(self, name: str) -> Spread:
        """`spread` at the fitted thresholds, of a key of `FITTED`."""
        found = (seed.calibration for seed in self.seeds)
        return Spread.of([FITTED[name](one.test) for one in found if one is not None])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def summary(self) -> dict[str, Spread]:
        """`spread` of every metric, by name."""
        return {name: self.spread(name) for name in METRICS}

    @property
    def seconds(self) -> float:
        """Mean training time of a seed."""
        return mean(seed.seconds for seed in self.seeds)

    def per_class_ap(self) -> list[float | None]:
        """K average precisions, each the mean over seeds; None without positives."""
        columns = zip(*(seed.metrics.per_class_ap for seed in self.seeds), strict=True)
        return [mean_or_none(column) for column in columns]
