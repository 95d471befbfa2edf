"""The one task that trains students: it sums the terms of a phase."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from boxless.losses.ridge_start import RidgeStart, set_adapter
from boxless.losses.tag_loss import TagLoss
from boxless.methods.lessons import Lessons
from boxless.methods.transfer import Term, View
from boxless.models.backbone import train_mode
from boxless.models.protocols import Student
from boxless.training.batches import Batch

if TYPE_CHECKING:
    from boxless.losses.region_transfer import Adapter


class StudentTask:
    """Train a student on a sum of terms.

    Args:
        student: The student.
        terms: By the name of their transfer.
        lessons: The teacher's side.
        train_norm_statistics: Let BatchNorm update its statistics.
    """

    def __init__(
        self,
        student: Student,
        terms: Mapping[str, Term],
        lessons: Lessons,
        *,
        train_norm_statistics: bool = True,
    ) -> None:
        self.student, self.lessons = student, lessons
        self.terms, self.train_statistics = tuple(terms.values()), train_norm_statistics
        self.logits = any(term.logits for term in self.terms)
        self.levels = tuple(dict.fromkeys(lv for term in self.terms for lv in term.levels))
        modules = {name: term.module for name, term in terms.items() if term.module is not None}
        self.module: nn.Module = nn.ModuleDict(
            {"student": cast("nn.Module", student), "terms": nn.ModuleDict(modules)}
        )

    def is_new(self, name: str) -> bool:
        """The student's last layer, and all that the terms bring along."""
        return name.startswith(("student.fc.", "terms."))

    def train_mode(self) -> None:
        """Dropout on; BatchNorm statistics as asked."""
        train_mode(self.module, statistics=self.train_statistics)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms' sum as ``loss``, and all their parts."""
        return self._losses(self.view(batch, self.lessons))

    def held_out_loss(self, batch: Batch) -> Tensor:
        """The tags' loss of images that are not trained on; the whole loss where tags have none."""
        if self.logits:
            logits = self.student(batch.pixels.float()).float()
            tags: Tensor = TagLoss()(logits, batch.labels)
            return tags
        return self._losses(self.view(batch, self.lessons.live()))["loss"]

    def _losses(self, view: View) -> dict[str, Tensor]:
        found = [term.loss(view) for term in self.terms]
        total = found[0][0]
        for value, _ in found[1:]:
            total = total + value
        parts = {name: part for _, more in found for name, part in more.items()}
        return {"loss": total, **parts}

    def view(self, batch: Batch, lessons: Lessons) -> View:
        """What the terms see: the student runs once."""
        pixels = batch.pixels.float()
        logits, maps = pixels.new_empty(0), dict[str, Tensor]()
        if self.levels:
            wanted = (*self.levels, "final") if self.logits else self.levels
            found = self.student.maps(pixels, tuple(dict.fromkeys(wanted)))
            maps = {level: found[level] for level in self.levels}
            if self.logits:
                logits = self.student.classify(found["final"]).float()
        elif self.logits:
            logits = self.student(pixels).float()
        return View(batch, logits, maps, lessons)

    @property
    def adapters(self) -> dict[str, nn.ModuleDict]:
        """Every Psi by level, of the terms that have one, by the name of their transfer."""
        terms = cast("nn.ModuleDict", cast("nn.ModuleDict", self.module)["terms"])
        return {name: m for name, m in terms.items() if isinstance(m, nn.ModuleDict)}

    @property
    def fitted(self) -> list[Term]:
        """Terms whose Psi is fitted before training."""
        return [term for term in self.terms if term.ridge is not None]

    @torch.no_grad()
    def start_adapters(self, batches: Iterable[Batch]) -> None:
        """Set every Psi (a 1x1 convolution) to the minimizer of the loss, the student as it is."""
        fits: list[dict[str, RidgeStart]] = []
        for term in self.fitted:
            convs = _convolutions(term)
            fits.append({k: RidgeStart(c.in_channels, c.out_channels) for k, c in convs.items()})
        self.module.eval()
        for batch in batches:
            view = self.view(batch, self.lessons)
            for term, fit in zip(self.fitted, fits, strict=True):
                assert term.gather is not None
                term.gather(view, fit)
        for term, fit in zip(self.fitted, fits, strict=True):
            assert term.ridge is not None
            for level, conv in _convolutions(term).items():
                set_adapter(conv, *fit[level].solve(term.ridge))

    @contextmanager
    def without_student(self) -> Iterator[None]:
        """Every Psi gives zeros within the block: the loss of a student that sees nothing."""
        handles = [
            adapter.register_forward_hook(lambda _, __, output: torch.zeros_like(output))
            for by_level in self.adapters.values()
            for adapter in by_level.values()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _convolutions(term: Term) -> dict[str, nn.Conv2d]:
    adapters = cast("nn.ModuleDict", term.module)
    return {lv: cast("nn.Conv2d", cast("Adapter", a).map) for lv, a in adapters.items()}
