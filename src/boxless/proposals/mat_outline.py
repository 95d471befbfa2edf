"""Look whether a MATLAB file is built as one before SciPy reads it.

SciPy's reader follows the types that a file names without looking whether they fit: a cell array
that calls itself a matrix of numbers ends the process. Here the outline of the variables that are
wanted is walked: each is made of cells, texts and numbers, and each element has a type that its
class may have. The format: "MAT-File Format", MathWorks, level 5.
"""

import struct
import zlib
from collections.abc import Collection, Iterator
from math import prod
from typing import NamedTuple

_CELL, _CHAR = 1, 4
_NUMBERS = frozenset(range(6, 16))  # classes: double to uint64
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_TEXT_TYPES = frozenset((1, 2, 3, 4, 16, 17, 18))
_NUMBER_TYPES = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 12, 13))
_COMPLEX = 1 << 11
_HEADER = 128
_DEPTH = 8  # cells in cells


class _Element(NamedTuple):
    kind: int
    data: memoryview
    end: int


def check_outline(content: bytes, wanted: Collection[str]) -> list[str]:
    """Look at the elements of a file of MATLAB 5 to 7.2.

    Args:
        content: Of the file; one in the HDF5 format of ``-v7.3`` is left to SciPy to refuse.
        wanted: Names of the variables that will be read; others may be of any class.

    Returns:
        Names of all variables.

    Raises:
        ValueError: It is no such file, or an element does not fit.
        zlib.error: A compressed variable is damaged.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:_HEADER])
    if order is None or 0 in content[:4]:
        raise ValueError("it does not begin as a file of MATLAB 5 or later does")
    major = struct.unpack(f"{order}H", content[124:126])[0] >> 8
    if major == 2:
        return []
    if major != 1:
        raise ValueError(f"it calls itself version {major} of the format, known is 1")
    view, place, names = memoryview(content), _HEADER, []
    while place < len(view):
        element = _element(view, place, order)
        place = element.end
        if element.kind == _COMPRESSED:
            element = _element(memoryview(zlib.decompress(element.data)), 0, order)
        if element.kind != _MATRIX:
            raise ValueError(f"expected a variable, found an element of type {element.kind}")
        names.append(_check_matrix(element.data, order, wanted, 0))
    return names


def _element(view: memoryview, place: int, order: str) -> _Element:
    """The element at a place; small ones have type and size in one word."""
    if place + 8 > len(view):
        raise ValueError("it ends within an element")
    kind, size = struct.unpack_from(f"{order}II", view, place)
    if kind >> 16:
        kind, size, start, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        if size > 4:
            raise ValueError(f"a small element of {size} bytes")
    else:
        start = place + 8
        end = start + size if kind == _COMPRESSED else start + size + -size % 8
    if start + size > len(view):
        raise ValueError("it ends within an element")
    return _Element(kind, view[start : start + size], end)


def _elements(view: memoryview, order: str) -> Iterator[_Element]:
    place = 0
    while place < len(view):
        element = _element(view, place, order)
        place = element.end
        yield element


def _check_matrix(view: memoryview, order: str, wanted: Collection[str], depth: int) -> str:
    """The name of a variable, or of a cell of one; an empty cell has no elements."""
    if depth and not view.nbytes:
        return ""
    elements = _elements(view, order)
    head = [next(elements, None) for _ in range(3)]
    flags, shape, name = head
    if flags is None or shape is None or name is None:
        raise ValueError("a variable without class, shape or name")
    kinds = (flags.kind, flags.data.nbytes, shape.kind, shape.data.nbytes % 4, name.kind)
    if kinds != (_UINT32, 8, _INT32, 0, _INT8):
        raise ValueError("class, shape or name of a variable has another type")
    called = bytes(name.data).decode("latin-1")
    if not depth and called not in wanted:
        return called
    (word,) = struct.unpack_from(f"{order}I", flags.data)
    sides = struct.unpack(f"{order}{shape.data.nbytes // 4}i", shape.data)
    _check_parts(word, sides, list(elements), order, depth)
    return called


def _check_parts(
    word: int, sides: tuple[int, ...], parts: list[_Element], order: str, depth: int
) -> None:
    kind, kinds = word & 0xFF, {part.kind for part in parts}
    if kind == _CELL:
        if min(sides, default=0) < 0 or prod(sides) != len(parts) or kinds - {_MATRIX}:
            raise ValueError(f"{len(parts)} elements do not make cells of shape {sides}")
        if depth == _DEPTH:
            raise ValueError(f"cells are nested more than {_DEPTH} deep")
        for part in parts:
            _check_matrix(part.data, order, (), depth + 1)
    elif kind == _CHAR or kind in _NUMBERS:
        number = kind in _NUMBERS
        allowed = _NUMBER_TYPES if number else _TEXT_TYPES
        if kinds - allowed or len(parts) != 1 + bool(number and word & _COMPLEX):
            raise ValueError(f"an array of class {kind} holds elements of types {sorted(kinds)}")
    else:
        raise ValueError(f"an array of class {kind}; cells, texts and numbers are read")
