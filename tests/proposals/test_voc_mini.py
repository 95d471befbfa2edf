"""On real photographs: the boxes must be worth their time."""

from defusedxml.ElementTree import parse
from proposal_pictures import load

from boxless.proposals.extract import extract
from boxless.proposals.proposer import make_proposer
from boxless.proposals.recall import recall_table
from boxless.types import ImageRecord, TrueBox

IMAGES = 25


def read(root, image_id):
    boxes = []
    for item in parse(root / "Annotations" / f"{image_id}.xml").getroot().iter("object"):
        x1, y1, x2, y2 = (
            float(item.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")
        )
        boxes.append(TrueBox(0, (x1 - 1, y1 - 1, x2, y2), item.findtext("difficult") == "1"))
    path = root / "JPEGImages" / f"{image_id}.jpg"
    return ImageRecord(image_id, str(path), "train", (1,), tuple(boxes))


def test_edge_boxes_cover_far_more_objects_than_random_ones(data_root, tmp_path):
    root = data_root / "voc-mini" / "VOCdevkit" / "VOC2007"
    listing = (root / "ImageSets" / "Main" / "train.txt").read_text().splitlines()
    ids = [line.split()[0] for line in listing][:: len(listing) // IMAGES][:IMAGES]
    records = [read(root, image_id) for image_id in ids]
    store = extract(
        records,
        make_proposer("edge_boxes"),
        tmp_path / "store",
        manifest_fingerprint="voc-mini",
        load_image=load,
        workers=1,
    )
    table = recall_table(store, records)
    assert table.images == IMAGES
    assert table.recall("edge_boxes", 0.5, 300) > table.recall("random", 0.5, 300) + 0.15
    assert table.recall("edge_boxes", 0.7, 300) > table.recall("random", 0.7, 300) + 0.1
