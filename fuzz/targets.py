"""What is fuzzed: every reader of a file that may come from elsewhere, one function a format.

A target takes bytes as the content of a file and reads them the way boxless does. An error of
`boxless.errors` that names the file is a right answer; any other exception, a text that tells a
user nothing, a crash or a hang is a finding.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save

from boxless.data.authors_list import read as read_list
from boxless.data.coco_json import read_instances
from boxless.data.cvat import read as read_cvat
from boxless.data.fiftyone import read as read_fiftyone
from boxless.data.images import ImageLimits, decode_image
from boxless.data.label_studio import read as read_label_studio
from boxless.data.nus_wide import read_flat
from boxless.data.simple_yaml import read_simple_yaml
from boxless.data.suspects import read_verdicts
from boxless.data.table import read as read_csv
from boxless.data.voc_xml import read_objects
from boxless.errors import BoxlessError
from boxless.files.seals import damage, sealed
from boxless.proposals.box_files import read_boxes
from boxless.proposals.index import StoreInputs
from boxless.proposals.store import ProposalStore
from boxless.proposals.writer import ProposalWriter
from boxless.recipe.recipe_files import load_recipe
from boxless.runs.record import read_record
from boxless.types import Proposals

FOLDER = Path(
    tempfile.mkdtemp(prefix="boxless-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
)
PYTHONIC = re.compile(r"Traceback|object at 0x|<class '|Error\(|NoneType|__\w+__|\bself\b")
LIMITS = ImageLimits(max_pixels=1_000_000)


@dataclass(frozen=True)
class Target:
    """A reader and whole files it reads.

    Attributes:
        read: Reads the content of a file.
        seeds: Contents to begin with.
    """

    read: "Callable[[bytes], object] | FileReader"
    seeds: tuple[bytes, ...]

    def __call__(self, data: bytes) -> bool:
        """Read; returns whether the content was taken.

        Raises:
            Exception: Anything but an error of boxless is a finding.
            AssertionError: The error's text tells a user nothing.
        """
        try:
            self.read(data)
        except BoxlessError as error:
            check_text(str(error), getattr(self.read, "name", ""))
            return False
        return True


def check_text(text: str, file: str) -> None:
    """Check that an error tells a user what is wrong with which file, in words of English.

    Raises:
        AssertionError: It does not.
    """
    # What is wrong with a data set as a whole names the folder that holds it.
    assert file in text or FOLDER.name in text, f"names no file: {text!r}"
    assert len(text.replace(str(FOLDER), "").replace(file, "").split()) > 2, (
        f"is no sentence: {text!r}"
    )
    assert not PYTHONIC.search(text), f"speaks Python: {text!r}"


@dataclass(frozen=True)
class FileReader:
    """A reader of bytes from one of files.

    Attributes:
        file: Where the bytes are written, below the folder.
        read: Reads that file.
    """

    file: str
    read: Callable[[Path], object]

    @property
    def name(self) -> str:
        """Name of the file, which every error must name."""
        return Path(self.file).name

    def __call__(self, data: bytes) -> object:
        """Read bytes as the file's content."""
        path = FOLDER / self.file
        path.write_bytes(data)
        return self.read(path)


def picture(kind: str, mode: str = "RGB") -> bytes:
    buffer = BytesIO()
    pixels = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3)
    Image.fromarray(pixels).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def store_files() -> tuple[bytes, bytes]:
    """Index and shard of a small proposal store, which is left in the folder."""
    folder = FOLDER / "store"
    shutil.rmtree(folder, ignore_errors=True)
    writer = ProposalWriter(folder, StoreInputs("grid", {"max_boxes": 3}, "m", 4, ("a", "b")))
    boxes = np.array([[0, 0, 5, 5], [1, 1, 9, 8]], np.float32)
    found = Proposals(boxes, np.ones(2, np.float32), 9, 9)
    writer.write_shard(0, [("a", found), ("b", found)])
    writer.finish()
    return (folder / "index.json").read_bytes(), (folder / "shard-00000.safetensors").read_bytes()


INDEX, SHARD = store_files()


def read_store(path: Path) -> None:
    """Open the store whose other file is whole, and look at every box."""
    other, content = (
        ("shard-00000.safetensors", SHARD) if path.name == "index.json" else ("index.json", INDEX)
    )
    (path.parent / other).write_bytes(content)
    store = ProposalStore.open(path.parent)
    for image_id in store:
        _ = store[image_id]


def read_weights(path: Path) -> object:
    from boxless.models.weight_files import read_safetensors

    return read_safetensors(path)


def read_caffe(path: Path) -> object:
    from boxless.models.caffe_model import read_caffemodel

    return read_caffemodel(path)


def npz() -> bytes:
    buffer = BytesIO()
    np.savez(buffer, **{"a.jpg": np.array([[0, 0, 5, 5, 0.5]])})
    return buffer.getvalue()


COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "categories": [{"id": 3, "name": "cat"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 2, 2]}],
}
XML = (
    b"<annotation><object><name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin>"
    b"<ymin>1</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>"
)
RECORD = (
    b'{"name": "a", "kind": "a", "settings": {}, "inputs": {}, "status": "done", "seconds": 1.0}'
)
RECIPE = (Path(__file__).resolve().parents[1] / "src/boxless/recipe/recipes/demo.toml").read_bytes()
TENSORS = save({"a": np.arange(6, dtype=np.float32)})
BOXES = b'[{"file_name": "a.jpg", "bbox": [0, 0, 5, 5], "score": 0.5}]'

TARGETS = {
    "voc": Target(FileReader("a.xml", read_objects), (XML,)),
    "coco": Target(FileReader("instances.json", read_instances), (json.dumps(COCO).encode(),)),
    "verdicts": Target(
        FileReader("a.csv", read_verdicts),
        (
            b"image,class,tag,verdict\na.jpg,cat,1,flip\nb.jpg,dog,0,\n",
            b"verdict;tag;class;image\r\nkeep;0;cat;a.jpg\r\n",
        ),
    ),
    "csv": Target(
        FileReader("a.csv", lambda path: read_csv(str(path))),
        (
            b"path,split,cat\na.jpg,train,1\nb.jpg,test,0\n",
            b"path,labels,split\na.jpg,cat;dog,train\nb.jpg,,test\n",
        ),
    ),
    "table.jsonl": Target(
        FileReader("a.jsonl", lambda path: read_csv(str(path))),
        (
            b'{"file_name": "a.jpg", "labels": ["cat", "dog"]}\n{"file_name": "b", "labels": []}',
            b'[{"image": "a.jpg", "cat": true}, {"image": "b", "cat": false, "x": 1}]',
        ),
    ),
    "cvat": Target(
        FileReader("c.xml", lambda path: read_cvat(f"{path},test=50%,missing=drop,outside=allow")),
        (
            b'<annotations><image name="a.xml"><box label="cat" xtl="1" ytl="1" xbr="5" ybr="6"/>'
            b'</image><image name="c.xml"><polygon label="dog" points="1,2;3,4;5,0"/></image>'
            b"</annotations>",
        ),
    ),
    "label-studio": Target(
        FileReader("l.json", lambda path: read_label_studio(f"{path},test=50%,missing=drop")),
        (
            b'[{"id": 1, "data": {"image": "a.xml"}, "annotations": [{"result": [{"value": '
            b'{"choices": ["cat"]}}]}]}, {"id": 2, "image": "l.json", "choice": "dog"}]',
        ),
    ),
    "fiftyone": Target(
        FileReader("f.json", lambda path: read_fiftyone(f"{path},test=50%,missing=drop")),
        (
            b'{"classes": ["cat"], "labels": {"a.xml": 0, "f.json": [{"label": "dog"}]}}',
            b'{"samples": [{"filepath": "a.xml", "l": {"_cls": "Classification", "label": "cat"}},'
            b' {"filepath": "f.json", "tags": ["test"]}]}',
        ),
    ),
    "data.yaml": Target(
        FileReader("d.yaml", read_simple_yaml),
        (b"path: x  # here\ntrain: [a, 'b']\nnames:\n  0: cat\n  1: \"dog\"\n", b"names: {0: a}"),
    ),
    "list": Target(
        FileReader("a.txt", lambda path: read_list(f"{path},classes=2")),
        (b"a.jpg 0 1 0 0 5 5 0.5\nb.jpg 1 1 1 2 3 4 1\n",),
    ),
    "nus-wide": Target(
        FileReader("flat.txt", lambda path: list(read_flat(path, ("sky", "sea"), "train"))),
        (b"a/b.jpg 0 1\nc.jpg 1 1\n",),
    ),
    "image": Target(
        lambda data: decode_image(data, limits=LIMITS),
        tuple(picture(kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")),
    ),
    "boxes.json": Target(FileReader("b.json", read_boxes), (BOXES,)),
    "boxes.npz": Target(FileReader("b.npz", read_boxes), (npz(),)),
    "store index": Target(FileReader("store/index.json", read_store), (INDEX,)),
    "store shard": Target(FileReader("store/shard-00000.safetensors", read_store), (SHARD,)),
    "step record": Target(
        FileReader("step.json", lambda path: read_record(path.parent)), (RECORD,)
    ),
    "recipe": Target(FileReader("r.toml", lambda path: load_recipe(str(path), {})), (RECIPE,)),
    "seal": Target(FileReader("s.safetensors", damage), (sealed(TENSORS, ".safetensors"),)),
    "weights": Target(FileReader("w.safetensors", read_weights), (TENSORS,)),
    "caffemodel": Target(FileReader("v.caffemodel", read_caffe), (b"\xa2\x06\x04\x0a\x02c1",)),
}
"""Every target by name."""
