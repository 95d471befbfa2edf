"""Where the images of a table lie."""

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path

from boxless.data.columns import Roles
from boxless.data.find_images import SUFFIXES
from boxless.data.image_files import FolderListings
from boxless.data.options import Options, absolute
from boxless.data.sheet import Sheet
from boxless.files.paths import AnyPath, RemotePath, is_url, place

_SAMPLE = 40


class TablePlaces:
    """Finds the files that a table names, and their ids.

    Attributes:
        notes: What to tell about the folder of the images.
    """

    def __init__(self, sheet: Sheet, roles: Roles, options: Options, base: AnyPath) -> None:
        self.notes: list[str] = []
        self._base = base
        self._listings = FolderListings()
        self._root = options.text("root")
        self._elsewhere = False
        self._folders: dict[AnyPath, AnyPath] = {}
        at = sheet.header.index(roles.path)
        for row in sheet.rows:
            if row.file.parent not in self._folders:
                names = [str(r.cells[at]) for r in sheet.rows if r.file == row.file]
                self._folders[row.file.parent] = self._folder(row.file.parent, names[:_SAMPLE])

    def locate(self, written: str, table: AnyPath) -> tuple[str, str]:
        """Where an image lies that a table names, and its id."""
        folder = self._folders[table.parent]
        if is_url(written):
            return written, written.removeprefix(f"{self._base}/")
        if isinstance(folder, RemotePath):
            inner = posixpath.normpath(written)
            return str(folder.joined(inner)), inner
        path = self._completed(_joined(folder, written))
        if self._root is not None and path not in self._listings:
            path = self._by_name(path, folder)
        # text, not paths: those keep every name they ever saw
        inside = os.path.join(str(self._base), "")  # noqa: PTH118
        if path.startswith(inside):
            return path, path.removeprefix(inside).replace(os.sep, "/")
        return path, Path(written).as_posix()

    def _by_name(self, path: str, root: Path) -> str:
        """The file of that name in the folder of the images, where the table names another."""
        near = self._completed(_joined(root, Path(path).name))
        if near == path or near not in self._listings:
            return path
        if not self._elsewhere:
            self._elsewhere = True
            self.notes.append(
                f"images named by a place elsewhere are found in {root}, first {near}"
            )
        return near

    def _folder(self, folder: AnyPath, names: Sequence[str]) -> AnyPath:
        """The folder that names are relative to: the table's, or one in it that holds them all."""
        if self._root is not None:
            root = place(self._root)
            return (
                root if isinstance(root, RemotePath) else absolute(folder / str(root.expanduser()))
            )
        if isinstance(folder, RemotePath) or any(self._is_there(folder, name) for name in names):
            return folder
        try:
            inner = sorted(entry for entry in folder.iterdir() if entry.is_dir())
        except OSError:
            return folder
        for candidate in inner:
            if all(self._is_there(candidate, name) for name in names):
                self.notes.append(f"images are in the folder {candidate.name} beside the table")
                return candidate
        return folder

    def _is_there(self, folder: Path, name: str) -> bool:
        return is_url(name) or self._completed(_joined(folder, name)) in self._listings

    def _completed(self, path: str) -> str:
        """The path with the ending its file has, where a table leaves that out."""
        if Path(path).suffix.lower() in SUFFIXES or path in self._listings:
            return path
        return next((path + s for s in sorted(SUFFIXES) if path + s in self._listings), path)


def _joined(folder: Path, written: str) -> str:
    slashed = written.replace("\\", "/")
    return os.path.normpath(os.path.join(folder, os.path.expanduser(slashed)))  # noqa: PTH111, PTH118
