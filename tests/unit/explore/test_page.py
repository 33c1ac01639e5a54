"""The page as a file: complete, and closed to whatever a model file may say."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from lhsim.explore.page import live_page, stops
from lhsim.explore.state import candidates

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture
def page(known):
    return live_page(known, ["polling", "push"], "1.2")


def test_nothing_of_it_is_elsewhere(page):
    assert re.findall(r"""(?:src|href)=["']([^"']*)""", page) == ["data:,", "#answer"]
    assert "@import" not in page
    assert "url(" not in page
    assert "Copyright (c) 2022 Leon Sorokin" in page


def test_its_scripts_are_the_ones_that_it_allows(page):
    scripts = re.findall(r"<script>(.*?)</script>", page, re.S)
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert len(scripts) == 2
    allowed = " ".join(f"'sha256-{one}'" for one in digests)
    assert f"script-src {allowed};" in policy
    assert "default-src 'none'" in policy


def test_a_model_file_gets_no_script_into_it(tmp_path):
    path = tmp_path / "evil.toml"
    path.write_text(f'name = "{EVIL}"\ndescription = "{EVIL}"\n[push]\n')
    known = candidates([str(path)])
    page = live_page(known, [EVIL], "1.2")
    assert EVIL not in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert data["systems"][-1] == {
        "name": EVIL, "description": EVIL, "interval": None, "rate": 0.1, "connections": None
    }  # fmt: skip


def test_sliders_stop_at_numbers_of_few_digits():
    assert stops(0.05, 0.2) == [0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2]
    assert stops(10, 30) == [10, 12, 15, 20, 25, 30]


def test_what_the_page_offers_can_be_asked(page, known):
    from lhsim.explore.state import State

    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    suffix = {"interval": "s", "rate": "/s"}
    assert State.from_link(data["start"], known) == State(("polling", "push"))
    for key, values in data["stops"].items():
        for value in values:
            number = f"{value:.12g}{suffix.get(key, '')}"
            State.from_link(f"system=push&{key}={number}", known)
