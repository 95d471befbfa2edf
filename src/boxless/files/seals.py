"""Checksums inside the files they guard, so that no flipped bit and no lost byte is ever read.

A sealed file carries ``boxless-seal:<SHA-256>:boxless-seal`` near its beginning: as metadata of a
safetensors or ONNX file, as first key of a JSON object. The digest is that of all other bytes. The
file stays what it is for every other program, is replaced in one step, and needs no second file.
The word stands on both sides of the digits, so that damage to one of them does not make a sealed
file look like one without a seal, as earlier versions and other programs write them.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from boxless.errors import StoreError
from boxless.files.atomic import replacing
from boxless.files.paths import AnyPath

KEY = "seal"
"""Key of the seal in a file's metadata, or in a JSON object."""

_OPEN, _CLOSE, _DIGITS = b"boxless-seal:", b":boxless-seal", 64
_BLANK = _OPEN + b"0" * _DIGITS + _CLOSE
_NEAR = 256  # bytes at the beginning of a file among which the seal stands
_PIECE = 1 << 20


def write_sealed(path: AnyPath, data: bytes) -> None:
    """Write a file with a seal, in one step; see `sealed`. Its folder must be there.

    Raises:
        RunError: The disk is full, or the folder cannot be written or has vanished; nothing was
            changed.
    """
    head, rest = _parts(data, path.suffix)
    with replacing(path, expected=len(head) + len(rest), make_folder=False) as file:
        file.write(head)
        file.write(rest)


def sealed(data: bytes, kind: str) -> bytes:
    """Content of a file of a kind (``.safetensors``, ``.json`` or ``.onnx``) with a seal."""
    return b"".join(_parts(data, kind))


def damage(path: Path) -> str:
    """What is wrong with a file; "" if nothing is, or if it carries no seal.

    All of it is read, about 1 GB in a second; `OSError` if it cannot be.
    """
    with path.open("rb") as file:
        start = file.read(_NEAR)
        place = _place(start)
        if place is None:
            return ""
        noted = start[place : place + _DIGITS].decode("latin-1")
        found = _digest(start[:place], start[place + _DIGITS :], file)
    if noted == found:
        return ""
    return f"its checksum is {found[:12]}…, {noted[:12]!a}… was noted when it was written"


def require_whole(path: Path) -> None:
    """Refuse (`StoreError`) a file that is not as it was written; one without a seal passes."""
    fault = damage(path)
    if fault:
        raise StoreError(f"{path} is damaged: {fault}", hint=repair_hint(path))


def repair_hint(path: AnyPath) -> str:
    """What to do about a damaged file of a run folder or store."""
    return (
        f"`boxless verify {path.parent} --repair` removes what is damaged there; the command that"
        " made it then makes just that again"
    )


def _parts(data: bytes, kind: str) -> tuple[bytes, memoryview]:
    """The beginning of a file with its seal, and all that follows unchanged."""
    head, taken = _HEADS[kind](data)
    rest = memoryview(data)[taken:]
    place = head.index(_OPEN) + len(_OPEN)
    digest = hashlib.sha256(head[:place] + head[place + _DIGITS :])
    digest.update(rest)
    return head[:place] + digest.hexdigest().encode() + head[place + _DIGITS :], rest


def _safetensors_head(data: bytes) -> tuple[bytes, int]:
    """Length (8 bytes, little endian) and JSON header; docs: the format of safetensors."""
    taken = 8 + int.from_bytes(data[:8], "little")
    header, opening = data[8:taken].rstrip(b" "), b'{"__metadata__":{'
    rest = header.removeprefix(opening)
    if rest == header:
        rest = b"}" + (b"," + header[1:] if header != b"{}" else b"}")
    elif not rest.startswith(b"}"):
        rest = b"," + rest
    new = opening + b'"' + KEY.encode() + b'":"' + _BLANK + b'"' + rest
    new += b" " * (-len(new) % 8)  # tensors stay aligned
    return len(new).to_bytes(8, "little") + new, taken


def _json_head(data: bytes) -> tuple[bytes, int]:
    """The seal as first key of the object."""
    if not data.startswith(b"{"):
        raise ValueError("only a JSON object can be sealed")
    comma = b"" if data[1:].lstrip().startswith(b"}") else b","
    return b'{"' + KEY.encode() + b'": "' + _BLANK + b'"' + comma, 1


def _onnx_head(_: bytes) -> tuple[bytes, int]:
    """An entry of ``metadata_props`` (field 14 of ModelProto); protobuf's fields have no order."""
    entry = b"\x0a" + _sized(KEY.encode()) + b"\x12" + _sized(_BLANK)
    return b"\x72" + _sized(entry), 0


def _sized(text: bytes) -> bytes:
    """A length below 128 and what it counts."""
    return bytes([len(text)]) + text


_HEADS: dict[str, Callable[[bytes], tuple[bytes, int]]] = {
    ".safetensors": _safetensors_head,
    ".json": _json_head,
    ".onnx": _onnx_head,
}


def _place(start: bytes) -> int | None:
    """Where the digits of a seal begin; None where neither of its words is found."""
    opening, closing = start.find(_OPEN), start.find(_CLOSE)
    if opening >= 0:
        return opening + len(_OPEN)
    return max(0, closing - _DIGITS) if closing >= 0 else None


def _digest(before: bytes, after: bytes, file: BinaryIO) -> str:
    digest = hashlib.sha256(before)
    digest.update(after)
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
