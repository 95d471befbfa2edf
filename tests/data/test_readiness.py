import pytest

from boxless.data.readiness import opening_lines, shortcomings
from boxless.data.table import read


def told(csv_file, rows, **options):
    path = csv_file("path,split,cat,dog\n" + "".join(f"{row}\n" for row in rows))
    return " | ".join(shortcomings(read(str(path)), **options))


GOOD = (*(f"a{n}.png,train,{n % 2},{1 - n % 2}" for n in range(600)),
        *(f"b{n}.png,test,{n % 2},{1 - n % 2}" for n in range(60)))  # fmt: skip


def test_nothing_to_tell_of_a_sound_data_set(csv_file):
    assert told(csv_file, GOOD) == ""


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [r for r in GOOD if ",train," in r],
            "no test images, only train: say which are with test=",
        ),
        ([r for r in GOOD if ",test," in r], "no train images, only test"),
        ([r for r in GOOD if ",train," in r] + ["c.png,test,0,0"], "no test image has a tag"),
        ([r for r in GOOD if ",test," in r] + ["c.png,train,0,0"], "no train image has a tag"),
        (
            [r for r in GOOD if ",0,1" not in r or ",test," in r],
            "1 classes never occur in train: dog",
        ),
        (
            [r for r in GOOD if ",0,1" not in r or ",train," in r],
            "1 classes never occur in test: dog",
        ),
        (GOOD[:20] + GOOD[600:], "only 2 images are held out: too few to tune thresholds"),
        ([*GOOD, "v.png,val,1,0"], "only 1 images are held out"),
        ([*GOOD, "v.png,val,0,0"], "none of the 1 held-out images has a tag"),
        (
            [*(f"a{n}.png,train,{int(n < 1)},0" for n in range(16)), *GOOD[600:]],
            "none of the 2 held-out images has a tag: nothing can be chosen on them",
        ),
        (
            [r for r in GOOD if ",0,1" not in r or ",test," in r],
            "1 classes are in every train image: cat",
        ),
    ],
)
def test_each_lack_is_told(csv_file, rows, expected):
    assert expected in told(csv_file, rows)


def test_the_share_held_out_decides(csv_file):
    assert told(csv_file, GOOD, held_out=0.01).startswith("only 6 images are held out")


def test_all_that_is_to_be_told_before_training(csv_file):
    path = csv_file("file,tags,set\na.png,cat,Train\nb.png,cat,test\n")
    found = read(str(path))
    assert opening_lines(found, shortcomings(found, held_out=0.5)) == (
        "read as: path = file, labels = column tags one name a cell; split = set",
        "note: split 'Train' is train",
        "for training: 1 classes are in every train image: cat; images without them are needed to "
        "tell them apart",
        "for training: only 0 images are held out: too few to tune thresholds, so they may stay at "
        "0.5",
    )
