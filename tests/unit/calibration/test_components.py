"""Samples of components in the forms that people have, good and bad."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lhsim.calibration import read_components
from lhsim.errors import InputError

SECONDS = np.random.Generator(np.random.Philox(1)).exponential(967e-6, 300)


def written(tmp_path, values, suffix=".parquet", name="seconds", component="send"):
    frame = pd.DataFrame({"component": component, name: values})
    path = tmp_path / f"samples{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize(
    ("values", "name"),
    [
        (SECONDS, "seconds"),
        (1e3 * SECONDS, "milliseconds"),
        (1e9 * SECONDS, "nanoseconds"),
        (pd.to_timedelta(SECONDS, unit="s"), "seconds"),
        ([f"{1e6 * value:.3f} us" for value in SECONDS], "seconds"),
    ],
    ids=["numbers", "milliseconds", "nanoseconds", "timedelta", "texts with a unit"],
)
def test_durations_are_read_in_their_unit(tmp_path, values, name, suffix):
    found = read_components(written(tmp_path, values, suffix, name))
    assert found["send"].n == 300
    assert found["send"].samples.mean() == pytest.approx(SECONDS.mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (SECONDS > 1e-3, "seconds: holds true and false"),
        (pd.Timestamp("2026-03-01") + pd.to_timedelta(SECONDS, unit="s"), "no durations"),
        ([[value] for value in SECONDS], "seconds: holds lists or records"),
        (-SECONDS, "seconds: row 0: is negative"),
        (np.where(np.arange(300) == 7, np.nan, SECONDS), "seconds: row 7: is empty"),
        (np.where(np.arange(300) == 7, np.inf, SECONDS), "seconds: row 7: 'inf' is no number"),
        (SECONDS[:5], "send: 5 are too few"),
        (SECONDS[:0], "has no rows"),
    ],
    ids=str,
)
def test_what_are_no_durations_is_refused(tmp_path, values, said):
    with pytest.raises(InputError) as caught:
        read_components(written(tmp_path, values))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_component_is_named_as_it_is_written(tmp_path):
    with pytest.raises(InputError, match="unknown component 'NA'"):
        read_components(written(tmp_path, SECONDS, ".csv", component="NA"))
    with pytest.raises(InputError, match=r"unknown component 'sent' \(did you mean 'send'"):
        read_components(written(tmp_path, SECONDS, component="sent"))
