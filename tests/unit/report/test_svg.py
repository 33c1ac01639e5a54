"""A plot in a page is the image that its file is, and nothing of it acts."""

from __future__ import annotations

import base64
import io

import pytest
from matplotlib.figure import Figure

from lhsim.errors import InputError
from lhsim.report.page import Plot, Section, report_page
from lhsim.report.svg import image_url
from tests.unit.report.test_page import Outline, finding

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">{}</svg>'
START = "data:image/svg+xml;base64,"


@pytest.mark.parametrize(
    "inside",
    [
        "<script>steal()</script>",
        '<path d="M0 0" onload="steal()"/>',
        "<foreignObject><b>steal</b></foreignObject>",
        "<style>body { background: url(https://steal) }</style>",
        '<a href="javascript:steal()"/>',
        '<text id="a&quot;b">x &lt;b&gt; &amp; y</text>',
    ],
)
def test_what_acts_or_loads_stays_inside_of_an_image(inside: str) -> None:
    plot = Plot(image_url(SVG.format(inside)), '"><script>steal()</script>', "A plot.")
    page = report_page([Section(finding("burst", "E5"), (plot,))])
    assert "steal()</script>" not in page
    outline = Outline(page)
    (image,) = (attrs for name, attrs in outline.found if name == "img")
    assert image == {"src": plot.url, "alt": plot.alt}
    policy = next(attrs["content"] for _, attrs in outline.found if "http-equiv" in attrs)
    assert policy is not None
    assert "default-src 'none'; img-src data:;" in policy


def test_a_plot_of_matplotlib_keeps_all_that_it_draws() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([1, 2], [3, 4], marker="o", label="línea")
    axes.bar([1, 2], [3, 4], hatch="/")
    axes.legend()
    text = io.StringIO()
    figure.savefig(text, format="svg")
    url = image_url(text.getvalue())
    assert url.startswith(START)
    assert base64.b64decode(url.removeprefix(START)).decode() == text.getvalue()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<svg", "is no SVG"),
        ("<html/>", "its root is 'html'"),
        ("<svg/>", "its root is 'svg'"),  # of no namespace: a browser would draw nothing
        ('<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "defines entities"),
    ],
)
def test_what_is_no_svg_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        image_url(text)
