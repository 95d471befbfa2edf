"""Take finished steps from another run: same settings and inputs, so the same result.

A step's fingerprint covers its settings and, through its inputs, all it was made from. Files are
linked where the disk can; finished steps replace files and never write into them, so links stay
apart.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from boxless.files.lock import held
from boxless.runs.context import Run
from boxless.runs.outlook import outlook
from boxless.runs.record import NAME, StepRecord, is_done, read_record


def find_finished(record: StepRecord, sources: Iterable[Path]) -> Path | None:
    """The folder of a finished step with a record's fingerprint."""
    for source in sources:
        if is_done(source, record):
            return source / record.name
    return None


def take_finished(run: Run, sources: Iterable[Path]) -> list[str]:
    """Link into a run what others have finished of it.

    Args:
        run: The run; steps that it began itself are left alone.
        sources: Folders of other runs.

    Returns:
        Names of the steps that were taken.
    """
    others = [source for source in sources if source.resolve() != run.folder.resolve()]
    taken = []
    for item in outlook(run):
        target = run.folder / item.step.name
        if item.step.cheap or read_record(target) is not None:
            continue
        source = find_finished(item.record, others)
        if source is not None:
            with held(target):
                _link(source, target)
            taken.append(item.step.name)
    return taken


def _link(source: Path, target: Path) -> None:
    """Link all files of a step, its record last: killed before, the step does not pass as done."""
    files = [path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_file()]
    for name in sorted(files, key=lambda path: path == Path(NAME)):
        if name.suffix == ".tmp":
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).unlink(missing_ok=True)
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copy2(source / name, target / name)
