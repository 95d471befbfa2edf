import numpy as np
import pytest
from proposal_pictures import load

from boxless.errors import DataError
from boxless.proposals.comparison import choose, compare
from boxless.proposals.proposer import make_proposer
from boxless.proposals.recall import recall_table
from boxless.report.proposal_plot import recall_plot
from boxless.types import ImageRecord, TrueBox


def test_equals_the_recall_of_a_store(records, make_store):
    proposer = make_proposer("edge_boxes", max_boxes=60, size=96)
    found = compare(
        records, [proposer, make_proposer("grid")], load_image=load, counts=(10, 60, 300)
    )
    assert [method.name for method in found.methods] == ["edge_boxes", "grid", "random"]
    assert (found.images, found.objects) == (10, 10)
    table = recall_table(make_store(proposer=proposer), records, counts=(10, 60, 300))
    for method in (found.methods[0], found.methods[2]):
        for iou in (0.5, 0.7):
            for count in (10, 60) if method.name == "random" else (10, 60, 300):
                ours = method.recall[iou][found.counts.index(count)]
                assert ours == table.recall(method.name, iou, count)
    assert found.methods[0].boxes <= 60
    assert found.methods[1].boxes == 300
    assert found.methods[0].milliseconds > found.methods[1].milliseconds > 0
    assert found.methods[2].milliseconds is None


def test_recall_grows_with_boxes(records):
    (grid, random) = compare(records, [make_proposer("grid")], load_image=load).methods
    for method in (grid, random):
        assert all((np.diff(values) >= 0).all() for values in method.recall.values())


def test_boxes_from_a_file_have_no_time(records, tmp_path):
    true = {record.image_id: np.array([record.boxes[0].xyxy]) for record in records}
    np.savez(tmp_path / "true.npz", **true)
    proposer = make_proposer("file", file=str(tmp_path / "true.npz"))
    perfect = compare(records, [proposer], load_image=load).methods[0]
    assert perfect.milliseconds is None
    assert set(perfect.recall[0.7]) == {1.0}


def test_progress_counts_images(records):
    seen = []
    proposers = [make_proposer("grid", max_boxes=5)]
    compare(records[:3], proposers, load_image=load, progress=lambda *now: seen.append(now))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def blank(number, *boxes):
    return ImageRecord(str(number), f"{number}.png", "test", (1,), boxes=boxes)


def test_choice_is_spread_over_images_with_objects():
    box, difficult = TrueBox(0, (0, 0, 5, 5)), TrueBox(0, (0, 0, 5, 5), difficult=True)
    records = [blank(n, box if n % 2 else difficult) for n in range(20)]
    assert [r.image_id for r in choose(records, 5)] == ["1", "5", "9", "13", "17"]
    assert len(choose(records, 0)) == len(choose(records, 99)) == 10
    with pytest.raises(DataError, match="found none in 10 images"):
        choose(records[::2], 5)


def test_plot_is_a_picture():
    panels = {0.5: {"edge_boxes": [0.1, 0.5], "random": [0, 0.2]}, 0.7: {"edge_boxes": [0, 0.3]}}
    png = recall_plot([1, 100], panels, title="two boxes")
    assert png.startswith(b"\x89PNG")
    assert png == recall_plot([1, 100], panels, title="two boxes")
    assert png != recall_plot([1, 10], panels, title="two boxes")
