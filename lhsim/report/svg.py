"""Plots inside a page: an SVG file as an image, in which a browser runs and loads nothing."""

from __future__ import annotations

import base64
from xml.etree import ElementTree

from lhsim.errors import InputError

ROOT = "{http://www.w3.org/2000/svg}svg"


def image_url(text: str) -> str:
    """Return an SVG file as a URL that holds all of it.

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
    if root.tag != ROOT:
        name = root.tag.rpartition("}")[2]
        raise InputError(f"is no SVG: its root is {name!r}", allowed="an SVG")
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()
