"""A plot in a page draws what its file draws, and does nothing else."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from lhsim.errors import InputError
from lhsim.report.svg import colour, inlined

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {}>{}</svg>'
)


def svg(inside: str, attributes: str = 'viewBox="0 0 10 10"') -> str:
    return str(inlined(SVG.format(attributes, inside), "p-", "a plot"))


@pytest.mark.parametrize(
    "inside",
    [
        "<script>steal()</script>",
        '<g onclick="steal()"/>',
        '<path d="M0 0" onload="steal()"/>',
        "<foreignObject><b>steal</b></foreignObject>",
        "<style>body { background: url(https://steal) }</style>",
        '<use xlink:href="https://steal/#x"/>',
        '<use href="data:image/svg+xml,steal"/>',
        '<image href="https://steal"/>',
        '<a href="javascript:steal()"/>',
        '<path style="fill: url(https://steal)"/>',
        '<path fill="url(https://steal)"/>',
        '<path style="background-image: url(https://steal)"/>',
        '<path style="fill: red} body{steal"/>',
        '<animate attributeName="href" to="javascript:steal()"/>',
    ],
)
def test_nothing_that_acts_or_loads_is_taken_over(inside: str) -> None:
    assert "steal" not in svg(inside)


def test_text_and_labels_are_escaped() -> None:
    text = SVG.format("", '<text id="a&quot;b">x &lt;b&gt; &amp; y</text>')
    drawn = str(inlined(text, "p-", '"><script>'))
    assert "x &lt;b&gt; &amp; y" in drawn
    assert 'id="p-a&#34;b"' in drawn
    assert "<script>" not in drawn


def test_ids_are_those_of_the_plot_alone() -> None:
    drawn = svg(
        '<defs><path id="m" d="M0 0"/><clipPath id="c"/></defs>'
        '<use xlink:href="#m" clip-path="url(#c)"/>'
    )
    assert 'id="p-m"' in drawn
    assert 'href="#p-m"' in drawn
    assert "clip-path: url(#p-c)" in drawn


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("#000", "currentColor"),
        ("#ffffff", "var(--surface)"),
        ("#dddddd", "color-mix(in srgb, currentColor 13%, var(--surface))"),
        ("#1F6FB4", "light-dark(#1f6fb4, #6bade6)"),
        ("#ffcccc", "light-dark(#ffcccc, #ffcccc)"),  # is light enough
    ],
)
def test_colours_follow_the_page(code: str, expected: str) -> None:
    assert colour(code) == expected


def test_a_colour_is_replaced_as_a_whole() -> None:
    drawn = svg('<path style="fill: #ffffff; stroke: #1f6fb4"/><path fill="black"/>')
    assert 'style="fill: var(--surface); stroke: light-dark(#1f6fb4, #6bade6)"' in drawn
    assert 'style="fill: currentColor"' in drawn


def test_a_plot_of_matplotlib_keeps_all_that_it_draws() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([1, 2], [3, 4], marker="o", label="line")
    axes.bar([1, 2], [3, 4], hatch="/")
    axes.legend()
    text = io.StringIO()
    figure.savefig(text, format="svg")

    def shapes(content: str) -> list[str]:
        names = [one.tag.rpartition("}")[2] for one in ElementTree.fromstring(content).iter()]
        return [name for name in names if name in {"path", "use", "rect", "clipPath", "pattern"}]

    drawn = str(inlined(text.getvalue(), "p-", "bars"))
    assert shapes(drawn) == shapes(text.getvalue())
    assert len(shapes(drawn)) > 20
    assert "#ffffff" not in drawn.replace("light-dark(#ffffff", "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<svg", "is no SVG"),
        ("<html/>", "its root is 'html'"),
        ('<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "defines entities"),
    ],
)
def test_what_is_no_svg_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        inlined(text, "p-", "")


def test_a_plot_without_a_box_has_one_of_its_size() -> None:
    assert 'viewBox="0 0 612 403.2"' in svg("", 'width="612pt" height="403.2pt"')
