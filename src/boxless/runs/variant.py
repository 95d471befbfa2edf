"""A trained student: by which method, for which input size, with which seed."""

from dataclasses import dataclass

from boxless.methods.table import METHODS, PLAIN
from boxless.recipe.schema import Recipe


@dataclass(frozen=True, slots=True)
class Variant:
    """One trained student of a run.

    Attributes:
        method: Key of `METHODS`.
        input_size: Side of the student's input in pixels.
        seed: Seed of the student and of its images' order.
        usual: Whether that size is the recipe's.
        resize_from: Side of larger images that it resizes itself; 0 = they come at its input size.
    """

    method: str
    input_size: int
    seed: int
    usual: bool = True
    resize_from: int = 0

    @property
    def view_size(self) -> int:
        """Side of the images that it is given once it is trained."""
        return self.resize_from or self.input_size

    def views(self, *, last: bool) -> int:
        """Side of the images of a phase: where it learns tags those of `view_size`."""
        return self.view_size if last else self.input_size

    @property
    def folder(self) -> str:
        """Step that trains it, below the run's folder."""
        return f"students/{self.method}/{self._below}"

    def features(self, transfers: str) -> str:
        """Step of earlier phases, shared by all methods that begin with the same transfers."""
        return f"features/{transfers}/{self._below}"

    @property
    def _below(self) -> str:
        return f"{self.input_size}px/seed-{self.seed}"

    @property
    def settings(self) -> dict[str, int]:
        """What tells it from other students of its method."""
        return {"student.input_size": self.input_size, "seed": self.seed}

    @property
    def about(self) -> dict[str, object]:
        """What ``results.json`` says of it."""
        return {"label": self.label, "method": self.method, "input_size": self.input_size}

    @property
    def key(self) -> str:
        """METHOD, or METHOD@SIZE where the input size is not the recipe's; equal for all seeds."""
        return self.method if self.usual else f"{self.method}@{self.input_size}"

    @property
    def label(self) -> str:
        """Name for people; equal for all seeds."""
        return METHODS[self.method].label + ("" if self.usual else f" at {self.input_size} px")


def variants(recipe: Recipe) -> list[Variant]:
    """All students of a run, seed after seed: plain, plain at other sizes, its own, compared."""
    usual, larger = recipe.student.input_size, recipe.student.resize_from
    kinds = [(PLAIN, size) for size in dict.fromkeys((usual, *recipe.baseline.input_sizes))]
    kinds += [(method, usual) for method in recipe.distilling]
    seeds = range(recipe.run.seed, recipe.run.seed + recipe.run.seeds)
    return [
        Variant(method, size, seed, size == usual, larger)
        for seed in seeds
        for method, size in kinds
    ]


def by_key(recipe: Recipe) -> dict[str, list[Variant]]:
    """The students of a run by `Variant.key`, each with all its seeds, in the order of tables."""
    order = [PLAIN, *(name for name in METHODS if name in recipe.distilling[1:]), recipe.method]
    found: dict[str, list[Variant]] = {}
    for variant in sorted(variants(recipe), key=lambda one: order.index(one.method)):
        found.setdefault(variant.key, []).append(variant)
    return found


def trained_as(recipe: Recipe, key: str, seed: int) -> Variant:
    """The student of a `Variant.key` and a seed."""
    return next(variant for variant in by_key(recipe)[key] if variant.seed == seed)
