"""A run: its folder, recipe, images and proposals, each loaded when first needed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from boxless.data.images import load_image
from boxless.data.kept_images import KeptImages
from boxless.data.manifest import Manifest
from boxless.data.untagged import true_tags
from boxless.errors import DataError, RunError, StoreError
from boxless.files.engine import Engine
from boxless.files.launched import launched
from boxless.files.ray_engine import engine_beyond
from boxless.inference.predictor import Predictor
from boxless.methods.table import transfers
from boxless.proposals.store import ProposalStore
from boxless.recipe.recipe_files import dotted
from boxless.recipe.schema import Recipe
from boxless.report.results import Results, read_results
from boxless.runs.leak_check import left_out
from boxless.runs.parts import Parts, no_split, split_parts
from boxless.runs.record import read_record
from boxless.runs.variant import Variant, trained_as
from boxless.types import Proposals

if TYPE_CHECKING:
    # Importing torch takes seconds, which a command that finds all steps done need not wait.
    from numpy.typing import NDArray

    from boxless.training.batches import ViewDataset
    from boxless.training.processes import Processes
    from boxless.training.runtime import Runtime

GIB = 1 << 30


@contextmanager
def advice_for_runs() -> Iterator[None]:
    """Give errors of the proposal rooms the advice that fits a run folder."""
    try:
        yield
    except StoreError as error:
        if "boxless verify" in error.hint:
            raise
        raise StoreError(
            error.message,
            hint="run the same command again with --force proposals: it proposes anew and does all"
            " that depends on it again",
        ) from error
    except DataError as error:
        if "--skip-bad" not in error.hint:
            raise
        raise DataError(
            error.message,
            hint="repair or remove it, or leave such images out with --data.skip_bad true",
        ) from error


@dataclass(frozen=True)
class Run:
    """One run folder and what belongs to it.

    Attributes:
        folder: Where everything is written.
        spec: The data set as the user named it.
        recipe: All settings.
        manifest: The data set, all tags that it has, and its untagged images.
        profile: Have training steps measure where their time goes.
        processes: Those that train together; None = this one alone.
    """

    folder: Path
    spec: str
    recipe: Recipe
    manifest: Manifest
    profile: bool = False
    processes: "Processes | None" = None

    @property
    def leads(self) -> bool:
        """Whether this process does what one alone has to do."""
        return self.processes is None or self.processes.leads

    @cached_property
    def _parts(self) -> Parts:
        return split_parts(self.manifest, self.recipe.data, self.spec)

    @property
    def train(self) -> Manifest:
        """Images that are trained on with their tags."""
        return self._parts.train

    @property
    def held_out(self) -> Manifest | None:
        """Images with tags that are never trained on; the split ``val``, or a part of train."""
        return self._parts.held_out

    @property
    def pool_size(self) -> int:
        """Images of `pool`, before it is looked whether any must be left out."""
        return len(self.train) + len(self._parts.lost) + len(self._parts.found)

    @cached_property
    def pool(self) -> Manifest:
        """`train`, then the untagged images, all of whose tags are unknown.

        Raises:
            DataError: Untagged images show the same picture as test or held-out ones.
        """
        apart = [self.held_out] if self.held_out else []
        apart += [self.test] if "test" in self.manifest.split_names else []
        return self._parts.pool(
            left_out(
                self._parts.found,
                tuple(record for part in apart for record in part.records),
                recipe=self.recipe,
                folder=self.folder,
                fingerprint=self.manifest.fingerprint,
            )
        )

    @cached_property
    def oracle(self) -> Manifest:
        """`pool` with the true tags of the untagged images, for the method of that name alone.

        Raises:
            DataError: The tags of one are not known.
        """
        elsewhere = true_tags(self.recipe.data.untagged, self.classes)
        return self._parts.oracle(self.pool, elsewhere)

    @cached_property
    def test(self) -> Manifest:
        """Images for the final figures.

        Raises:
            DataError: The data set has no test split.
        """
        if "test" not in self.manifest.split_names:
            raise no_split(self.spec, "test", self.manifest.split_names)
        return self.manifest.split("test")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        return self.manifest.classes

    @property
    def seeds(self) -> list[int]:
        """Student seeds."""
        first = self.recipe.run.seed
        return list(range(first, first + self.recipe.run.seeds))

    @cached_property
    def images(self) -> KeptImages:
        """Image loader with memory."""
        return KeptImages(
            load_image,
            [record.path for record in self.manifest.records],
            mode=self.recipe.data.image_cache,
            limit_bytes=int(self.recipe.run.cache_gib * GIB) // launched().local_count,
            folder=self.folder / "images",
        )

    @cached_property
    def runtime(self) -> "Runtime":
        """Device, precision and threads."""
        from boxless.training.runtime import Runtime  # noqa: PLC0415
        from boxless.training.tracking import Tracker, available  # noqa: PLC0415

        config = self.recipe.run
        name = available(config.tracker) if self.leads else "none"
        return Runtime(
            precision=config.precision,
            threads=config.threads,
            compiled=config.compile == "yes",
            profile=self.profile,
            processes=self.processes,
            tracker=Tracker(name, self.folder, dotted(self.recipe)),
        )

    @cached_property
    def proposes(self) -> bool:
        """Whether regions are proposed: somebody learns from them, or true boxes judge them."""
        recipe = self.recipe
        if recipe.teacher.kind == "file":
            return False
        asked = any(one.needs.regions for one in transfers(recipe, recipe.distilling))
        return recipe.teacher.kind == "wsddn" or asked or self.manifest.has_boxes

    @cached_property
    def store(self) -> ProposalStore:
        """The run's proposals."""
        with advice_for_runs():
            return ProposalStore.open(self.folder / "proposals" / "store")

    def proposals(self, image_id: str) -> Proposals:
        """Proposals of an image.

        Raises:
            StoreError: The store is damaged.
        """
        with advice_for_runs():
            return self.store[image_id]

    @cached_property
    def folds(self) -> "NDArray | None":  # type: ignore[type-arg]
        """(M,) fold of each training image, or None without cross-fitting."""
        count = self.recipe.teacher.folds
        return self.train.folds(count, seed=self.recipe.data.seed) if count else None

    @property
    def results(self) -> Results:
        """What the finished run found out, as ``results.json`` holds it.

        Raises:
            RunError: The run is not finished, or the file is damaged.
        """
        return read_results(self.folder / "results.json")

    @property
    def best(self) -> Variant:
        """The student that is shipped, chosen on held-out images.

        Raises:
            RunError: No student is exported yet.
        """
        record = read_record(self.folder / "export")
        if record is None or record.status != "done":
            raise RunError(f"{self.folder} has exported no student yet", hint="finish the run")
        found = record.facts["shipped"]
        return trained_as(self.recipe, found["variant"], found["seed"])

    @property
    def student(self) -> Predictor:
        """The shipped student, as `boxless.load` opens it.

        Raises:
            BoxlessError: There is none, or the file is damaged.
        """
        return Predictor.load(self.folder)

    def engine(self) -> AbstractContextManager[Engine | None]:
        """Where images are worked on, if not by this process and its children."""
        config = self.recipe.run
        return engine_beyond(config.engine, address=config.ray_address)

    def dataset(self, part: Manifest, *, regions: int = 0) -> "ViewDataset":
        """Views of a part of the data, with proposals if `regions` is not 0 and it has some."""
        from boxless.training.batches import ViewDataset  # noqa: PLC0415

        if regions == 0 or not self.proposes:
            return ViewDataset(part.records, self.images)
        return ViewDataset(
            part.records,
            self.images,
            proposals=self.proposals,
            regions=regions,
            whole_image=self.recipe.teacher.whole_image,
        )
