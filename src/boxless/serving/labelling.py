"""From the bytes of images to answers: decode in threads, compute in batches, put into words."""

import asyncio
import base64
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import numpy as np

from boxless.data.images import ImageLimits
from boxless.errors import DataError
from boxless.inference.labels import Box, Label
from boxless.inference.location import heat_map
from boxless.inference.prediction import Prediction
from boxless.inference.predictor import Outputs, Predictor, Prepared
from boxless.serving.batcher import Batcher
from boxless.serving.computing import LANES, Apart
from boxless.serving.faults import RequestError
from boxless.serving.observer import ServerMetrics
from boxless.serving.schemas import Options
from boxless.serving.settings import ServeSettings
from boxless.serving.uploads import Upload, check_picture, known_formats

HEAT_SIDE = 48  # cells on the longer side of a heat map in an answer
_Value = TypeVar("_Value")


class Labeller:
    """A student behind a queue.

    Args:
        predictor: The student.
        settings: Sizes and limits.
        apart: Compute in a process of its own.
    """

    def __init__(
        self, predictor: Predictor, settings: ServeSettings, *, apart: bool = False
    ) -> None:
        self.predictor, self._settings = predictor, settings
        self._apart = Apart(predictor) if apart else None
        self._compute = self._apart or predictor.run
        limits = settings.limits
        self._limits = ImageLimits(max_pixels=limits.pixels, formats=known_formats())
        self._pool = ThreadPoolExecutor(settings.decoders, "boxless-decode", _step_back)
        self.metrics = ServerMetrics(lambda: self.batcher.taken, classes=len(predictor.classes))
        self.batcher: Batcher[Outputs] = Batcher(
            self._compute,
            batch_size=settings.batch_size,
            max_delay=settings.max_delay,
            queue_size=settings.queue_size,
            on_batch=self.metrics.batch_done,
            lanes=LANES if self._apart else 1,
        )

    async def start(self) -> None:
        """Compute a batch of either size once, so that the first request finds all memory there."""
        if self._apart is not None:
            self._apart.leave_cores()
        S = self.predictor.metadata.input_size
        for size in (1, self._settings.batch_size):
            blank = np.zeros((size, S, S, 3), np.uint8)
            await asyncio.to_thread(self._compute, blank)
        self.batcher.start()

    async def close(self) -> None:
        """Answer what is waiting and stop."""
        await self.batcher.close()
        if self._apart is not None:
            self._apart.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def label(self, uploads: Sequence[Upload], options: Options) -> list[dict[str, Any]]:
        """Label images together.

        Returns:
            Values of `boxless.serving.schemas.ImageAnswer`, in order.

        Raises:
            RequestError: An image cannot be used, there is no room, or boxes are asked of a student
                that has no class maps.
        """
        if (options.boxes or options.maps) and not self.predictor.has_maps:
            raise RequestError(
                422,
                "no_maps",
                "this student cannot localize labels: its file has no class maps",
                hint="export it again with this version of boxless",
            )
        with self.batcher.places(len(uploads)):
            prepared = await self._in_threads(self._prepare, uploads)
            found = await _all([self.batcher.submit(image.pixels) for image in prepared])
            rows = [
                (upload, image, *answer)
                for upload, image, answer in zip(uploads, prepared, found, strict=True)
            ]
            if options.boxes or options.maps:
                return await self._in_threads(partial(self._describe, options=options), rows)
            return [self._describe(row, options=options) for row in rows]

    async def _in_threads(
        self, work: Callable[[Any], _Value], values: Sequence[Any]
    ) -> list[_Value]:
        loop = asyncio.get_running_loop()
        return await _all([loop.run_in_executor(self._pool, work, value) for value in values])

    def _prepare(self, upload: Upload) -> Prepared:
        try:
            check_picture(upload.data, max_pixels=self._limits.max_pixels)
            return self.predictor.prepare(upload.data, self._limits)
        except RequestError as fault:
            fault.file = upload.name
            raise
        except DataError as error:
            reason = error.message.removeprefix("image: ")
            raise RequestError(422, "damaged_image", reason, file=upload.name) from error

    def _describe(
        self, row: tuple[Upload, Prepared, Outputs, int], *, options: Options
    ) -> dict[str, Any]:
        upload, image, outputs, index = row
        prediction = self.predictor.describe(outputs, index, image, boxes=options.boxes)
        shown = prediction.labels[: options.top]
        answer: dict[str, Any] = {
            "name": upload.name,
            "width": prediction.width,
            "height": prediction.height,
            "labels": [_rounded(label, 6) | {"present": label.present} for label in shown],
        }
        if options.boxes:
            answer["boxes"] = [
                _rounded(box, 1) | {"score": round(box.score, 4)} for box in prediction.boxes
            ]
        if options.maps:
            names = [label.name for label in shown]
            answer["maps"] = self._heat_maps(prediction, outputs, index, names)
        return answer

    def _heat_maps(
        self, prediction: Prediction, outputs: Outputs, index: int, names: Sequence[str]
    ) -> list[dict[str, Any]]:
        assert outputs.maps is not None
        scale = HEAT_SIDE / max(prediction.width, prediction.height)
        width = max(round(prediction.width * scale), 1)
        height = max(round(prediction.height * scale), 1)
        answers = []
        for name in names:
            values = outputs.maps[index, prediction.classes.index(name)]
            heat = heat_map(values, (width, height), self.predictor.location)
            cells = np.rint(heat * 255).astype(np.uint8).tobytes()
            data = base64.b64encode(cells).decode("ascii")
            answers.append({"name": name, "width": width, "height": height, "data": data})
        return answers


def _rounded(said: Label | Box, digits: int) -> dict[str, Any]:
    return {k: round(v, digits) if isinstance(v, float) else v for k, v in asdict(said).items()}


def _step_back() -> None:
    """Let what computes go first, and not be interrupted: it is what everybody waits for."""
    if sys.platform != "linux":  # elsewhere the priority is the whole process's
        return
    with suppress(OSError):  # in a container that forbids it
        os.setpriority(os.PRIO_PROCESS, 0, min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19))
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


async def _all(futures: "Sequence[asyncio.Future[_Value]]") -> list[_Value]:
    """Wait for all, then raise the first error: nothing is left behind at work."""
    results = []
    for value in await asyncio.gather(*futures, return_exceptions=True):
        if isinstance(value, BaseException):
            raise value
        results.append(value)
    return results
