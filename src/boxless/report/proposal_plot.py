"""Recall against the number of boxes, a curve per proposer, as a PNG picture."""

import io
from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, MUTED, RULE = "#1c2024", "#60666d", "#e0e3e7"
# Okabe and Ito's palette, told apart with any colour vision; random boxes are always grey.
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5c4b00")
MARKERS: Final = "osD^vPX"
RANDOM: Final = "#8b929b"

Curves = Mapping[str, Sequence[float]]


def recall_plot(counts: Sequence[int], panels: Mapping[float, Curves], *, title: str) -> bytes:
    """Draw recall against the number of best boxes per image.

    Args:
        counts: C numbers of boxes, rising.
        panels: IoU -> name of a proposer -> C recalls in [0, 1]; one panel for each IoU.
        title: Text above the panels.

    Returns:
        A PNG file.
    """
    style = {"font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False}
    with rc_context({**style, "text.color": INK, "axes.edgecolor": MUTED, "axes.labelcolor": INK}):
        figure = Figure(figsize=(4.2 * len(panels) + 2, 3.7), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5)
        all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (iou, curves) in zip(all_axes, panels.items(), strict=True):
            for number, (name, values) in enumerate(curves.items()):
                random = name == "random"
                axes.plot(
                    counts,
                    [100 * value for value in values],
                    "--" if random else "-",
                    color=RANDOM if random else COLOURS[number % len(COLOURS)],
                    marker=None if random else MARKERS[number % len(MARKERS)],
                    markersize=4,
                    linewidth=1.6,
                    label=name,
                )
            axes.set_xscale("log")
            ticks = [count for count in (1, 3, 10, 30, 100, 300, 1000) if count <= counts[-1]]
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
            axes.set_ylim(0, 100)
            axes.grid(color=RULE, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.set_title(f"objects covered with IoU of {iou:g} or more", loc="left", fontsize=9.5)
            axes.set_xlabel("boxes per image, best first")
        all_axes[0].set_ylabel("recall, %")
        figure.legend(
            *all_axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False
        )
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
