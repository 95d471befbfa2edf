"""Open weight files of every kind: safetensors, PyTorch archives (tensors only), Caffe models."""

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from boxless.errors import ConfigError, unknown_name
from boxless.files.seals import damage, repair_hint
from boxless.models.caffe_model import read_caffemodel
from boxless.models.pixels import SCHEMES, PixelScheme

ARCHIVES = (".pt", ".pth", ".bin", ".ckpt")
"""PyTorch's own files, read with ``weights_only``: a pickle that may hold nothing but tensors."""

WRAPPERS = ("state_dict", "model", "module")
"""Keys under which training scripts put the state dict."""

SCHEME_KEY = "boxless.pixel_scheme"
"""Metadata key of a safetensors file that names the pixel scheme of its weights."""


@dataclass(frozen=True, slots=True)
class WeightFile:
    """What a weight file holds.

    Attributes:
        tensors: Tensor by name, as the file names them.
        blobs: Blobs by Caffe layer; only of a ``.caffemodel``, which has no tensor names.
        scheme: Pixel scheme that belongs to the weights, or None where the file does not say.
    """

    tensors: dict[str, Tensor]
    blobs: dict[str, list[Tensor]]
    scheme: PixelScheme | None = None


def read_weight_file(path: Path) -> WeightFile:
    """Read a weight file.

    Args:
        path: ``.safetensors``, ``.pth`` (also .pt, .bin, .ckpt) or ``.caffemodel``.

    Raises:
        ConfigError: The file is missing, damaged, or holds anything but tensors.
    """
    if path.suffix == ".caffemodel":
        layers = read_caffemodel(path)
        blobs = {name: [torch.from_numpy(b) for b in found] for name, found in layers.items()}
        return WeightFile({}, blobs, SCHEMES["caffe"])
    if path.suffix in ARCHIVES:
        return WeightFile(read_archive(path), {})
    tensors = read_safetensors(path)
    return WeightFile(tensors, {}, _stated_scheme(path))


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ConfigError: The file is missing, damaged or no safetensors file.
    """
    if path.suffix in {*ARCHIVES, ".pkl"}:
        raise ConfigError(
            f"{path} looks like a pickle; this place takes safetensors only",
            hint="convert it once with `boxless weights convert`",
        )
    try:
        fault = damage(path)
        state: dict[str, Tensor] = {} if fault else load_file(path)
    except FileNotFoundError as error:
        raise ConfigError(
            f"weights file {path} does not exist", hint="name a safetensors file that exists"
        ) from error
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"{path} is not a readable safetensors file: {error}", hint=_copy_hint(path)
        ) from error
    if fault:
        raise ConfigError(
            f"{path} is not a readable safetensors file: {fault}", hint=_copy_hint(path)
        )
    return state


def _copy_hint(path: Path) -> str:
    return f"copy it again; below a run folder {repair_hint(path)}"


def read_archive(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a PyTorch file, without running any code that it may hold.

    Raises:
        ConfigError: The file is missing, damaged, or holds anything but a dict of tensors.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ConfigError(
            f"weights file {path} does not exist", hint="name a weights file that exists"
        ) from error
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"{path} holds more than tensors, or is no PyTorch file: {str(error)[:200]}",
            hint="only state dicts are read: torch.save(model.state_dict(), …)",
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"{path} is not a readable PyTorch file: {str(error)[:200]}", hint="copy it again"
        ) from error
    return _state_dict(found, path)


def _state_dict(found: object, path: Path) -> dict[str, Tensor]:
    inner = found
    if isinstance(found, Mapping):
        inner = next((found[k] for k in WRAPPERS if isinstance(found.get(k), Mapping)), found)
    if not isinstance(inner, Mapping) or not all(isinstance(v, Tensor) for v in inner.values()):
        raise ConfigError(
            f"{path} holds no state dict: expected names with tensors, found"
            f" {type(found).__name__}",
            hint="save it with torch.save(model.state_dict(), …)",
        )
    return {str(name).removeprefix("module."): value for name, value in inner.items()}


def _stated_scheme(path: Path) -> PixelScheme | None:
    with safe_open(path, "pt") as file:
        name = (file.metadata() or {}).get(SCHEME_KEY)
    if name is None:
        return None
    if name not in SCHEMES:
        raise ConfigError(
            f"{path}: {unknown_name('pixel scheme', name, SCHEMES)}",
            hint="write it again with `boxless weights convert`",
        )
    return SCHEMES[name]
