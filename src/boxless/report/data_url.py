"""Pictures as ``data:`` addresses, so that a page needs no second file."""

import base64
import io

from PIL import Image


def jpeg_url(picture: Image.Image) -> str:
    """An RGB picture as a JPEG in base64."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=84, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
