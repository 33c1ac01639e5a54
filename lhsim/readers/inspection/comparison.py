"""What several logs of one server show together: where throughput stops growing with the load."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from lhsim.readers.inspection.inspection import Inspection

FLAT = 1.05  # times the throughput of the load below, up to which it has not grown
MORE = 1.3  # times as much under way
DIFFERENT = 0.3  # of think times, beyond which loads are not alike


def compare(found: Sequence[Inspection]) -> tuple[str, ...]:
    """Return what logs of different loads of one server say together, as sentences."""
    ordered = sorted(found, key=lambda one: one.saturation.in_flight)
    return (*_limits(ordered), *_differences(ordered))


def _limits(ordered: Sequence[Inspection]) -> list[str]:
    for less, more in pairwise(ordered):
        before, after = less.saturation, more.saturation
        is_more = after.in_flight > MORE * before.in_flight and before.throughput > 0
        if is_more and after.throughput < FLAT * before.throughput:
            return [
                f"throughput stops growing between {less.source} and {more.source}: "
                f"{before.throughput:.4g}/s with {before.in_flight:.3g} requests under way, "
                f"{after.throughput:.4g}/s with {after.in_flight:.3g}"
            ]
    if len(ordered) > 1:
        return ["throughput grows with every load: none of them is beyond the server's limit"]
    return []


def _differences(ordered: Sequence[Inspection]) -> list[str]:
    kinds = {one.loop.kind for one in ordered}
    sentences = []
    if len(kinds) > 1:
        sentences.append(f"loads are of different kinds: {', '.join(sorted(kinds))}")
    thinks = [one.think.mean for one in ordered if one.think is not None]
    if thinks and max(thinks) - min(thinks) > DIFFERENT * max(thinks):
        sentences.append(f"mean think times differ: {min(thinks):.4g} s to {max(thinks):.4g} s")
    return sentences
