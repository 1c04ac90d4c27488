"""A tally in words: what was tried, and what the judges found."""

from __future__ import annotations

from collections.abc import Iterator

from worker.simulation.faults import Fault
from worker.simulation.judges import JUDGES
from worker.simulation.setting import Setting
from worker.simulation.tally import ENOUGH, Tally

#: How many failing seeds are named, and complaints of each told.
_SEEDS, _COMPLAINTS = 5, 3


def says(tally: Tally, setting: Setting) -> Iterator[str]:
    """Line by line."""
    counts = tally.counts
    yield f"Setting: {setting.name}."
    yield (
        f"Tried {tally.histories:,} histories: people made {counts['edits']:,} edits to {counts['lists']:,} lists, "
        f"{counts['events']:,} events arrived and {counts['events lost']:,} were lost; leadsync made "
        f"{counts['calls']:,} calls, of which {counts['writes']:,} wrote, in {counts['virtual seconds'] / 3600:,.0f} "
        f"hours of their time."
    )
    stopped = f"Killed {counts[Fault.KILLED]:,} workers and paused {counts[Fault.PAUSED]:,}"
    yield f"{stopped}, at {counts['port calls']:,} calls of ports."
    met = sorted(((counts[fault], fault) for fault in Fault if counts[fault]), reverse=True)
    yield f"Met: {', '.join(f'{fault} {count:,}' for count, fault in met) or 'no fault'}."
    if unmet := tally.unmet:
        yield f"Never met, so nothing is proven about it: {', '.join(unmet)}."
    elif tally.histories < ENOUGH:
        yield f"Fewer than {ENOUGH:,} histories: nobody expects them to have met everything."
    yield f"{len(JUDGES)} judges looked at the end of each; trace {tally.digest}."
    yield from _found(tally)


def _found(tally: Tally) -> Iterator[str]:
    if not tally.wrong:
        yield f"All {tally.histories:,} histories ended well."
        return
    yield f"{len(tally.wrong):,} of {tally.histories:,} histories ended badly:"
    for seed, wrong in sorted(tally.wrong.items())[:_SEEDS]:
        for complaint in wrong[:_COMPLAINTS]:
            yield f"  seed {seed}: {complaint}"
