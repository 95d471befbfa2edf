"""Region loss of stage 1: the exact form against explicit RoIAlign, forward and backward.

One image: student map 14 x 14, teacher map 42 x 42, 512 channels, 7 x 7 bins, 500 regions. The peer
is torchvision's `roi_align` (sampling ratio 2) on both maps, which the exact form equals. The
teacher's pooled regions count for the peer too, as its cached map does for us.

    python benchmarks/bench_regions.py [--quick] [--out bench_regions.json]
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from measure import Figure, interleaved, parser, publish, ratio
from torch import Tensor

from boxless.losses.region_operators import RegionForm, build_region_form
from boxless.losses.region_transfer import form_loss, region_loss, region_weights

BINS, CHANNELS = 7, 512


@dataclass(frozen=True)
class Shape:
    """Sides of both maps, channels, bins a side, regions and images a batch."""

    student: int
    teacher: int
    channels: int
    bins: int
    regions: int
    images: int = 1

    @property
    def map_bytes(self) -> int:
        """One image's teacher map, float16."""
        return 2 * self.teacher**2 * self.channels

    @property
    def form_bytes(self) -> int:
        """One view's G (float32, it is symmetric: half of it), H (float16) and c."""
        cells = self.student**2
        return 2 * cells * (cells + 1) + 2 * cells * self.channels + 4


RECIPES = {
    "voc-lite0": Shape(4, 10, 1280, 1, 61, 16),
    "demo, stage 1 on": Shape(2, 10, 1280, 2, 61, 16),
    "coco-vgg16, form = exact": Shape(14, 42, 512, 7, 500, 4),
}
"""Stage 1 of the recipes, at their batch size (VGG16: a part of it)."""


class Case:
    """Random maps of a batch and boxes in it."""

    def __init__(self, shape: Shape) -> None:
        generator = torch.Generator().manual_seed(0)
        images, regions = shape.images, shape.regions

        def maps(side: int) -> Tensor:
            return torch.randn(images, shape.channels, side, side, generator=generator)

        self.shape, self.student = shape, maps(shape.student).requires_grad_()
        self.teacher = maps(shape.teacher)
        low = torch.rand(images, regions, 2, generator=generator) * 0.7
        sides = 0.05 + 0.6 * torch.rand(images, regions, 2, generator=generator)
        self.boxes = torch.cat([low, (low + sides).clamp(max=1)], -1)
        self.objectness = torch.rand(images, regions, generator=generator)
        self.mask = torch.ones(images, regions, dtype=torch.bool)
        self.form = self.build()

    def build(self) -> RegionForm:
        """G, H and c from boxes and teacher map."""
        weights = region_weights(self.objectness, self.mask)
        size = (self.shape.student, self.shape.student)
        boxes, bins = self.boxes, self.shape.bins
        return build_region_form(self.teacher, size, boxes, boxes, weights, bins=bins)

    def explicit(self) -> Tensor:
        """Every region pooled by torchvision."""
        return region_loss(
            self.student,
            self.teacher,
            self.boxes,
            self.boxes,
            self.objectness,
            self.mask,
            bins=self.shape.bins,
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


def cache_choice(rounds: int) -> list[Figure]:
    """What keeping G, H and c instead of teacher maps would save, by recipe."""
    found = []
    for name, shape in RECIPES.items():
        case = Case(shape)
        spent = interleaved({"build": case.build}, rounds)["build"]
        facts = {
            "map_bytes_an_image": shape.map_bytes,
            "form_bytes_a_view": shape.form_bytes,
            "images_a_batch": shape.images,
        }
        milliseconds = [1000 * t / shape.images for t in spent]
        found.append(Figure(f"building G, H, c, ms an image: {name}", milliseconds, facts=facts))
    return found


def main() -> None:
    """Time and publish."""
    options = parser(__doc__, "regions").parse_args()
    regions, channels = (60, 64) if options.quick else (500, CHANNELS)
    rounds = options.rounds or (2 if options.quick else 7)
    case = Case(Shape(14, 42, channels, BINS, regions))
    many = Case(Shape(14, 42, channels, BINS, 20 if options.quick else 2000))
    few = Case(Shape(14, 42, channels, BINS, 100))
    spent = interleaved(
        {
            "explicit": lambda: case.step(case.explicit),
            "cached": lambda: case.step(case.cached),
            "built": lambda: case.step(case.built),
            "built, many": lambda: many.step(many.built),
            "built, few": lambda: few.step(few.built),
        },
        rounds,
        repeats={"cached": 40, "built": 3, "built, many": 2},
    )
    spent |= interleaved(  # on their own: less than a millisecond each, beside large ones uneven
        {"many": lambda: many.step(many.cached), "few": lambda: few.step(few.cached)},
        5 * rounds,
        repeats={"many": 40, "few": 40},
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
            *cache_choice(rounds),
        ],
        options,
    )


if __name__ == "__main__":
    main()
