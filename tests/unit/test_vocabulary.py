"""The texts use the terms of the field, and none of those that they have replaced.

Program output in a page is what a command prints: its code blocks and `code` are not looked at. The
code itself is, with its names, docstrings, comments and messages.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READ_ME = ("README.md", "CONTRIBUTING.md", "models/README.md", "experiments/README.md")
TEXTS = sorted([*(ROOT / name for name in READ_ME), *(ROOT / "docs").rglob("*.md")])
CODES = sorted((ROOT / "lhsim").rglob("*.py"))
CODE = re.compile(r"^```.*?^```|`[^`\n]*`|\]\([^)]*\)", re.M | re.S)  # and where links lead

REPLACED = {
    r"couriers?": "request, payload; sender side, delivery side",
    r"indistinct|told apart": "collinear",
    r"(make|makes|made) up for one another": "correlated parameters trade off",
    r"turns? the page": "advance the day",
    r"naps?|napping": "fallback sleep",
    r"strangers?|yet to come|come for the first time": "never connected",
    r"thrown out": "evicted",
    r"in vain": "abandoned requests still consume the server",
    r"chill": "cold factor",
    r"prov(e|es|ing) nothing|the sleep decides|its sleep decides": "uninformative",
    r"how manieth": "the index",
    r"h[oe]lds? nothing on|hold nothing on to": "keep nothing",
    r"pace of (a|the|its|one) [\w' ]*(core|processor)|at full pace": "CPU speed",
    r"beyond (the|its) calibration": "extrapolated",
    r"the seed's|the seed (document|names|states|has|asks|says|wants|takes)": "original proposal",
    r"one's own": "your own",
    r"by the way of|is what it is": "say it plainly",
    r"Who (asks|wants|sends|looks|measures)": "the subject first",
}


# Names of the code that are replaced as well, parts of longer ones included.
NAMES = re.compile(
    r"courier|chill|(?<![a-z])nap(?![a-z])|stranger|thrown|turn_the_page|A_PLACE|A_ROOM|indistinct",
    re.I,
)


def replaced(prose):
    """Return the terms in a text that are replaced, and by what."""
    return {
        match[0]: term
        for pattern, term in REPLACED.items()
        for match in re.finditer(rf"\b(?:{pattern})\b", re.sub(r"\s+", " ", prose))
    }


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: str(text.relative_to(ROOT)))
def test_no_replaced_term_is_left(text):
    assert replaced(CODE.sub("", text.read_text(encoding="utf-8"))) == {}


@pytest.mark.parametrize("code", CODES, ids=lambda code: str(code.relative_to(ROOT)))
def test_no_replaced_term_is_left_in_the_code(code):
    text = code.read_text(encoding="utf-8")
    assert replaced(re.sub(r"\n *#", " ", text)) == {}
    assert NAMES.findall(text) == []
