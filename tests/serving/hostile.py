"""Files that a stranger may send. Each entry: name -> (content, statuses that are right)."""

import gzip
import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

OK, REFUSED = frozenset((200,)), frozenset((400, 413, 415, 422))
RNG = np.random.default_rng(0)


def picture(size=(40, 30), mode="RGB") -> Image.Image:
    pixels = RNG.integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *extra: bytes, data: bytes = b"", depth=1, colour=0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pieces = [chunk(b"IHDR", header), *extra]
    if data:
        pieces.append(chunk(b"IDAT", data))
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces) + chunk(b"IEND", b"")


def jpeg_of_size(width, height) -> bytes:
    """A small JPEG whose header claims another size."""
    data = bytearray(encoded(picture(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff_of_size(width, height) -> bytes:
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    entries += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, 100)]
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    count = struct.pack("<H", len(entries))
    return b"II*\0" + struct.pack("<I", 8) + count + body + bytes(4) + bytes(100)


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a.txt", "hello")
    return file.getvalue()


def animated(kind: str) -> bytes:
    frames = [picture() for _ in range(5)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture((40, 30)), "JPEG", exif=exif)


def many_scans() -> bytes:
    data = encoded(picture((64, 64)), "JPEG", progressive=True)
    at = data.index(b"\xff\xda")
    end = data.index(b"\xff", at + 14)
    while data[end + 1] == 0:
        end = data.index(b"\xff", end + 1)
    return data[:end] + data[at:end] * 500 + data[end:]


def unusable_files() -> dict[str, tuple[bytes, frozenset[int]]]:
    """Files that must be refused."""
    halves = {
        f"truncated.{kind.lower()}": encoded(picture(), kind)
        for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
    }
    lines = zlib.compress(bytes(20_000 * 2_501), 9)
    files = {
        "empty": b"",
        "text": b"no image at all",
        "page.html": b"<!doctype html><script>alert(1)</script>",
        "vector.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "entities.svg": b'<!DOCTYPE s [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><svg>&c;</svg>',
        "document.pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(ls) run\n",
        "archive.zip": archive(),
        "bomb.gz": gzip.compress(bytes(1_000_000)),
        "program": b"\x7fELF\x02\x01\x01" + bytes(57),
        "noise": RNG.bytes(5000),
        "zeros": bytes(5000),
        "signature.png": b"\x89PNG\r\n\x1a\n",
        "signature.jpg": b"\xff\xd8\xff\xe0",
        "signature.webp": b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        "header-bomb.png": png(30_000, 30_000),
        "zlib-bomb.png": png(20_000, 20_000, data=lines),
        "largest.png": png(2**31 - 1, 2**31 - 1),
        "nothing-wide.png": png(0, 10, data=zlib.compress(b"\0" * 20)),
        "wrong-crc.png": encoded(picture(), "PNG").replace(b"IDAT", b"IDAX", 1),
        "claims-much.jpg": jpeg_of_size(65_000, 65_000),
        "claims-more-rows.jpg": jpeg_of_size(40, 20_000)[:400],
        "claims-much.gif": b"GIF89a\xff\xff\xff\xff" + encoded(picture(), "GIF")[10:],
        "claims-much.tiff": tiff_of_size(100_000, 100_000),
        "claims-much.bmp": b"BM"
        + struct.pack("<IHHI", 60, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 90_000, 90_000, 1, 24, 0, 0, 0, 0, 0, 0),
        "claims-much.ppm": b"P6 100000 100000 255\n",
        "many-scans.jpg": many_scans(),
        "not-finite.tiff": encoded(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"),
        "icon.ico": encoded(picture((16, 16)), "ICO"),
        "targa.tga": encoded(picture(), "TGA"),
        "sgi.sgi": encoded(picture(), "SGI"),
        "pcx.pcx": encoded(picture(), "PCX"),
        "jpeg2000.jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
        "photoshop.psd": b"8BPS\0\x01" + bytes(60),
        **{name: data[: len(data) // 2] for name, data in halves.items()},
    }
    return {name: (data, REFUSED) for name, data in files.items()}


def strange_files() -> dict[str, tuple[bytes, frozenset[int]]]:
    """Files that look odd and are images all the same."""
    text = chunk(b"tEXt", b"Comment\0" + b"x" * 100_000)
    inflated = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9))
    pixel = zlib.compress(b"\0\0")
    broken_exif = b"Exif\0\0MM\0*\xff\xff\xff\xff\0\x09"
    deep = Image.fromarray(RNG.integers(0, 65_536, (9, 9), np.uint16))
    lab = Image.frombytes("LAB", (9, 9), RNG.bytes(243))
    files = {
        "one-pixel.png": encoded(picture((1, 1)), "PNG"),
        "wide.png": encoded(picture((20_000, 1)), "PNG"),
        "tall.png": encoded(picture((1, 20_000)), "PNG"),
        "wide.jpg": encoded(picture((20_000, 1)), "JPEG"),
        "deep-grey.png": encoded(deep, "PNG"),
        "bits.png": encoded(picture(mode="1"), "PNG"),
        "cmyk.jpg": encoded(picture(mode="CMYK"), "JPEG"),
        "lab.tiff": encoded(lab, "TIFF"),
        "float.tiff": encoded(picture(mode="F"), "TIFF"),
        "transparent.png": encoded(picture(mode="RGBA"), "PNG"),
        "palette.gif": encoded(picture(mode="P"), "GIF", transparency=0),
        "animated.gif": animated("GIF"),
        "animated.webp": animated("WEBP"),
        "animated.png": animated("PNG"),
        "two-pictures.mpo": encoded(picture(), "MPO", save_all=True, append_images=[picture()]),
        "turned.jpg": rotated(),
        "broken-exif.jpg": encoded(picture(), "JPEG", exif=broken_exif),
        "broken-profile.png": encoded(picture(), "PNG", icc_profile=b"no profile"),
        "long-text.png": png(1, 1, text, data=pixel),
        "jpeg-and-zip.jpg": encoded(picture(), "JPEG") + archive(),
        "jpeg-and-page.jpg": encoded(picture(), "JPEG", comment=b"<script>alert(1)</script>"),
        "gif-and-script.gif": encoded(picture(), "GIF") + b"/*<script>*/",
    }
    found = {name: (data, OK) for name, data in files.items()}
    # Pillow may refuse or ignore text that grows five hundredfold; both are right.
    return found | {"text-bomb.png": (png(1, 1, inflated, data=pixel), OK | REFUSED)}
