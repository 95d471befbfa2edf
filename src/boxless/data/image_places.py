"""Where the images lie that an export names: programs write other folders than they pack."""

import os
from collections.abc import Sequence
from pathlib import Path

from boxless.data.find_images import SUFFIXES
from boxless.data.image_files import FolderListings, stays_inside
from boxless.data.options import Options
from boxless.errors import DataError


class ImagePlaces:
    """Finds the file of a name in a list that comes from elsewhere.

    Args:
        folders: The folder all must lie in, and folders to look into, the likeliest first.
        options: ``root=DIR`` names the folder of the images; ``outside=refuse|allow`` is about
            names that lead out of it, unless a file of that name lies inside.
        spec: The data set as the user would write it to allow that, for the message.
    """

    def __init__(self, folders: Sequence[Path], options: Options, *, spec: str) -> None:
        asked = options.text("root")
        if asked is not None:
            root = folders[0] / Path(asked).expanduser()
            folders = [root, root]
        self._top = folders[0]
        self._folders = list(dict.fromkeys(folders[1:]))
        self._allow = options.one_of("outside", "refuse", "allow") == "allow"
        self._spec = spec
        self._listings = FolderListings()
        self._absolute = 0

    @property
    def notes(self) -> list[str]:
        """What to tell about the names."""
        if not self._absolute:
            return []
        return [f"{self._absolute} images are named by a place elsewhere and found by file name"]

    def locate(self, name: str, source: str) -> str:
        """Path of an image.

        Raises:
            DataError: It lies outside of the folder and that is not allowed.
        """
        slashed = name.replace("\\", "/")
        if not stays_inside(slashed):
            return self._outside(slashed, source)
        places = [f"{folder}/{slashed}" for folder in self._folders]
        found = next((place for place in places if place in self._listings), None)
        if found is None:  # a folder too many before the name
            found = self._by_file_name(slashed)
        if found is None and not Path(slashed).suffix:
            ended = (place + suffix for place in places for suffix in sorted(SUFFIXES))
            found = next((place for place in ended if place in self._listings), None)
        return found or places[0]

    def _outside(self, name: str, source: str) -> str:
        climbs = ".." in name.split("/") or "\0" in name
        places = [_joined(folder, name) for folder in self._folders]
        for place in places:
            inside = place.startswith(f"{self._top}{os.sep}") and not climbs
            if (self._allow or inside) and place in self._listings:
                return place
        found = None if climbs else self._by_file_name(name)
        if found is not None:
            self._absolute += 1
            return found
        if self._allow:
            return places[0]
        raise DataError(
            f"{source}: expected an image inside the folder of the images, found {name!r}",
            hint=f"if you trust the list, allow it: {self._spec}",
        )

    def _by_file_name(self, name: str) -> str | None:
        base = name.rpartition("/")[2]
        places = [f"{folder}/{base}" for folder in self._folders]
        return next((place for place in places if base and place in self._listings), None)


def _joined(folder: Path, name: str) -> str:
    return os.path.normpath(os.path.join(folder, os.path.expanduser(name)))  # noqa: PTH111, PTH118
