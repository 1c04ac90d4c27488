"""`leadsync simulate`: random histories that try to break leadsync, under the user's own rules."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.output import Exit, Json, document, say

if TYPE_CHECKING:
    from worker.simulation.setting import Setting
    from worker.simulation.tally import Tally


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(simulate)


def simulate(
    *,
    seed: Annotated[int, typer.Option(min=0, help="The first seed; the same one plays the same histories.")] = 1,
    steps: Annotated[
        int | None, typer.Option(min=1, max=1_000, help="Edits of people in each history at most.")
    ] = None,
    histories: Annotated[int, typer.Option(min=1, max=100_000_000, help="How many, each with the next seed.")] = 100,
    jobs: Annotated[int | None, typer.Option(min=1, max=256, help="Processes; one for each CPU by default.")] = None,
    story: Annotated[bool, typer.Option("--story", help="Tell the first history step by step.")] = False,
    json: Json = False,
) -> None:
    """Random histories of edits, lies, losses and kills under the rules of leadsync.toml, in memory; calls nobody."""
    from worker.simulation.batch import play_batch

    setting, begun = _setting(), time.monotonic()
    seeds, jobs = range(seed, seed + histories), jobs or os.cpu_count() or 1
    tally = play_batch(setting, seeds, steps=steps, jobs=jobs, progress=_progress(histories, json=json))
    took_s = time.monotonic() - begun
    told = _stories(tally, setting, seed, steps, first=story)
    if json:
        document({"setting": setting.name, "seconds": round(took_s, 1), **tally.document(), "stories": told})
    else:
        _tell(tally, setting, told, took_s)
    if tally.wrong:
        say(f"leadsync: play it again with: leadsync simulate --seed {min(tally.wrong)} --histories 1 --story")
    raise typer.Exit(Exit.FAILED if tally.wrong else Exit.DONE)


def _setting() -> Setting:
    """The user's remotes, when settings name some."""
    from worker.remotes.registry import Registry
    from worker.settings import config_path, load_settings
    from worker.simulation.setting import BUILT_IN, of_settings

    settings = load_settings()
    if not settings.remotes:
        return BUILT_IN
    return of_settings(settings, Registry(settings).rules, f"the remotes of {config_path() or 'the environment'}")


def _progress(histories: int, *, json: bool) -> Callable[[Tally], None]:
    """A line that moves, where somebody watches."""
    if json or not sys.stderr.isatty():
        return lambda _tally: None

    def show(tally: Tally) -> None:
        print(f"\r{tally.histories:,} of {histories:,}, {len(tally.wrong):,} bad ", end="", file=sys.stderr, flush=True)
        if tally.histories >= histories:
            print(file=sys.stderr)

    return show


def _stories(tally: Tally, setting: Setting, seed: int, steps: int | None, *, first: bool) -> list[dict[str, Any]]:
    """The first history, if asked for; and the first one that failed, made as small as it still fails."""
    from worker.simulation.batch import set_up
    from worker.simulation.reduce import reduced
    from worker.simulation.script import draw
    from worker.simulation.story import story
    from worker.simulation.tally import judged

    set_up()
    told = []
    if first:
        history, wrong = judged(draw(seed, setting, steps=steps))
        told.append({"seed": seed, "story": story(history, wrong)})
    if tally.wrong:
        failing = min(tally.wrong)
        smallest = reduced(draw(failing, setting, steps=steps), tally.wrong[failing])
        history, wrong = judged(smallest)
        told.append({"seed": failing, "reduced": True, "story": story(history, wrong)})
    return told


def _tell(tally: Tally, setting: Setting, told: list[dict[str, Any]], took_s: float) -> None:
    from worker.simulation.words import says

    for one in told:
        if one.get("reduced"):
            print(f"The first failing history, reduced (seed {one['seed']}):")
        print(one["story"])
        print()
    for line in says(tally, setting):
        print(line)
    print(f"Took {took_s:.0f} s, {tally.histories / max(took_s, 0.001) * 60:,.0f} histories a minute.")
