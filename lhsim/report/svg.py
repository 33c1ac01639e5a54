"""Plots inside a page: an SVG file made harmless, and drawn in the colours of the page.

Only what draws is taken over: no script, no style sheet, no reference beyond the plot itself.
Greys become mixtures of the page's text and background, and each other colour becomes one for
light pages and a lighter one for dark ones.
"""

from __future__ import annotations

import colorsys
import re
from xml.etree import ElementTree

from markupsafe import Markup, escape

from lhsim.errors import InputError

NAMESPACE = "http://www.w3.org/2000/svg"
ELEMENTS = {
    "svg", "g", "defs", "path", "use", "clipPath", "rect", "circle", "ellipse", "line", "polyline",
    "polygon", "pattern", "text", "tspan", "linearGradient", "radialGradient", "stop",
}  # fmt: skip
ATTRIBUTES = {
    "id", "d", "x", "y", "dx", "dy", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "width",
    "height", "points", "transform", "viewBox", "href", "clip-path", "offset", "gradientUnits",
    "gradientTransform", "patternUnits", "text-anchor", "font-size", "font-family", "opacity",
}  # fmt: skip
# What may stand in a style; an attribute of this name means the same.
PROPERTIES = {
    "fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-opacity", "opacity",
    "stroke-dasharray", "stroke-dashoffset", "stroke-linejoin", "stroke-linecap",
    "stroke-miterlimit", "stop-color", "stop-opacity", "text-anchor", "font", "font-size",
    "font-family", "font-style", "font-weight", "font-stretch", "font-variant", "clip-path",
}  # fmt: skip
PAINTS = {"fill", "stroke", "stop-color"}
# Of matplotlib's style sheet, which would count for the whole page; both are inherited.
ROOT_STYLE = "stroke-linejoin: round; stroke-linecap: butt; fill: currentColor"
LEAST_LIGHTNESS = 0.66  # of a colour on a dark page
_COLOUR = re.compile(r"#(?:[0-9a-f]{6}|[0-9a-f]{3})\b", re.IGNORECASE)
_REFERENCE = re.compile(r"url\(\s*['\"]?#([\w.-]+)['\"]?\s*\)")
_HARMLESS = re.compile(r"[\w\s.,#%()'\"/+-]*")
_NAMES = {"black": "#000000", "white": "#ffffff"}


def inlined(text: str, prefix: str, label: str) -> Markup:
    """Return an SVG file as part of a page.

    Parameters
    ----------
    text
        The file.
    prefix
        For the ids in it, which are those of the whole page then.
    label
        What the plot shows, for who does not see it.

    Raises
    ------
    InputError
        When the file is no SVG.
    """
    if "<!ENTITY" in text:
        raise InputError("defines entities", allowed="an SVG without them")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"is no SVG: {error}", allowed="an SVG") from None
    if _local(root.tag) != "svg":
        raise InputError(f"is no SVG: its root is {_local(root.tag)!r}", allowed="an SVG")
    try:
        inside = Markup().join(_element(child, prefix) for child in root)
    except RecursionError:
        raise InputError("is nested too deeply", allowed="an SVG") from None
    box = root.get("viewBox") or f"0 0 {_number(root.get('width'))} {_number(root.get('height'))}"
    return Markup('<svg role="img" aria-label="{}" viewBox="{}" style="{}">{}</svg>').format(
        label, box, ROOT_STYLE, inside
    )


def _element(element: ElementTree.Element, prefix: str) -> Markup:
    name = _local(element.tag)
    if name not in ELEMENTS:
        return Markup()
    inside = escape((element.text or "").strip()) if name in {"text", "tspan"} else Markup()
    inside += Markup().join(_element(child, prefix) for child in element)
    attributes = Markup().join(
        Markup(' {}="{}"').format(key, value) for key, value in _attributes(element, prefix).items()
    )
    if not inside:
        return Markup("<{}{}/>").format(Markup(name), attributes)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), attributes, inside)


def _attributes(element: ElementTree.Element, prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    style: dict[str, str] = {}
    for key, value in element.attrib.items():
        name = _local(key)
        if name == "style":
            pairs = (part.partition(":") for part in value.split(";"))
            style |= {key.strip(): text.strip() for key, _, text in pairs}
        elif name == "href":
            if value.startswith("#"):
                found["href"] = f"#{prefix}{value[1:]}"
        elif name == "id":
            found["id"] = prefix + value
        elif name in PROPERTIES:
            style.setdefault(name, value)
        elif name in ATTRIBUTES:
            found[name] = value
    declared = [
        f"{name}: {_themed(name, value, prefix)}"
        for name, value in style.items()
        if name in PROPERTIES and _HARMLESS.fullmatch(value)
    ]
    return found | ({"style": "; ".join(declared)} if declared else {})


def _themed(name: str, value: str, prefix: str) -> str:
    """Return the value of a property in the colours of the page, its references in the plot."""
    if "url" in value:
        reference = _REFERENCE.fullmatch(value)
        return f"url(#{prefix}{reference[1]})" if reference else "none"
    if name in PAINTS:
        value = _NAMES.get(value, value)
        return _COLOUR.sub(lambda match: colour(match[0]), value)
    return value


def colour(code: str) -> str:
    """Return a colour such as ``"#dddddd"`` as one that follows the page's light or dark scheme.

    >>> colour("#000000"), colour("#ffffff"), colour("#cccccc")
    ('currentColor', 'var(--surface)', 'color-mix(in srgb, currentColor 20%, var(--surface))')
    """
    digits = code[1:] if len(code) == 7 else "".join(2 * digit for digit in code[1:])
    red, green, blue = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    if max(red, green, blue) - min(red, green, blue) < 0.02:
        return _grey(1 - lightness)
    lighter = colorsys.hls_to_rgb(hue, max(lightness, LEAST_LIGHTNESS), saturation)
    dark = "".join(f"{round(255 * part):02x}" for part in lighter)
    return f"light-dark(#{digits.lower()}, #{dark})"


def _grey(darkness: float) -> str:
    part = round(100 * darkness)
    if part in {0, 100}:
        return "currentColor" if part else "var(--surface)"
    return f"color-mix(in srgb, currentColor {part}%, var(--surface))"


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _number(length: str | None) -> str:
    match = re.match(r"[\d.]+", length or "")
    return match[0] if match else "100"
