"""Every reader, fed with damaged files: it takes them or says what is wrong with which file.

The same targets run for longer under atheris: ``make fuzz``.
"""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).resolve().parents[1] / "fuzz"


def targets():
    sys.path.insert(0, str(FUZZ))
    try:
        import targets as module
    finally:
        sys.path.remove(str(FUZZ))
    return module


TARGETS, check_text = targets().TARGETS, targets().check_text
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.binary(max_size=12)), min_size=0, max_size=4
)


def edited(content: bytes, edits) -> bytes:
    """Replace some bytes at some places by others."""
    for where, length, new in edits:
        place = int(where * len(content))
        content = content[:place] + new + content[place + length :]
    return content


@pytest.mark.parametrize("name", TARGETS)
def test_whole_files_are_taken(name):
    for seed in TARGETS[name].seeds:
        assert TARGETS[name](seed) == (name != "caffemodel")  # whose seed is a beginning only


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.csv",
        "expected a number, found 'x'",
        "a.csv:1: <class 'int'> expected",
        "a.csv: KeyError('x')",
    ],
)
def test_a_text_that_tells_nothing_would_be_seen(text):
    with pytest.raises(AssertionError):
        check_text(text, "a.csv")
    check_text("a.csv:3:2: expected 0 or 1, found 'yes'", "a.csv")


@pytest.mark.parametrize("name", TARGETS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(data=st.data())
def test_damaged_files_are_answered(name, data):
    seed = data.draw(st.sampled_from(TARGETS[name].seeds))
    TARGETS[name](edited(seed, data.draw(EDITS)))


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(noise=st.binary(max_size=200))
def test_noise_is_answered(name, noise):
    TARGETS[name](noise)
