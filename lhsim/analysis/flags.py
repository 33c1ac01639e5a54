"""Why an estimate cannot be trusted: the flags that it carries, and what each of them means.

An estimate without flags is one whose interval covers the truth as often as it says, as far as the
sample itself can tell. One with flags is shown with a mark and with these explanations.
"""

from __future__ import annotations

from collections.abc import Iterable

FEW_REPLICATIONS = "few replications"
FEW_BATCHES = "few batches"
CORRELATED_BATCHES = "correlated batches"
SMALL_SAMPLE = "small sample"
THIN_TAIL = "thin tail"
LOWER_BOUND = "lower bound"
SHORT_WARMUP = "short warm-up"
OVERLOADED = "overloaded"
UNBOUNDED = "unbounded"

MEANINGS = {
    FEW_REPLICATIONS: "fewer than 3 runs say too little about their spread",
    FEW_BATCHES: "the run has too few messages for ten batches",
    CORRELATED_BATCHES: "the batches of the run depend on each other: run it for longer",
    SMALL_SAMPLE: "worth fewer than 200 independent messages: run for longer",
    THIN_TAIL: "the sample holds too few independent values beyond the quantile",
    LOWER_BOUND: "messages were still on their way at the end of a run",
    SHORT_WARMUP: "the start outlasts it, or MSER-5 would leave out more",
    OVERLOADED: "messages pile up, and no latency settles",
    UNBOUNDED: "the denominator may be 0, so that the ratio has no bounds",
}


def merged(*flags: Iterable[str]) -> tuple[str, ...]:
    """Return each of the flags once, in the order of `MEANINGS`."""
    found = {flag for some in flags for flag in some}
    return tuple(flag for flag in MEANINGS if flag in found)
