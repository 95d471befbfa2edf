"""``boxless train --profile`` through the real command."""

import pytest
from command_line import train_words

from boxless.report.results import read_results
from boxless.training.events import WEIGHTS


def test_profile_of_what_is_trained_now_reaches_the_report(run_copy, preloaded):
    before = (run_copy / "features/regions/32px/seed-0" / WEIGHTS).read_bytes()
    words = train_words(
        run_copy, "--run.checkpoint_seconds", "0", "--profile", "--force", "regions"
    )
    done = preloaded(*words)
    assert done.code == 0, done.err
    steps = {step.name: step for step in read_results(run_copy / "results.json").steps}
    profiled = {name for name, step in steps.items() if step.profile is not None}
    assert profiled == {"features/regions/32px/seed-0", "students/regions/32px/seed-0"}
    for name, part in (
        ("features/regions/32px/seed-0", "region loss"),
        ("students/regions/32px/seed-0", "distillation loss"),
    ):
        found = steps[name].profile
        assert found.updates == 6  # eight but the first two
        assert {"loader", "forward", "backward", "optimiser", part} <= set(found.milliseconds)
        assert found.total == pytest.approx(sum(found.milliseconds.values()))
        assert found.total * found.updates <= 1000 * steps[name].seconds
    page = (run_copy / "report.html").read_text("utf-8")
    assert "Where the time of an update went" in page
    assert page.count("region loss</th>") == 1
    assert (run_copy / "features/regions/32px/seed-0" / WEIGHTS).read_bytes() == before


def test_a_run_without_it_shows_no_profile(finished_run):
    assert all(step.profile is None for step in read_results(finished_run / "results.json").steps)
    assert "Where the time" not in (finished_run / "report.html").read_text("utf-8")
