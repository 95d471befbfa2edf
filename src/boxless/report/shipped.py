"""Which student a run ships, and why."""

from typing import Literal

from boxless.methods.table import PLAIN
from boxless.report.part import Count, Fraction, Interval, Part

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
