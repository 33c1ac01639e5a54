"""What several logs of one server show together: where throughput stops growing with the load."""

from __future__ import annotations

from collections.abc import Sequence

from lhsim.readers.inspection.inspection import Inspection
from lhsim.readers.inspection.saturation import SATURATED

FLAT = 1.05  # times the throughput of the load below, up to which it has not grown
MORE = 1.3  # times as much under way
DIFFERENT = 0.3  # of think times, beyond which loads are not alike


def compare(found: Sequence[Inspection]) -> tuple[str, ...]:
    """Return what logs of different loads of one server say together, as sentences."""
    ordered = sorted(found, key=lambda one: one.saturation.in_flight)
    return (*_limits(ordered), *_differences(ordered))


def _limits(ordered: Sequence[Inspection]) -> list[str]:
    """Say from which load on no higher one has more throughput."""
    if len(ordered) < 2:
        return []
    last = ordered[-1].saturation
    for place, one in enumerate(ordered[:-1]):
        state = one.saturation
        most = max(more.saturation.throughput for more in ordered[place + 1 :])
        if most < FLAT * state.throughput and last.in_flight > MORE * max(state.in_flight, 1.0):
            return [
                f"throughput stops growing at {one.source}: {state.throughput:.4g}/s with "
                f"{state.in_flight:.3g} requests under way, {last.throughput:.4g}/s with "
                f"{last.in_flight:.3g}"
            ]
    if last.kind == SATURATED:
        text = f"throughput grows up to {ordered[-1].source}, which is at the server's limit: "
        return [f"{text}{last.throughput:.4g}/s"]
    return ["throughput grows up to the highest load: none is beyond the server's limit"]


def _differences(ordered: Sequence[Inspection]) -> list[str]:
    kinds = {one.loop.kind for one in ordered}
    sentences = []
    if len(kinds) > 1:
        sentences.append(f"loads are of different kinds: {', '.join(sorted(kinds))}")
    thinks = [one.think.mean for one in ordered if one.think is not None]
    if thinks and max(thinks) - min(thinks) > DIFFERENT * max(thinks):
        sentences.append(f"mean think times differ: {min(thinks):.4g} s to {max(thinks):.4g} s")
    return sentences
