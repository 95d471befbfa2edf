"""The choice of precision and compiling: from measurements to a way, with made-up clocks."""

import pytest

from boxless.errors import ConfigError
from boxless.training.fastest import FEWEST, MOST, Way, Work, choose, measure

PLAIN, MIXED = Way("no", "no"), Way("bf16", "no")
CODE, BOTH = Way("no", "yes"), Way("bf16", "yes")
ALL = [PLAIN, MIXED, CODE, BOTH]
LONG = Work(updates=100_000, networks=2)


class Clock:
    """Updates that take given seconds each; the first compiled one takes `compiling` more."""

    def __init__(self, seconds, compiling=0.0, broken=()):
        self.seconds, self.compiling, self.broken = seconds, compiling, broken
        self.calls = []

    def __call__(self, way):
        key = way.precision, way.compile
        if key in self.broken:
            raise ConfigError("torch.compile fails here")
        first = key not in self.calls
        self.calls.append(key)
        return self.seconds[key] + self.compiling * (first and way.compile == "yes")


def clock(plain, mixed=9.0, code=9.0, both=9.0, **options):
    keys = [(way.precision, way.compile) for way in ALL]
    return Clock(dict(zip(keys, (plain, mixed, code, both), strict=True)), **options)


def decide(update, work=LONG, ways=ALL):
    found = measure(ways, update, work)
    best = choose(found, work)
    return (best.precision, best.compile), found


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ((1.0, 0.95, 0.93, 0.91), ("no", "no")),  # less than a tenth is noise
        ((1.0, 0.5, 0.8, 0.6), ("bf16", "no")),
        ((1.0, 0.5, 0.8, 0.3), ("bf16", "yes")),
        ((1.0, 1.2, 0.7, 1.1), ("no", "yes")),
        ((1.0, 1.2, 1.1, 1.3), ("no", "no")),
    ],
)
def test_the_clearly_fastest(seconds, best):
    assert decide(clock(*seconds, compiling=30.0))[0] == best


def test_compiling_is_repaid_by_all_updates_together():
    """0.4 s an update are saved, and 2 x 30 s of compiling to be made up for: 150 updates."""
    update = clock(1.0, 1.0, 0.6, 1.0, compiling=30.0)
    assert decide(update, Work(149, 2))[0] == ("no", "no")
    assert decide(update, Work(151, 2))[0] == ("no", "yes")
    assert decide(update, Work(149, 1))[0] == ("no", "yes")


def test_a_little_work_is_not_worth_trying():
    update = clock(0.01, 0.02, 0.001, 0.001, compiling=30.0)
    best, found = decide(update, Work(32, 2))
    assert best == ("no", "no")
    assert ("no", "yes") not in update.calls
    assert found[2].left_out == "not tried: compiling cannot be repaid by 32 updates"


def test_a_hopeless_way_costs_three_updates():
    """As bfloat16 on a processor that emulates it; nobody then waits for its compilation."""
    update = clock(0.33, 4.85, 0.36, 5.0, compiling=36.0)
    best, found = decide(update, Work(2148, 2))
    assert best == ("no", "no")
    assert update.calls.count(("bf16", "no")) == 3
    assert ("bf16", "yes") not in update.calls
    assert found[1].milliseconds == pytest.approx(4850)
    assert found[1].left_out == "dropped: its update takes 14.7 times as long"
    assert found[3].left_out == "not tried: bf16 alone is out of the question"
    assert found[2].compile_seconds == pytest.approx(36.0)
    assert found[2].told == "360 ms after 36 s of compiling"
    assert found[1].told == "4850 ms (dropped: its update takes 14.7 times as long)"
    assert found[3].told == found[3].left_out


def test_what_is_left_out_beforehand_is_not_tried():
    ways = [PLAIN, Way("bf16", "no", left_out="no instructions")]
    update = clock(1.0, 0.1)
    best, found = decide(update, ways=ways)
    assert best == ("no", "no")
    assert found[1] == ways[1]
    assert update.calls == [("no", "no")] * 2  # nothing to compare it with: no rounds
    assert found[0].milliseconds == pytest.approx(1000)


def test_in_turns_and_by_the_median():
    update = clock(0.1, 0.09)
    jolts = iter([0.1, 0.1, 0.09, 0.09, *[0.1, 0.05] * (MOST - 2), 0.1, 7.0, 0.1, 7.0])
    calls = []

    def jolted(way):
        update(way)
        calls.append(way.precision)
        return next(jolts)

    best, found = decide(jolted, ways=[PLAIN, MIXED])
    assert calls[4:] == ["no", "bf16"] * MOST
    assert found[1].milliseconds == pytest.approx(50)
    assert best == ("bf16", "no")


def test_slow_updates_have_fewer_rounds():
    update = clock(24.0, 20.0)
    decide(update, ways=[PLAIN, MIXED])
    assert update.calls.count(("no", "no")) == 2 + FEWEST


def test_a_way_that_fails_is_left_out_unless_it_is_the_only_one():
    update = clock(1.0, 1.0, broken={("no", "yes")})
    best, found = decide(update)
    assert best == ("no", "no")
    assert found[2].left_out == "torch.compile fails here"
    with pytest.raises(ConfigError, match="fails here"):
        measure([CODE], update, LONG)


def test_where_compiling_is_given_its_seconds_count_on_both_sides():
    update = clock(1.0, 1.0, 1.0, 0.8, compiling=1000.0)
    assert decide(update, Work(10, 1), ways=[CODE, BOTH])[0] == ("bf16", "yes")
