from .curves import Interval, difference_plot, search_plot, tail_of, tail_plot
from .dots import Dot, dots_plot
from .lines import Chart, Series, lines_plot, marks_plot
from .overlays import overlay_plot
from .parts import parts_plot
from .plots import Curve, KneeMark, Line, save, scaling_plot
from .tornado import tornado_plot

__all__ = [
    "Chart",
    "Curve",
    "Dot",
    "Interval",
    "KneeMark",
    "Line",
    "Series",
    "difference_plot",
    "dots_plot",
    "lines_plot",
    "marks_plot",
    "overlay_plot",
    "parts_plot",
    "save",
    "scaling_plot",
    "search_plot",
    "tail_of",
    "tail_plot",
    "tornado_plot",
]
