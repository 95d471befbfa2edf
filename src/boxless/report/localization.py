"""Localization by class maps, measured against boxes that training never saw."""

from boxless.report.part import Count, Fraction, Interval, Part


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
