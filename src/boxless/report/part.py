"""What ``results.json`` is made of: base, intervals, calibration, localization, what is shipped."""

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from boxless.methods.table import PLAIN

_SLACK: Final = 1e-9  # sums of floats may miss 0 and 1 by rounding
Fraction = Annotated[float, Field(ge=-_SLACK, le=1.0 + _SLACK)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0.0)]
Points = Annotated[float, Field(ge=-1.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]


class Part(BaseModel):
    """Base of all parts: frozen, strict about unknown keys, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )


class Interval(Part):
    """A paired difference with its uncertainty, in fractions.

    Attributes:
        mean: Difference of the means, distilled minus baseline.
        low: Lower end of the interval.
        high: Upper end of the interval.
        level: Coverage, such as 0.95.
        draws: Bootstrap draws.
        probability_positive: Share of the draws above zero.
    """

    mean: Points
    low: Points
    high: Points
    level: Fraction
    draws: Count
    probability_positive: Fraction


class BeforeAfter(Part):
    """A number before and after calibration; None where nothing could be computed.

    Attributes:
        before: With raw probabilities, and 0.5 as threshold.
        after: With temperatures and fitted thresholds.
    """

    before: float | None
    after: float | None


class Curve(Part):
    """A reliability curve: bins of equal width that hold at least one pair of image and class.

    Attributes:
        bins: Number of bins that [0, 1] was divided into.
        predicted: Mean probability in each bin.
        observed: Share of present labels in each bin.
        count: Pairs in each bin.
    """

    bins: Count
    predicted: tuple[Fraction, ...]
    observed: tuple[Fraction, ...]
    count: tuple[Count, ...]

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if not len(self.predicted) == len(self.observed) == len(self.count):
            raise ValueError("predicted, observed and count must have one value per bin")
        return self


class CurvePair(Part):
    """`Curve` before and after calibration."""

    before: Curve
    after: Curve


class CalibrationFigures(Part):
    """What calibration changed on one part of the images.

    Attributes:
        f1_c: Mean F1 of the classes, at 0.5 and at the fitted thresholds.
        of1: F1 of all decisions together, likewise.
        ece: Expected calibration error over all pairs of image and class, bins of equal width.
        ece_equal_mass: The same with equally many pairs per bin.
        nll: Mean cross-entropy of a pair, in nats.
        curve: Reliability curves.
    """

    f1_c: BeforeAfter
    of1: BeforeAfter
    ece: BeforeAfter
    ece_equal_mass: BeforeAfter
    nll: BeforeAfter
    curve: CurvePair


class SeedCalibration(Part):
    """Calibration of one training run of a variant, fitted on held-out images.

    Attributes:
        fitted: False where the run has no held-out images; then temperatures are 1, thresholds 0.5.
        temperatures: K divisors of the logits.
        thresholds: K, on the scale of the calibrated probabilities.
        temperature_strength: How strongly classes were drawn to one temperature; None = all share.
        threshold_strength: How strongly they were drawn to one threshold; None = all share.
        test: Figures on the test images, which nothing was fitted on.
        held_out: Figures on the very images that all was fitted on; None without any.
    """

    fitted: bool
    temperatures: tuple[Positive, ...]
    thresholds: tuple[Fraction, ...]
    temperature_strength: float | None = Field(ge=0)
    threshold_strength: float | None = Field(ge=0)
    test: CalibrationFigures
    held_out: CalibrationFigures | None


class SeedMapLocalization(Part):
    """Class maps of one training run against the true boxes of the test images.

    Means over classes of the share of the class's images; a class is asked where it is in the tags.

    Attributes:
        pointing: The strongest cell lies in a true box of the class.
        pointing_tolerant: Likewise, or at most `MapLocalization.tolerance` pixels outside.
        corloc: The box made of the map overlaps a true box with IoU 0.5 or more.
        detection_map: Mean detection AP (11-point, IoU 0.5) of those boxes.
    """

    pointing: Fraction | None
    pointing_tolerant: Fraction | None
    corloc: Fraction | None
    detection_map: Fraction | None


class MapLocalization(Part):
    """How well students localize, and what distillation changes in it.

    Attributes:
        images: Test images.
        pairs: Pairs of image and class that were asked.
        tolerance: Pixels of ``pointing_tolerant``.
        centre_pointing: Pointing game of the middle of the image, for comparison.
        whole_image_corloc: CorLoc of the whole image as box, for comparison.
        gain_pointing: Distilled minus baseline, paired by image and seed; None without both.
        gain_corloc: Likewise.
    """

    images: Count
    pairs: Count
    tolerance: Count
    centre_pointing: Fraction | None
    whole_image_corloc: Fraction | None
    gain_pointing: Interval | None = None
    gain_corloc: Interval | None = None


Reason = Literal["chosen", "asked for", "nothing held out"]


class Shipped(Part):
    """The student in ``export/student.onnx``.

    Attributes:
        variant: Its key: METHOD, or METHOD@SIZE.
        seed: Its seed, the best of its method on held-out images.
        why: ``chosen`` for the highest held-out mAP, mean over seeds; ``asked for`` by the user;
            ``nothing held out``: the recipe's own method then.
        images: Held-out images.
        held_out_map: Held-out mAP, mean over seeds, of all variants that could be chosen.
        margin: mAP over `rival` on held-out images with its paired interval over images and seeds;
            None without a rival or held-out images.
    """

    variant: str
    seed: int
    why: Reason
    images: Count
    held_out_map: dict[str, Fraction]
    margin: Interval | None = None

    @property
    def rival(self) -> str | None:
        """What the shipped variant is set beside: plain, or for plain the best distilled one."""
        others = {k: value for k, value in self.held_out_map.items() if k != self.variant}
        return PLAIN if PLAIN in others else max(others, key=lambda k: others[k], default=None)
