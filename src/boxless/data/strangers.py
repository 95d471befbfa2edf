"""Files that stand where an image is expected, told by how they begin."""

from typing import Final

from boxless.data.find_images import HEIF_READER

HEAD: Final = 64
"""Bytes that `stranger` needs."""

_BEGINNINGS: Final = (
    (b"version https://git-lfs", "a pointer of Git LFS: `git lfs pull` fetches the image"),
    (b"%PDF", "a PDF file"),
    (b"<svg", "an SVG drawing, which has no pixels: export it as PNG"),
    (b"<?xml", "an XML file, such as an SVG drawing"),
    (b"<!doctype", "a web page: the download failed, or needs a login"),
    (b"<html", "a web page: the download failed, or needs a login"),
)
_HEIF_BRANDS: Final = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def stranger(head: bytes) -> str:
    """What a file is that Pillow cannot read, and what to do; "" where nothing tells.

    Args:
        head: Its first `HEAD` bytes.
    """
    if head[4:8] == b"ftyp":
        if head[8:12] in _HEIF_BRANDS:
            return f"a HEIC file, whatever its name: convert it to JPEG, {HEIF_READER}"
        return "a video, or an image of a kind that Pillow does not read here"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((told for mark, told in _BEGINNINGS if start.startswith(mark.lower())), "")
