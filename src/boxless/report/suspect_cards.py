"""A picture of a suspicious tag, or of an image to tag next, for pages."""

from dataclasses import dataclass
from typing import Final

from PIL import Image

from boxless.data.suspects import Suspect, ToTag
from boxless.report.data_url import jpeg_url
from boxless.types import UInt8Array

_LONGER_SIDE: Final = 300


@dataclass(frozen=True, slots=True)
class Card:
    """One picture of the page.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        about: The tag that is suspicious, or why the image is worth tagging.
    """

    image: UInt8Array
    about: Suspect | ToTag

    @property
    def url(self) -> str:
        """The image as a ``data:`` address, its longer side at most 300 pixels."""
        picture = Image.fromarray(self.image)
        picture.thumbnail((_LONGER_SIDE, _LONGER_SIDE))
        return jpeg_url(picture)
