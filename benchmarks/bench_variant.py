"""Cost of the whole distilled variant beside the plain one: same student, same number of updates.

Runs the recipe voc-lite0 up to both variants on a part of the data (scaled down, all costs shrink
alike: epochs stay) and adds up what each step took: maps, teacher, cache, stage 1 and stage 2
against the plain student's training.

    python benchmarks/bench_variant.py [--quick] [--out bench_variant.json]
"""

import tempfile
from pathlib import Path

from measure import Figure, parser, publish, some_images, voc_mini

from boxless.recipe.recipe_files import load_recipe
from boxless.runs.context import Run
from boxless.runs.execute import execute
from boxless.runs.record import read_record

CACHE, STAGES = (
    ("maps", "teacher", "cache"),
    ("features/regions/128px/seed-0", "students/regions/128px/seed-0"),
)
PLAIN, PROPOSALS = "students/plain/128px/seed-0", "proposals"


def measure(folder: Path, spec: str, images: int) -> dict[str, float]:
    """Seconds of every step of one run."""
    recipe = load_recipe("voc-lite0")
    execute(Run(folder, spec, recipe, some_images(spec, images)), until="regions")
    found = {}
    for name in (PROPOSALS, *CACHE, PLAIN, *STAGES):
        record = read_record(folder / name)
        if record is None or record.status != "done":
            raise RuntimeError(f"step {name} is not done")
        found[name] = record.seconds
    return found


def main() -> None:
    """Run, add up and publish."""
    options = parser(__doc__, "variant").parse_args()
    photos = voc_mini()
    spec = f"voc:{photos}" if photos and not options.quick else "scenes:train=64,test=8"
    images = 36 if options.quick else 360
    rounds = options.rounds or (1 if options.quick else 3)
    runs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            runs.append(measure(Path(name) / "run", spec, images))
    stages = [sum(run[name] for name in STAGES) for run in runs]
    caches = [sum(run[name] for name in ("maps", "cache")) for run in runs]
    plain = [run[PLAIN] for run in runs]

    def over(parts: list[list[float]]) -> list[float]:
        sums = [sum(values) for values in zip(*parts, strict=True)]
        return [a / b for a, b in zip(sums, plain, strict=True)]

    teachers = [run["teacher"] for run in runs]
    proposals = [run[PROPOSALS] for run in runs]
    facts = {"images": images, "data": spec.partition(":")[0], "seconds": runs}
    publish(
        f"the whole distilled variant beside the plain variant, voc-lite0, {images} images",
        [
            Figure(
                "proposals, maps, teacher, cache and both stages / plain variant",
                over([stages, caches, teachers, proposals]),
                "lower",
                1.5,
                1.25,
                facts,
            ),
            Figure("the same without proposals", over([stages, caches, teachers])),
            Figure("maps, cache and both stages / plain variant", over([stages, caches])),
            Figure("both stages / plain variant", over([stages])),
        ],
        options,
    )


if __name__ == "__main__":
    main()
