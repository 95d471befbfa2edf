"""Fonts for names of any script: Pillow's own knows ASCII, the machine's may know more."""

from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

# Found by name where the system keeps its fonts: Linux, Windows, macOS.
_NAMES = (
    "DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "arial.ttf", "msyh.ttc",
    "segoeui.ttf", "seguiemj.ttf", "Arial Unicode.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc",
)  # fmt: skip


@lru_cache(maxsize=1024)
def readable(text: str, size: int) -> tuple[Font, str]:
    r"""A font for a text on one line, and the text as it can be written in it.

    The first font that has all signs; else Pillow's own, and the text with escapes such as
    ``\u732b`` for those it lacks: never the same empty box for all.
    """
    own = ImageFont.load_default(size)
    for font in (own, *_installed(size)):
        if all(_has(font, sign) for sign in text):
            return font, text
    signs = (x if _has(own, x) else x.encode("ascii", "backslashreplace").decode() for x in text)
    return own, "".join(signs)


@lru_cache(maxsize=32)
def _installed(size: int) -> tuple[Font, ...]:
    fonts: list[Font] = []
    for name in _NAMES:
        try:
            fonts.append(ImageFont.truetype(name, size))
        except (OSError, ImportError):  # not there, or Pillow without FreeType
            continue
    return tuple(fonts)


def _has(font: Font, sign: str) -> bool:
    """Whether a font has a sign; one that it lacks looks like one that does not exist."""
    try:
        return sign == " " or bytes(font.getmask(sign)) != bytes(font.getmask("\uffff"))
    except UnicodeEncodeError:  # Pillow's font without FreeType knows Latin letters only
        return sign.isascii()
