"""Agents by day: steady growth by hand-worked figures, and forecasts of files."""

from datetime import date, timedelta

import pytest

from lhsim.errors import InputError
from lhsim.planning.growth import forecast

START = date(2027, 1, 1)


def test_a_share_is_compound():
    ahead = forecast(1000, "10%/month", START, 24)
    assert ahead.end == date(2029, 1, 1)
    assert ahead.on(START) == 1000
    assert ahead.on(ahead.end) == 9850  # 1000 * 1.1^24
    # 1000 * 1.1^m > 2000 from m = ln 2 / ln 1.1 = 7.2725 months of 731 / 24 days on: 221.5 days
    assert ahead.first_beyond(2000) == START + timedelta(222)


def test_a_number_is_linear_and_a_year_has_twelve_months():
    ahead = forecast(1000, "6000/year", START, 12)
    assert ahead.on(START + timedelta(61)) == 2003  # 1000 + 500 * 12 * 61 / 365
    assert ahead.first_beyond(2000) == START + timedelta(61)
    assert ahead.rate is not None
    assert ahead.rate.text == "500 agents/month"


def test_without_growth_the_agents_stay_as_many():
    ahead = forecast(7, None, START, 1)
    assert set(ahead.agents.tolist()) == {7}
    assert ahead.first_beyond(7) is None
    assert ahead.first_beyond(6) == START


def test_fewer_agents_than_none_there_cannot_be():
    ahead = forecast(100, "-100/month", START, 12)
    assert ahead.on(ahead.end) == 0
    assert ahead.servers(10).min() == 1  # a service that runs has a server


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        (date(2027, 1, 31), 1, date(2027, 2, 28)),
        (date(2027, 11, 30), 3, date(2028, 2, 29)),
        (date(2027, 12, 1), 12, date(2028, 12, 1)),
    ],
)
def test_a_horizon_is_of_the_calendar(start, months, end):
    assert forecast(10, None, start, months).end == end


def test_servers_hold_so_many_each():
    ahead = forecast(1000, "500/month", START, 2)
    assert ahead.servers(1000)[[0, 1, -1]].tolist() == [1, 2, 2]
    assert ahead.servers(999)[0] == 2


def test_the_rate_that_reaches_a_target_does():
    ahead = forecast(1000, "3%/week", START, 12)
    assert ahead.rate is not None
    rate = ahead.rate.reaching(1000, 2000, 12)
    assert rate.per_month == pytest.approx(2 ** (1 / 12) - 1)
    linear = forecast(1000, "3/day", START, 12).rate
    assert linear is not None
    assert linear.reaching(1000, 2200, 12).per_month == pytest.approx(100)


def test_a_file_is_read_from_the_first_day_on_and_in_between(tmp_path):
    path = tmp_path / "forecast.csv"
    path.write_text("date,agents\n2027-01-11,200\n2026-12-22,0\n2027-01-31,300\n")
    ahead = forecast(None, path, START, 24)
    assert ahead.on(START) == 100
    assert ahead.on(date(2027, 1, 21)) == 250
    assert (ahead.end, ahead.most, ahead.rate) == (date(2027, 1, 31), 300, None)
    assert forecast(None, str(path), START, 1).end == date(2027, 1, 31)
    assert ahead.dates(3) == (START, date(2027, 1, 16), date(2027, 1, 31))


@pytest.mark.parametrize(
    ("agents", "growth", "line"),
    [
        (None, "8%/month", "--agents: is missing"),
        (None, None, "--agents: is missing"),
        (10, "8%", "--growth: '8%' is no growth; allowed: 8%/month, 500/month"),
        (10, "8%/fortnight", "is no growth"),
        (10, 8, "--growth: 8 is no growth"),
        (10, "-100%/month", "--growth: '-100%/month' leaves no agents"),
        (10, "-99.99%/day", "--growth: '-99.99%/day' is out of range; allowed: a slower decline"),
        (10, f"{10**20}%/day", "is out of range; allowed: a slower one"),
        (10, f"{'9' * 400}%/month", "is out of range; allowed: a slower one"),
        (10, f"{'9' * 400}/month", "is out of range; allowed: a slower one"),
        (10, f"-{'9' * 400}/month", "is out of range; allowed: a slower decline"),
        (10, "999%/day", "comes to more than 1,000,000,000,000 agents"),
        (0, "8%/month", "agents: 0 is out of range"),
    ],
)
def test_what_is_no_growth_is_refused(agents, growth, line):
    with pytest.raises(InputError) as caught:
        forecast(agents, growth, START, 24)
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("date,agents\n2027-01-01,5\n2027-01-01,6\n", "line 3: 2027-01-01 stands there twice"),
        ("date,agents\n2025-01-01,5\n2026-01-01,6\n", "says nothing of 2027-01-01"),
        ("date,people\n2027-01-01,5\n", "agents: is missing"),
        ("date,agents\n2027-01-01,many\n", "agents"),
    ],
)
def test_a_file_that_is_no_forecast_is_refused(tmp_path, text, line):
    path = tmp_path / "forecast.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        forecast(None, path, START, 24)
    assert line in str(caught.value)


def test_agents_are_said_once(tmp_path):
    with pytest.raises(InputError, match="the forecast file says how many agents there are"):
        forecast(5, tmp_path / "forecast.csv", START, 24)
