"""Image files as cameras, browsers and broken copies leave them, and names of files and classes."""
# ruff: noqa: E501  (a table of cases: one reads across)

import struct
import zlib

import numpy as np
from PIL import Image
from workshop import FOUR, PARTS, case, picture, saved, table

GREY = Image.fromarray(np.arange(24 * 32, dtype=np.uint8).reshape(24, 32))
RGB = Image.merge("RGB", (GREY, GREY, GREY))
ROWS = table(
    ("path", "labels", "split"), *zip(FOUR, ("cat", "dog", "cat", "dog"), PARTS, strict=True)
)
SOUND = "cat 2, dog 2; train 2, test 2"


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(RGB, "JPEG", exif=exif)


def huge_png(side=60_000) -> bytes:
    """The head of a PNG that would need gigabytes."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def animated(kind) -> bytes:
    frames = [Image.new("RGB", (32, 24), (40 * n, 90, 200 - 40 * n)) for n in range(3)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def deep() -> bytes:
    return saved(Image.fromarray(np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 80), "PNG")


def good(given, content, name="a.jpg"):
    """A file in place of the first image that is read like any other."""
    files = {**FOUR, "t.csv": ROWS.replace("a.jpg", name), name: content}
    return case(given, "data check csv:t.csv", SOUND, files=files)


def bad(given, content, *right, name="a.jpg"):
    """A file in place of the first image that cannot be read."""
    files = {**FOUR, "t.csv": ROWS.replace("a.jpg", name), name: content}
    return case(
        given,
        "data check csv:t.csv",
        "1 of 4 images cannot be used",
        name,
        *right,
        files=files,
        code=2,
    )


IMAGES = (
    good("16 bits per sample", deep(), "a.png"),
    good("CMYK", saved(RGB.convert("CMYK"), "JPEG")),
    good("turned by EXIF", turned()),
    good("grey", saved(GREY, "JPEG")),
    good("black and white", saved(GREY.convert("1"), "PNG"), "a.png"),
    good("a palette with a transparent colour", saved(RGB.convert("P"), "PNG", transparency=0), "a.png"),
    good("grey with transparency", saved(GREY.convert("LA"), "PNG"), "a.png"),
    good("floating point TIFF", saved(GREY.convert("F"), "TIFF"), "a.tif"),
    good("several pages", animated("TIFF"), "a.tiff"),
    good("an animated GIF", animated("GIF"), "a.gif"),
    good("an animated WebP", animated("WEBP"), "a.webp"),
    good("AVIF", saved(RGB, "AVIF"), "a.avif"),
    good("JPEG 2000", saved(RGB, "JPEG2000"), "a.jp2"),
    good("BMP", saved(RGB, "BMP"), "a.bmp"),
    good("a PNG named `.jpg`", saved(RGB, "PNG")),
    good("a JPEG without ending", picture(0), "a"),
    good("one pixel", saved(Image.new("RGB", (1, 1)), "PNG"), "a.png"),
    good("3,000 pixels by 1", saved(Image.new("RGB", (3000, 1)), "PNG"), "a.png"),
    good("bytes behind the end", picture(0) + b"\0" * 500),
    good("EXIF that is damaged", picture(0)[:2] + b"\xff\xe1\x00\x10Exif\0\0MM\0\xff\xff\xff\xff\xff" + picture(0)[2:]),
    bad("cut off", picture(0)[:400], "damaged (Truncated"),
    bad("zero bytes", b"", "empty (0 bytes)"),
    bad("a text named `.jpg`", "no image", "not an image"),
    bad("a web page saved as `.jpg`", "<!DOCTYPE html><html></html>", "a web page"),
    bad("SVG", '<svg xmlns="http://www.w3.org/2000/svg"/>', "export it as PNG", name="a.svg"),
    bad("PDF", b"%PDF-1.7\n", "a PDF file", name="a.pdf"),
    bad("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC file", "pillow-heif", name="a.heic"),
    bad("HEIC that a phone has named `.jpg`", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC file"),
    bad("60,000 x 60,000 pixels", huge_png(), "pixels", name="a.png"),
    bad("a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a pointer of Git LFS: `git lfs pull`"),
    bad("a folder named `a.jpg`", lambda path: path.mkdir(), ""),
    case("a link to nowhere", "data check csv:t.csv", "a.jpg: image file is missing", code=2,
         files={**FOUR, "t.csv": ROWS, "a.jpg": lambda path: path.symlink_to("gone.jpg")}),
    case("the same picture in train and test", "data check csv:t.csv", SOUND, "the same file in two splits: a.jpg = d.jpg", files={**FOUR, "d.jpg": FOUR["a.jpg"], "t.csv": ROWS}),
    case("unreadable, `--skip-bad`", "data check csv:t.csv --skip-bad", SOUND, files={**FOUR, "a.jpg": b"", "t.csv": ROWS}),
)  # fmt: skip


def named(given, name, shown=None, *, spec="csv:t.csv"):
    """A file of that name in place of the first image."""
    rows = table(
        ("path", "labels", "split"),
        *zip((name, *list(FOUR)[1:]), ("cat", "dog", "cat", "dog"), PARTS, strict=True),
    )
    return case(
        given,
        ("data", "check", spec),
        shown or SOUND,
        files={**FOUR, "t.csv": rows, name: picture(0)},
    )


def classed(given, name, shown=None):
    """A class of that name."""
    rows = table(
        ("path", "labels", "split"), *zip(FOUR, (name, "dog", name, "dog"), PARTS, strict=True)
    )
    return case(
        given,
        "data check csv:t.csv,label_separator=none",
        f"{name if shown is None else shown} 2",
        files={**FOUR, "t.csv": rows},
    )


NAMES = (
    named("umlauts", "k\u00e4tzchen.jpg"),
    named("Chinese", "\u732b.jpg"),
    named("emoji", "\U0001f408.jpg"),
    named("blanks", "my cat (1).jpg"),
    named("a comma", "a, b.jpg"),
    named("a quote", 'the "cat".jpg'),
    named("a line end", "a\nb.jpg"),
    named("markup, `[red]x.jpg`", "[red]x.jpg"),
    named("`[/b].jpg`", "[/b].jpg"),
    named("brackets and a star", "a[1]*.jpg"),
    named("a percent sign", "100%25.jpg"),
    named("a hash", "a#1.jpg"),
    named("a hyphen first", "-a.jpg"),
    named("240 letters", "x" * 240 + ".jpg"),
    named("names that differ in case alone", "B.jpg"),
    named("a folder `[red]x`", "[red]x/a.jpg"),
    named("a folder with a comma", "x,y/a.jpg"),
    case("a table in a folder `[red]x, y`", ("data", "check", "csv:[red]x, y/t.csv"), SOUND,
         files={f"[red]x, y/{n}": c for n, c in {**FOUR, "t.csv": ROWS}.items()}),
    case("a path in `file://`", "data check csv:t.csv", "file:", files={**FOUR, "t.csv": ROWS.replace("a.jpg", "file:///a.jpg")}, code=2),
    case("a name of 300 letters that cannot be", "data check csv:t.csv", "1 of 4 images cannot be used: xxx", code=2,
         files={**FOUR, "t.csv": ROWS.replace("a.jpg", "x" * 300 + ".jpg")}),
    classed("class `[/b]`", "[/b]"),
    classed("class `[red]dog`", "[red]dog"),
    classed("class `:smile:`", ":smile:"),
    classed("a class in Chinese", "\u732b"),
    classed("a class of emoji that are joined", "\U0001f468\u200d\U0001f469"),
    classed("class `a;b|c`", "a;b|c"),
    classed("class `=1+1`", "=1+1"),
    classed("class `<b>`", "<b>"),
    classed("a class that steers the terminal", "a\x1b[2J", "a\\x1b[2J"),
    classed("a class of 500 letters", "x" * 500),
)  # fmt: skip
