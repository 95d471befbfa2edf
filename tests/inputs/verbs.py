"""What people pass to the other verbs: pictures to label, folders to write to, settings."""
# ruff: noqa: E501  (a table of cases: one reads across)

import sys
import tempfile
from functools import cache
from pathlib import Path

from label_cells import plain
from workshop import FOUR, PARTS, case, picture, saved, table

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "inference"))
from tiny_student import properties, write_student  # noqa: E402

TINY = (HERE.parent / "cli" / "tiny.toml").read_text("utf-8")


@cache
def student() -> bytes:
    """A student that finds its three classes, of which one is called ``[red]cow``, everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.onnx")
        write_student(path, properties(thresholds=[0.0] * 3))
        return path.read_bytes()


def predict(given, words, *right, files=None, **options):
    """``predict m.onnx …`` in a folder with the student and ``p/a.jpg`` to ``p/d.jpg``."""
    photos = {f"p/{name}": content for name, content in FOUR.items()}
    made = {"m.onnx": lambda path: path.write_bytes(student()), **photos, **(files or {})}
    return case(given, f"predict m.onnx {words}", *right, files=made, **options)


NOTES = "path,labels\na.jpg,cat\n"
PREDICT = (
    predict("an image", "p/a.jpg", "p/a.jpg", "cat", "[red]cow"),
    predict("a folder", "p --json --top 1", '"path": "p/a.jpg"'),
    predict("a pattern", "'p/*.jpg' --json", '"path": "p/a.jpg"'),
    predict("a pattern that matches nothing", "'p/*.png'", "p/*.png: no image matches", "1 of 1 could not be read", code=1),
    predict("a file that is not there", "gone.jpg", "gone.jpg", "1 of 1 could not be read", code=1),
    predict("a damaged image among good ones", "p", "p/b.jpg", "1 of 4 could not be read", files={"p/b.jpg": b""}, code=1),
    predict("a folder without images", "q", "q: no image in this folder", files={"q/notes.txt": "x"}, code=1),
    predict("a folder with HEIC and `.ipynb_checkpoints`", "p --json", "1 HEIC files are left out", "1 images in .ipynb_checkpoints",
            files={**dict.fromkeys(["p/b.jpg", "p/c.jpg", "p/d.jpg"]), "p/x.heic": "x", "p/.ipynb_checkpoints/a.jpg": picture(0)}),
    predict("an image from standard input", "- --json", '"path": "stdin"', stdin=picture(0)),
    predict("nothing on standard input", "-", "stdin", "empty", code=1),
    predict("`[red]x.jpg`", "'[red]x.jpg'", "[red]x.jpg", files={"[red]x.jpg": picture(0)}),
    predict("a web address that does not answer", "'http://127.0.0.1:9/a.jpg?w=1'", "cannot reach http://127.0.0.1:9/a.jpg?w=1", to="w=1", code=2),
    predict("a video", "v.mp4", "v.mp4", files={"v.mp4": b"\0\0\0\x18ftypisom"}, code=1),
    predict("`--out labels.csv`", "p --out labels.csv", "written: labels.csv, 4 images labelled"),
    predict("`--out` over a table of tags", "p --out tags.csv", "did not write", "--overwrite", files={"tags.csv": NOTES}, stays=("tags.csv",), code=2),
    predict("`--out` over a photograph", "p --out p/a.jpg --format csv", "did not write", stays=("p/a.jpg",), code=2),
    predict("`--out x.xyz`", "p --out x.xyz", "names no format", ".csv", gone=("x.xyz",), code=2),
    predict("`--out` in a folder that is not there", "p --out new/x.json", "written: new/x.json, 4 images labelled"),
    predict("`--draw` into the folder of the photographs", "p --draw p", "would replace the image itself", stays=("p/a.jpg",), code=2),
    predict("`--draw` where another image of that name is labelled", "p p/q --draw p/q", "would replace the image itself",
            files={"p/q/a.jpg": picture(9)}, stays=("p/q/a.jpg",), code=2),
    predict("`--draw` over somebody's picture", "p/a.jpg --draw q", "did not write", files={"q/a.jpg": picture(9)}, stays=("q/a.jpg",), code=2),
    predict("`--draw` on a file", "p --draw m.onnx", "is a file", stays=("m.onnx",), code=2),
    predict("`--heat-map` without `--draw`", "p --heat-map", "--draw FOLDER", code=2),
    predict("`--format parquet` without `--out`", "p --format parquet", "give --out FILE", code=2),
    predict("`--thresold 0.5`", "p --thresold 0.5", "--thresold", "--threshold", code=2),
    predict("`--threshold 2`", "p --threshold 2", "between 0 and 1, found 2", code=2),
    predict("`--threshold '[/x]'`", "p --threshold '[/x]'", "[/x]", code=2),
    predict("`--threshold nan`", "p --threshold nan", "between 0 and 1", code=2),
    predict("`--top 0`", "p --top 0", "at least 1, found 0", code=2),
    predict("`--batch-size 0`", "p --batch-size 0", "batch", code=2),
    predict("no image", "", "`boxless predict` needs IMAGES", code=2),
    case("a model that is not there", "predict none.onnx a.jpg", "none.onnx", "does not exist", code=2, files=FOUR),
    case("a photograph for a model", "predict a.jpg a.jpg", "a.jpg", code=2, files=FOUR),
    case("a folder without a student", "predict . a.jpg", "no exported student", "boxless train", code=2, files=FOUR),
    case("a student that is cut off", "predict m.onnx a.jpg", "m.onnx", "damaged or cut off", code=2,
         files={**FOUR, "m.onnx": lambda path: path.write_bytes(student()[:300])}),
)  # fmt: skip

ROWS = table(
    ("path", "labels", "split"),
    *(
        (f"{n}.jpg", ("cat", "dog", "cat;dog")[n % 3], "test" if n > 15 else "train")
        for n in range(24)
    ),
)
PHOTOS = {f"{n}.jpg": picture(n) for n in range(24)}
DATA = {**PHOTOS, "t.csv": ROWS, "tiny.toml": TINY}


def train(
    given,
    words,
    *right,
    verb="train",
    files=None,
    spec="csv:t.csv",
    code=2,
    gone=("run",),
    **options,
):
    """A training that is refused: nothing may be left behind."""
    words = words if "--recipe" in words else f"{words} --recipe tiny.toml"
    words = words if "--out" in words else f"{words} --out run"
    return case(
        given,
        f"{verb} {spec} {words}",
        *right,
        files={**DATA, **(files or {})},
        code=code,
        gone=gone,
        **options,
    )


def rows(change) -> str:
    return "".join(change(n, line) + "\n" for n, line in enumerate(ROWS.splitlines()))


MINE = "# my own notes\n" + TINY
TRAIN = (
    train("`--out` on a folder that is no run", "--out .", "is no run", stays=("t.csv",), gone=("proposals",)),
    train("the same, with a `recipe.toml` and a `results.json` of one's own", "--out mine", "is no run", gone=(),
          files={"mine/recipe.toml": MINE, "mine/results.json": "{}"}, stays=("mine/recipe.toml", "mine/results.json")),
    train("`--out` on a file", "--out t.csv", "is a file", "name a folder", stays=("t.csv",)),
    train("a network's name with a slip", "--student.backbone resnett18", "resnett18", "resnet18"),
    train("a setting's name with a slip", "--teacher.optm.lr 3", "'teacher.optm.lr'. Did you mean 'teacher.optim.lr'"),
    train("a word for a number", "--teacher.optim.lr fast", "number; found 'fast'"),
    train("a setting without its value", "--teacher.optim.lr", "needs a value"),
    train("`--recpe`", "--recpe demo", "Did you mean '--recipe'"),
    train("a recipe that does not exist", "--recipe demmo", "unknown recipe 'demmo'. Did you mean 'demo'"),
    train("a recipe that is no TOML", "--recipe x.toml", "x.toml", "not valid TOML", files={"x.toml": "a = = b"}),
    train("a recipe in Latin-1", "--recipe x.toml", "x.toml", "UTF-8", files={"x.toml": "name = 'caf\u00e9'".encode("latin-1")}),
    train("`--seeds 0`", "--seeds 0", "greater than or equal to 1"),
    train("no test images", "", "no split named 'test'", "t.csv,test=20%", files={"t.csv": ROWS.replace(",test", ",train")}),
    train("no training images", "", "no split named 'train'", "t.csv,train=NAME", files={"t.csv": ROWS.replace(",train", ",test")}),
    train("a table that is not there", "", "expected a CSV file", spec="csv:none.csv"),
    train("an image that is not there", "", "1 of 24 image files are missing", files={"5.jpg": None}),
    train("the same image in train and test", "", "in 'train' and in 'test' with the very same bytes", "--run.leaks allow", files={"20.jpg": PHOTOS["2.jpg"]}),
    train("one class, with a teacher", "", "softmax", "boxless baseline", files={"t.csv": ROWS.replace(";dog", "").replace("dog", "")}),
    train("an unreadable image", "", "5.jpg", "--data.skip_bad true", files={"5.jpg": b""}, gone=()),
    train("`--untagged` on a folder that is not there", "--untagged nowhere", "expected untagged images as a folder"),
    train("`--untagged` on the data set's own folder", "--untagged .", "all of them images of the data set itself"),
    train("a test image among the untagged ones, saved again", "--untagged more", "show the same picture as a test", "--run.leaks drop",
          files={"more/x.png": lambda path: path.write_bytes(_again(20)), "more/y.jpg": picture(99)}),
    train("`--tags` more than there are", "--tags 500", "expected 1 to", "found 500"),
    train("nearly all images held out", "--data.held_out 0.99", "leaves a part empty", "--data.held_out, or 0"),
    train("`--methods hinten`", "--methods hinten", "hinten", "hinton"),
    train("`--force regoins`", "--force regoins", "unknown step 'regoins'. Did you mean 'regions"),
)  # fmt: skip


def _again(number) -> bytes:
    import io

    from PIL import Image

    return saved(Image.open(io.BytesIO(PHOTOS[f"{number}.jpg"])).resize((64, 48)), "PNG")


FEW = rows(
    lambda n, line: (
        line
        if n in (0, 1, 2) or n > 16
        else line.replace("cat", "").replace("dog", "").replace(";", "")
    )
)
STARTS = (
    train("one class, plain student", "", "for training: only 3 images are held out", verb="baseline", code=0, gone=(),
          files={"t.csv": ROWS.replace(";dog", "").replace("dog", "")}),
    train("16 training images, 2 of them with a tag", "", "for training: none of the 3 held-out images has a tag", verb="baseline", code=0, gone=(), files={"t.csv": FEW}),
    train("`--out '[red]x'`", "--out '[red]x'", "read as: path = path", verb="baseline", code=0, gone=("x",)),
    train("`train`, `val` and `test`", "", "split 'valid' is val", verb="baseline", code=0, gone=(),
          files={"t.csv": rows(lambda n, line: line.replace("train", "valid") if n in (3, 4, 5) else line)}),
)  # fmt: skip

SHOWN = plain(*["\u732b;caf\u00e9"] * 4)
STREAMS = tuple(
    case(f"class names in Chinese on a terminal of {encoding}", "data check csv:t.csv", "train 2, test 2",
         files={**FOUR, "t.csv": SHOWN}, environ={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    for encoding in ("cp1252", "ascii", "utf-8")
)  # fmt: skip

OTHERS = (
    case("a class named `a;b` to a table", "data convert csv:t.csv,label_separator=none o.csv", "4 images, 2 classes",
         files={**FOUR, "t.csv": table(("path", "labels", "split"), *zip(FOUR, ("a;b", "dog", "a;b", "dog"), PARTS, strict=True))}),
    case("to COCO", "data convert csv:t.csv o.json --to coco", "24 images, 2 classes", files=DATA),
    case("to an image folder", "data convert csv:t.csv o --to image-folder", "24 images, 2 classes", files=DATA),
    case("`--split tset`", "data convert csv:t.csv o.csv --split tset", "unknown split 'tset'", files=DATA, gone=("o.csv",), code=2),
    case("over a file that is there", "data convert csv:t.csv t.csv", "exists already", files=DATA, stays=("t.csv",), code=2),
    case("drawn scenes without `--images`", "data convert scenes:train=2,test=1 o.csv", "--images DIR", gone=("o.csv",), code=2),
    case("`--boxes` for a table", "data convert csv:t.csv o.csv --boxes 3", "are for lists", files=DATA, gone=("o.csv",), code=2),
    case("`export` of a folder that is no run", "export . --out s.onnx", "expected the folder of a run", files=FOUR, gone=("s.onnx",), code=2),
    case("`export` of a data set", "export csv:t.csv --out s.onnx", "expected a run folder", files=DATA, gone=("s.onnx",), code=2),
    case("`export` without a place", "export .", "nothing to write", code=2),
    case("`export --quantize int8 --fp16`", "export . --out s.onnx --quantize int8 --fp16", "exclude each other", code=2),
    case("`serve` of a model that is not there", "serve none.onnx", "none.onnx", code=2),
    case("`serve` of a photograph", "serve a.jpg", "a.jpg", files=FOUR, code=2),
    case("`serve --port 99999`", "serve m.onnx --port 99999", "between 0 and 65535", code=2),
    case("`serve --api-key-file` that is not there", "serve m.onnx --api-key-file key.txt", "cannot read the API key from key.txt", code=2),
    case("`serve --api-key-file` that is empty", "serve m.onnx --api-key-file key.txt", "is empty", files={"key.txt": "\n"}, code=2),
    case("`serve --samples` without images", "serve m.onnx --samples q", "q", files={"q/notes.txt": "x"}, code=2),
    case("`recipes copy` over a file", "recipes copy demo r.toml", "exists already", files={"r.toml": MINE}, stays=("r.toml",), code=2),
    case("`recipes validate` of a wrong recipe", "recipes validate r.toml", "'teacher.hiden'", "Did you mean 'teacher.hidden'",
         files={"r.toml": TINY.replace("hidden", "hiden", 1)}, code=2),
    case("`proposals --method edgeboxs`", "proposals csv:t.csv --method edgeboxs", "edgeboxs", files=DATA, code=2),
    case("`proposals --method file` of boxes that are not there", "proposals csv:t.csv --method file --file b.npz", "b.npz", files=DATA, code=2),
    case("`proposals` of an unreadable image", "proposals csv:t.csv --method grid --out b", "5.jpg", "t.csv", files={**DATA, "5.jpg": b""}, code=2),
    case("`verify` of nothing", "verify none", "none", code=2),
    case("`weights convert` of a text", "weights convert x.pth o.safetensors", "x.pth", files={"x.pth": "no weights"}, gone=("o.safetensors",), code=2),
    case("`experiments show tabel4`", "experiments show tabel4", "tabel4", "table4", code=2),
    case("`data check --untagged`, a test image among them", "data check csv:t.csv --untagged more", "2 untagged", "more/x.png shows the same picture as 20.jpg (test)",
         files={**DATA, "more/x.png": lambda path: path.write_bytes(_again(20)), "more/y.jpg": picture(99)}),
    case("`trian`", "trian csv:t.csv", "train", code=2),
    case("`recipes copy` to a new file", "recipes copy demo r.toml", "wrote r.toml", "--recipe r.toml"),
    case("`data chekc`", "data chekc csv:t.csv", "check", code=2),
)  # fmt: skip
