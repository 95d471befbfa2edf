"""What calibration changed for one student, as it stands in ``results.json``."""

from typing import Self

from pydantic import Field, model_validator

from boxless.report.part import Count, Fraction, Part, Positive


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
            raise ValueError("predicted, observed and count must have one value a bin")
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
        ece_equal_mass: The same with equally many pairs a bin.
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
