"""The pages that are written from the code are those that the code writes now."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_options_is_current():
    program = [sys.executable, str(DOCS / "make_options.py")]
    printed = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert (DOCS / "options.md").read_text(encoding="utf-8") == printed
