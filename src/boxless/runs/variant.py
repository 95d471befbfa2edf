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
    """

    method: str
    input_size: int
    seed: int

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

    def key(self, recipe: Recipe) -> str:
        """METHOD, or METHOD@SIZE where the input size is not the recipe's; equal for all seeds."""
        usual = self.input_size == recipe.student.input_size
        return self.method if usual else f"{self.method}@{self.input_size}"

    def label(self, recipe: Recipe) -> str:
        """Name for people; equal for all seeds."""
        usual = self.input_size == recipe.student.input_size
        return METHODS[self.method].label + ("" if usual else f" at {self.input_size} px")


def variants(recipe: Recipe) -> list[Variant]:
    """All students of a run, seed after seed: plain, plain at other sizes, its own, compared."""
    usual = recipe.student.input_size
    kinds = [(PLAIN, size) for size in dict.fromkeys((usual, *recipe.baseline.input_sizes))]
    kinds += [(method, usual) for method in recipe.distilling]
    seeds = range(recipe.run.seed, recipe.run.seed + recipe.run.seeds)
    return [Variant(*kind, seed) for seed in seeds for kind in kinds]


def by_key(recipe: Recipe) -> dict[str, list[Variant]]:
    """The students of a run by `Variant.key`, each with all its seeds, in the order of tables."""
    order = [PLAIN, *(name for name in METHODS if name in recipe.distilling[1:]), recipe.method]
    found: dict[str, list[Variant]] = {}
    for variant in sorted(variants(recipe), key=lambda one: order.index(one.method)):
        found.setdefault(variant.key(recipe), []).append(variant)
    return found
