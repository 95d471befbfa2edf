"""Numbers and sentences of a report, written once for terminal, Markdown and HTML."""

from boxless.methods.table import ORACLE, PLAIN
from boxless.report.part import Interval, Shipped
from boxless.report.results import TEACHER, Results
from boxless.report.variants import Spread

NOTHING = "\N{EN DASH}"


def percent(fraction: float | None) -> str:
    """A fraction in percent with one decimal and no sign, such as ``74.6``; a dash for None."""
    return NOTHING if fraction is None else f"{100 * fraction:.1f}"


def points(difference: float | None) -> str:
    """A difference of fractions in signed percentage points, such as ``+3.7`` or ``−0.4``."""
    if difference is None:
        return NOTHING
    text = f"{100 * difference:+.1f}"
    return "±0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "\N{MINUS SIGN}")


def spread(value: Spread) -> str:
    """Mean ± standard deviation in percent; the mean alone for a single seed."""
    if value.std is None:
        return percent(value.mean)
    return f"{percent(value.mean)} ± {percent(value.std)}"


def duration(seconds: float) -> str:
    """Time for people: ``0.4 s``, ``48 s``, ``5 min 12 s``, ``2 h 07 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def amount(number: int) -> str:
    """A count with at most three digits and a unit: ``812``, ``4.7 k``, ``134.6 M``."""
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= limit:
            return f"{number / limit:.1f} {unit}"
    return str(number)


def interval(gain: Interval) -> str:
    """The interval in points: ``95 % interval +2.9 to +4.5``."""
    return f"{100 * gain.level:g} % interval {points(gain.low)} to {points(gain.high)}"


def headline(results: Results) -> str:
    """The result in a sentence.

    Returns:
        One sentence; says so where the run compares nothing.
    """
    if results.gain is None:
        return (
            "This run compares nothing: it has no pair of students with and without distillation."
        )
    before = percent(results.variants[PLAIN].spread("map").mean)
    after = percent(results.variants[results.method].spread("map").mean)
    gain = results.gain.map
    if gain.low <= 0 <= gain.high:
        return f"No clear change: the student's mAP is {before} % plain and {after} % distilled."
    verb = "rises" if gain.low > 0 else "falls"
    return f"With distillation the student's mAP {verb} from {before} % to {after} %."


def certainty(results: Results) -> str:
    """How far the headline can be trusted, in a few plain sentences.

    Returns:
        What the interval says, how it was made, and how many seeds stand behind it.
    """
    if results.gain is None:
        return "Train both students to see what distillation changed."
    gain = results.gain.map
    level = f"{100 * gain.level:g} %"
    if gain.low > 0:
        verdict = f"The whole {level} interval is above zero."
    elif gain.high < 0:
        verdict = f"The whole {level} interval is below zero: distillation hurt this student."
    else:
        verdict = (
            f"The {level} interval includes zero: these test images do not show whether "
            "distillation helped this student."
        )
    images = results.data.images.get("test", 0)
    seeds = f" and {len(results.gain.per_seed)} seeds" if len(results.gain.per_seed) > 1 else ""
    made = (
        f"Paired bootstrap over {images:,} test images{seeds}, {gain.draws:,} draws, "
        f"{100 * gain.probability_positive:.0f} % of them above zero."
    )
    return f"{verdict} {made} {_seeds(results.gain.per_seed)}"


def budget(results: Results) -> str:
    """How many optimiser updates each of the two students had; empty where one is missing."""
    if PLAIN not in results.variants or results.method not in results.variants:
        return ""
    plain, distilled = (
        max(seed.updates for seed in results.variants[key].seeds) for key in (PLAIN, results.method)
    )
    if plain == distilled:
        return f"Both had {plain:,} optimiser updates per seed."
    return f"Optimiser updates per seed: {plain:,} without, {distilled:,} with."


def teacher(results: Results) -> str:
    """The teacher beside a linear layer on its pooled map; empty where that was not measured."""
    found = results.variants.get(TEACHER)
    first = found.seeds[0] if found else None
    if first is None or first.unseen_map is None or first.whole_image_map is None:
        return ""
    return (
        "On training images that it has not seen the teacher has"
        f" {percent(first.unseen_map)} mAP, a linear layer on its pooled map"
        f" {percent(first.whole_image_map)}."
    )


def localization(results: Results) -> str:
    """What distillation changes in localization; empty where that was not measured."""
    found = results.localization
    if found is None or found.gain_pointing is None or found.gain_corloc is None:
        return ""
    parts = [
        f"{name} {points(gain.mean)} points ({interval(gain)})"
        for name, gain in (("pointing game", found.gain_pointing), ("CorLoc", found.gain_corloc))
    ]
    return f"Distilled minus plain, paired by image and seed: {' and '.join(parts)}."


def shipped(found: Shipped | None) -> str:
    """Which student is shipped and why; empty where none was chosen.

    Returns:
        Such as ``ships 'regions': 74.1 on 159 held-out images against 70.2 of plain``.
    """
    if found is None:
        return ""
    text = f"ships {found.variant!r}" + ", as asked for" * (found.why == "asked for")
    if found.why == "nothing held out":
        return f"{text}, the recipe's own method: there are no held-out images to choose by"
    own, rival = found.held_out_map.get(found.variant), found.rival
    if own is None or rival is None:
        return text
    theirs = percent(found.held_out_map[rival])
    return f"{text}: {percent(own)} on {found.images:,} held-out images against {theirs} of {rival}"


def cautions(found: Shipped | None) -> list[str]:
    """What must not go unsaid of a choice: distilling did not help, or few images decided."""
    if found is None or found.why != "chosen":
        return []
    said = []
    if found.variant == PLAIN:
        said.append("distilling did not help here: the student without distillation is shipped")
    lead = found.margin
    if lead is not None and lead.low <= 0 <= lead.high:
        said.append(
            f"{found.images:,} held-out images are too few to be sure of that choice: it leads by"
            f" {points(lead.mean)} points of mAP ({interval(lead)})"
        )
    return said


def headroom(results: Results) -> str:
    """What true tags for the untagged images would gain, and the share of it that is reached.

    Returns:
        A sentence; empty where no oracle was trained.
    """
    oracle = results.gain_of(ORACLE)
    if oracle is None or results.gain is None:
        return ""
    text = (
        f"The oracle, trained with the true tags of the untagged images, gains"
        f" {points(oracle.map.mean)} points ({interval(oracle.map)})"
    )
    if oracle.map.low <= 0:
        return f"{text}: there is no clear headroom that distilling could reach."
    share = results.gain.map.mean / oracle.map.mean
    return f"{text}; distilling reaches {100 * share:.0f} % of that."


def _seeds(per_seed: tuple[float, ...]) -> str:
    if len(per_seed) < 2:
        return "One seed: how much training itself scatters was not measured."
    better = sum(value > 0 for value in per_seed)
    listed = ", ".join(points(value) for value in per_seed)
    return f"{len(per_seed)} seeds, {better} of them better with distillation ({listed})."
