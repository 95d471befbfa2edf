"""Matplotlib figures as inline SVG that follows the page's light or dark theme.

Figures are drawn in marker colours; each is replaced by a CSS variable with a light fallback, so
one drawing serves both themes. Text stays text, and named shapes get a tooltip.
"""

import html
import io
import re
import textwrap
from collections.abc import Mapping
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK: Final = "#010101"
MUTED: Final = "#020202"
GRID: Final = "#030303"
PAPER: Final = "#040404"
BEFORE: Final = "#050505"
AFTER: Final = "#060606"
TEACHER: Final = "#070707"
WORSE: Final = "#080808"
OTHER: Final = "#090909"

_LEAST_PIXELS: Final = 62  # an inch is never shown smaller; a narrow page scrolls the plot
_MOST_PIXELS: Final = 104  # nor larger
NARROW: Final = 5.7
"""Inches of a figure that fits a telephone without scrolling."""

# Marker colour -> CSS variable and the colour used where the page defines none.
THEME: Final[Mapping[str, tuple[str, str]]] = {
    INK: ("--ink", "#1c2024"),
    MUTED: ("--muted", "#60666d"),
    GRID: ("--rule", "#e0e3e7"),
    PAPER: ("--paper", "#ffffff"),
    BEFORE: ("--before", "#8b929b"),
    AFTER: ("--after", "#0072b2"),
    TEACHER: ("--teacher", "#c77700"),
    WORSE: ("--worse", "#c2410c"),
    OTHER: ("--other", "#8e4b86"),
}

_RC: Final[Mapping[str, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.solid_capstyle": "round",
}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure without a window.

    Args:
        width: Inches; text is sized for about 10 inches across a page.
        height: Inches.

    Returns:
        A figure that belongs to no pyplot state, so nothing has to be closed.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def theme(*, light: bool = False) -> Any:
    """Context manager in which figures are drawn with the report's style.

    Args:
        light: Draw in the light theme's own colours, for a picture that follows no page.
    """
    return rc_context({key: colour(value) for key, value in _RC.items()} if light else dict(_RC))


def colour(marker: Any) -> Any:
    """A marker's colour in the light theme; all else as it is."""
    return THEME[marker][1] if isinstance(marker, str) and marker in THEME else marker


def label(value: str, *, longest: int = 28) -> str:
    """A name as matplotlib shows it: no mathematics between dollar signs, not too long."""
    short = value if len(value) <= longest else value[: longest - 1] + "…"
    return short.replace("$", r"\$")


def folded(value: str, *, width: int = 30) -> str:
    """The whole of a name, on several lines where it is long."""
    return "\n".join(textwrap.wrap(value, width)).replace("$", r"\$")


def inline_svg(
    figure: Figure, *, name: str, description: str, tooltips: Mapping[str, str] | None = None
) -> str:
    """Turn a figure into an ``<svg>`` element for a page.

    Args:
        figure: The figure, drawn within `theme`.
        name: Prefix of all ids; unique on the page.
        description: Text for people who cannot see the figure.
        tooltips: Shape id (`set_gid`) -> text shown when the pointer rests on it.

    Returns:
        SVG without XML prologue, namespaces, metadata or addresses of any kind.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
    with theme():
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = text.replace("'DejaVu Sans'", "system-ui")
    for key, tip in (tooltips or {}).items():
        text = text.replace(f'<g id="{key}">', f'<g id="{key}"><title>{html.escape(tip)}</title>')
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    for marker, (variable, light) in THEME.items():
        text = text.replace(marker, f"var({variable}, {light})")
    alternative = html.escape(description, quote=True)
    least, most = (round(figure.get_figwidth() * px) for px in (_LEAST_PIXELS, _MOST_PIXELS))
    size = f"min-width:{least}px;max-width:{most}px"
    start = f'<svg role="img" aria-label="{alternative}" style="{size}"'
    return text.replace("<svg", start, 1)
