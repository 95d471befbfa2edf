"""The paper's orderings as a plot: our interval of each difference beside the paper's."""

from collections.abc import Sequence
from typing import Final

from boxless.experiments.outcome import Order, Verdict
from boxless.report import svg
from boxless.report.wording import points

_COLOURS: Final[dict[Verdict, str]] = {
    "holds": svg.AFTER, "does not hold": svg.WORSE, "within noise": svg.BEFORE
}  # fmt: skip
_LONGEST: Final = 38


def order_plot(orders: Sequence[Order]) -> str | None:
    """Draw every ordering as a line, in the table's order.

    Returns:
        SVG: the interval and mean of our difference, coloured by verdict, the paper's difference
        as a hollow diamond; None where there is no ordering.
    """
    if not orders:
        return None
    several = len({order.data for order in orders}) > 1
    with svg.theme():
        figure = svg.new_figure(10.4, 0.75 + 0.46 * len(orders))
        axes = figure.add_subplot()
        tooltips = {}
        for row, order in enumerate(orders):
            colour, ours = _COLOURS[order.verdict], order.ours
            ends = [100 * ours.low, 100 * ours.high]
            (line,) = axes.plot(ends, [row, row], color=colour, linewidth=5, alpha=0.5)
            line.set_gid(f"order-{row}")
            axes.plot(100 * ours.mean, row, "o", color=colour, markersize=7)
            axes.plot(100 * order.paper, row, "D", color="none", markersize=6,
                      markeredgecolor=svg.INK, markeredgewidth=1.4)  # fmt: skip
            tooltips[f"order-{row}"] = (
                f"{order.lower} < {order.higher}: ours {points(ours.mean)}"
                f" ({points(ours.low)} to {points(ours.high)}), paper {points(order.paper)}"
            )
        axes.axvline(0, color=svg.MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(orders)), [_name(order, several=several) for order in orders])
        axes.tick_params(axis="y", labelcolor=svg.INK, length=0)
        axes.set_ylim(len(orders) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("difference of mAP in points, second row minus first")
        return svg.inline_svg(
            figure,
            name="orders",
            description=f"{len(orders)} orderings of the paper and our differences",
            tooltips=tooltips,
        )


def _name(order: Order, *, several: bool) -> str:
    rows = [svg.label(name, longest=_LONGEST) for name in (order.lower, order.higher)]
    data = f" ({order.data})" if several else ""
    return f"{rows[0]}\n< {rows[1]}{data}"
