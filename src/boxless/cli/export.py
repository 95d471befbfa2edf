"""``boxless export``: the student of a finished run as one file, or as a folder for the Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from boxless.files.console import plain_console, plain_table

if TYPE_CHECKING:
    from boxless.report.part import Shipped
    from boxless.runs.context import Run
    from boxless.runs.delivery import Delivery, Figures, Precision


def export(
    run: Path,
    *,
    out: str | None = None,
    quantize: Literal["int8"] | None = None,
    fp16: bool = False,
    limit: float = 1.0,
    variant: str = "",
    hub: Path | None = None,
    push: str = "",
    data: str | None = None,
) -> None:
    """Deliver the student of a finished run.

    `boxless train` has put export/student.onnx into the run folder already; this writes it
    elsewhere, or smaller. The answers are compared with PyTorch's on real images of the data set.
    A smaller file is measured on the held-out images and refused if it loses too much.

    For example:

        boxless export runs/first --out student.onnx

        boxless export runs/first --out small.onnx --quantize int8

        boxless export runs/first --hub hub/my-classifier

        boxless export runs/first --push my-name/my-classifier

    Args:
        run: Run folder.
        out: The ONNX file to write, also in a store of objects (s3://bucket/student.onnx).
        quantize: int8: a quarter of the size, and faster; ranges are taken from training images.
        fp16: Half of the size; no faster on most processors.
        limit: Most points of mAP that a smaller file may lose.
        variant: The student, as METHOD or METHOD@SIZE, such as plain or plain@192; by default the
            method with the highest mAP on held-out images, mean over seeds, plain or distilled. Of
            its seeds the best on held-out images is taken.
        hub: Folder to write in the layout of the Hugging Face Hub: safetensors, config.json and a
            model card.
        push: OWNER/NAME of a repository on the Hugging Face Hub to upload that folder to; a new one
            is private. `boxless.load("hf://OWNER/NAME")` then loads the student anywhere.
        data: Data set, where it lies elsewhere now.
    """
    _check(out, hub, push, quantize, limit, fp16=fp16)
    _require(run, push)

    from boxless.report.wording import cautions, shipped
    from boxless.runs.export import choose
    from boxless.runs.finished import open_run

    opened = open_run(run, data=data)
    chosen = choose(opened, variant)
    if out is not None:
        _deliver(opened, out, chosen, quantize or ("float16" if fp16 else "float32"), limit / 100)
    if hub is not None or push:
        _to_hub(opened, chosen, hub, push)
    print(f"{shipped(chosen)}; seed {chosen.seed}")
    for caution in cautions(chosen):
        print(f"note: {caution}")


def _check(
    out: str | None, hub: Path | None, push: str, quantize: str | None, limit: float, *, fp16: bool
) -> None:
    from boxless.errors import ConfigError

    if out is None and hub is None and not push:
        raise ConfigError(
            "nothing to write", hint="give --out FILE, --hub FOLDER or --push OWNER/NAME"
        )
    if quantize and fp16:
        raise ConfigError("--quantize and --fp16 exclude each other", hint="choose one")
    if not limit >= 0:
        raise ConfigError(f"--limit must be 0 or more points of mAP, found {limit}")


def _to_hub(run: "Run", chosen: "Shipped", folder: Path | None, repository: str) -> None:
    """Write the folder for the Hub, and upload it where that is asked for."""
    from tempfile import TemporaryDirectory

    from boxless.runs.hub_folder import push_folder, write_hub_folder

    with TemporaryDirectory(prefix="boxless-") as temporary:
        written = folder or Path(temporary)
        write_hub_folder(run, written, chosen)
        if folder is not None:
            print(f"{folder}: model.safetensors, config.json, README.md, student.onnx")
        if repository:
            print(f"pushed: {push_folder(written, repository)}")
            print(
                f'boxless.load("hf://{repository}") loads it; read its card before making it public'
            )


def _require(run: Path, repository: str) -> None:
    """Refuse what cannot be carried out: a data set, which this verb took before version 0.2."""
    from boxless.errors import RunError
    from boxless.runs.start import require_training

    if not run.is_dir():
        raise RunError(
            f"expected a run folder, found {run}",
            hint="`boxless train SPEC --out RUN` makes one, with its student in"
            " export/student.onnx",
        )
    require_training()
    if repository:
        from boxless.runs.hub_folder import require_repository

        require_repository(repository)


def _deliver(run: "Run", out: str, chosen: "Shipped", precision: "Precision", limit: float) -> None:
    from boxless.files.paths import place
    from boxless.runs.delivery import deliver

    _show(deliver(run, place(out), chosen, precision=precision, limit=limit), out)


def _show(delivery: "Delivery", out: str) -> None:
    files = {"float32": delivery.float32}
    if delivery.small is not None:
        files["smaller"] = delivery.small
    table = plain_table("", *(f">{name}" for name in files))
    for title, show in _rows(delivery):
        table.add_row(title, *(show(figures) for figures in files.values()))
    console = plain_console()
    console.print(table)
    if delivery.how:
        console.print(f"smaller: {delivery.how}")
    console.print(f"written: {out}")


def _rows(delivery: "Delivery") -> list[tuple[str, "Figure"]]:
    rows: list[tuple[str, Figure]] = [
        ("size", lambda f: f"{f.bytes / 1e6:.2f} MB"),
        ("images/s, graph alone", lambda f: f"{f.images_per_second:.0f}"),
        ("largest difference to PyTorch", lambda f: f"{f.difference:.1e}"),
    ]
    if delivery.small is not None:
        rows.append((f"mAP on {delivery.judged_by}", lambda f: _percent(f.judged_map)))
        rows.append(("mAP on test images", lambda f: _percent(f.test_map)))
    return rows


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


if TYPE_CHECKING:
    from collections.abc import Callable

    Figure = Callable[[Figures], str]
