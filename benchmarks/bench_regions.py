"""Region loss of stage 1: the exact form against explicit RoIAlign, forward and backward.

One image: student map 14 x 14, teacher map 42 x 42, 512 channels, 7 x 7 bins, 500 regions. The peer
is torchvision's `roi_align` (sampling ratio 2) on both maps, which the exact form equals. The
teacher's pooled regions count for the peer too, as its cached map does for us.

    python benchmarks/bench_regions.py [--quick] [--out bench_regions.json]
"""

from collections.abc import Callable

import torch
from measure import Figure, interleaved, parser, publish, ratio
from torch import Tensor

from boxless.distill.region_transfer import form_loss, region_loss, region_weights
from boxless.regions.operators import RegionForm, build_region_form

BINS, CHANNELS = 7, 512


class Case:
    """Random maps of one image and boxes in it."""

    def __init__(self, regions: int, channels: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.student = torch.randn(1, channels, 14, 14, generator=generator).requires_grad_()
        self.teacher = torch.randn(1, channels, 42, 42, generator=generator)
        low = torch.rand(1, regions, 2, generator=generator) * 0.7
        sides = 0.05 + 0.6 * torch.rand(1, regions, 2, generator=generator)
        self.boxes = torch.cat([low, (low + sides).clamp(max=1)], -1)
        self.objectness = torch.rand(1, regions, generator=generator)
        self.mask = torch.ones(1, regions, dtype=torch.bool)
        self.form = self.build()

    def build(self) -> RegionForm:
        """G, H and c from boxes and teacher map."""
        weights = region_weights(self.objectness, self.mask)
        return build_region_form(self.teacher, (14, 14), self.boxes, self.boxes, weights, bins=BINS)

    def explicit(self) -> Tensor:
        """Every region pooled by torchvision."""
        return region_loss(
            self.student,
            self.teacher,
            self.boxes,
            self.boxes,
            self.objectness,
            self.mask,
            bins=BINS,
            form="align",
        )

    def cached(self) -> Tensor:
        """G, H and c at hand."""
        return form_loss(self.student, self.form, self.mask)

    def built(self) -> Tensor:
        """G, H and c built first."""
        return form_loss(self.student, self.build(), self.mask)

    def step(self, loss: Callable[[], Tensor]) -> Tensor:
        """Forward and backward of one of the losses; the gradient of the student's map."""
        self.student.grad = None
        loss().backward()
        gradient = self.student.grad
        if gradient is None:
            raise RuntimeError("the loss has no gradient")
        return gradient


def agreement(case: Case) -> dict[str, float]:
    """Relative differences of value and gradient between the exact form and explicit RoIAlign."""
    values = [float(loss().detach()) for loss in (case.explicit, case.built)]
    first, second = (case.step(loss).clone() for loss in (case.explicit, case.built))
    return {
        "value_differs_by": abs(values[0] - values[1]) / abs(values[0]),
        "gradient_differs_by": float((first - second).abs().max() / first.abs().max()),
    }


def main() -> None:
    """Time and publish."""
    options = parser(__doc__, "regions").parse_args()
    regions, channels = (60, 64) if options.quick else (500, CHANNELS)
    rounds = options.rounds or (2 if options.quick else 7)
    case = Case(regions, channels)
    many, few = Case(20 if options.quick else 2000, channels), Case(100, channels)
    spent = interleaved(
        {
            "explicit": lambda: case.step(case.explicit),
            "cached": lambda: case.step(case.cached),
            "built": lambda: case.step(case.built),
            "many": lambda: many.step(many.cached),
            "few": lambda: few.step(few.cached),
            "built, many": lambda: many.step(many.built),
            "built, few": lambda: few.step(few.built),
        },
        rounds,
        repeats={"cached": 40, "built": 3, "many": 40, "few": 40, "built, many": 2},
    )
    milliseconds = {name: [1000 * t for t in found] for name, found in spent.items()}
    facts = {"threads": torch.get_num_threads(), "milliseconds": milliseconds, **agreement(case)}
    title = f"region loss, {regions} regions, {BINS} x {BINS} bins, {channels} channels"
    publish(
        title,
        [
            Figure(
                "explicit RoIAlign / exact form, G, H, c cached",
                ratio(spent["explicit"], spent["cached"]),
                "higher",
                400,
                900,
                facts,
            ),
            Figure(
                "explicit RoIAlign / exact form, G, H, c built from boxes and map",
                ratio(spent["explicit"], spent["built"]),
                "higher",
                15,
                60,
            ),
            Figure(
                "exact form, cached: 2,000 regions / 100 regions",
                ratio(spent["many"], spent["few"]),
                "lower",
                1.1,
                1.0,
            ),
            Figure(
                "exact form, built: 2,000 regions / 100 regions",
                ratio(spent["built, many"], spent["built, few"]),
            ),
        ],
        options,
    )


if __name__ == "__main__":
    main()
