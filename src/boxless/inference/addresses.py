"""Where a student lies: here, in a store of objects, on the web, or on the Hugging Face Hub."""

import re
from pathlib import Path
from typing import Final

from boxless.errors import ConfigError, MissingExtraError, RunError
from boxless.files.downloads import downloaded, is_web
from boxless.files.paths import AnyPath, place

HUB: Final = "hf://"
HUB_FILE: Final = "student.onnx"
_REPOSITORY: Final = re.compile(r"hf://([\w.-]+/[\w.-]+?)(?:@([\w.-]+))?(?:/(.+\.onnx))?/?")


def student_place(address: str | AnyPath) -> AnyPath:
    """The place of a student; what lies on the web or on the Hub is downloaded and kept.

    Args:
        address: A path, an object such as ``s3://bucket/student.onnx``,
            ``https://…/student.onnx#sha256=…``, or ``hf://OWNER/NAME``, with ``@REVISION`` or
            ``/FILE.onnx`` behind it where those are not the newest and ``student.onnx``.

    Raises:
        ConfigError: It is no such address.
        MissingExtraError: ``huggingface_hub`` is not installed.
        RunError: It cannot be downloaded.
        StoreError: It has another checksum.
    """
    text = str(address)
    if isinstance(address, Path):
        return address
    if text.startswith(HUB):
        return _from_hub(text)
    return downloaded(text) if is_web(text) else place(address)


def _from_hub(address: str) -> Path:
    found = _REPOSITORY.fullmatch(address)
    if found is None:
        raise ConfigError(
            f"expected hf://OWNER/NAME, hf://OWNER/NAME@REVISION or hf://OWNER/NAME/FILE.onnx,"
            f" found {address}",
            hint="OWNER/NAME is what stands at the top of the model's page on the Hub",
        )
    repository, revision, file = found.groups()
    try:
        from huggingface_hub import hf_hub_download  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub") from error
    try:
        path: str = hf_hub_download(repository, file or HUB_FILE, revision=revision)
    except Exception as error:  # the library's own, and those of whichever it speaks HTTP with
        reason = " ".join(str(error).split())[:300]
        raise RunError(
            f"{address} cannot be downloaded: {reason}",
            hint="look at the name and at the network; a private model needs `hf auth login`; only"
            f" folders of `boxless export RUN --push` have a {HUB_FILE}",
        ) from error
    return Path(path)
