"""Commands that tie copies together, and hold lists and remotes: link, unlink, hold, release, pause, resume."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from worker.cli.asking import Yes, confirm
from worker.cli.output import Json, document
from worker.cli.render import line
from worker.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(link)
    app.command()(unlink)
    app.command()(hold)
    app.command()(release)
    app.command()(pause)
    app.command()(resume)


def link(
    names: Annotated[list[str], typer.Argument(metavar="REMOTE:ID REMOTE:ID…")],
    *,
    json: Json = False,
) -> None:
    """Tie copies together: they become one lead list. What was never seen is read before anything is sent."""
    from worker.cli.opening import at_desk, remote_key, ring_push
    from worker.sync import operate

    keys = [remote_key(name) for name in names]
    with at_desk() as desk:
        runtime = desk.runtime
        linked = runtime.run(operate.link(desk.store, runtime.registry.rules, keys))
        ring_push(runtime, linked.due)
    tied = [":".join(key) for key in linked.copies]
    _tell(
        f"lead list {linked.list_id}: {' '.join(tied)}{'' if linked.changed else ' were tied already'}",
        {"list_id": linked.list_id, "copies": dict(linked.copies), "changed": linked.changed},
        json=json,
    )


def unlink(name: Annotated[str, typer.Argument(metavar="REMOTE:ID")], *, json: Json = False) -> None:
    """Let one copy go: it is no longer synced. Nothing is deleted on the remote."""
    from worker.cli.opening import at_desk, remote_key, ring_push
    from worker.sync import operate

    key = remote_key(name)
    with at_desk() as desk:
        runtime = desk.runtime
        moved = runtime.run(operate.unlink(desk.store, runtime.registry.rules, key))
        ring_push(runtime, moved.due)
    _tell(f"{name} is unlinked: it is no longer synced", {"unlinked": [name]}, json=json)


def hold(
    names: Annotated[list[str], typer.Argument(metavar="REMOTE:ID…")],
    *,
    alone: Annotated[bool, typer.Option("--copy", help="Only these copies, not their whole lists.")] = False,
    json: Json = False,
) -> None:
    """Let nothing be written to a list until it is released. What is seen there is taken in as ever."""
    from worker.cli.opening import at_desk, remote_key
    from worker.sync import holding

    keys = [remote_key(name) for name in names]
    with at_desk() as desk:
        moved = desk.runtime.run(holding.hold(desk.store, desk.runtime.registry.rules, keys, alone=alone))
    already = f", {len(keys) - moved.copies} held already" if moved.copies < len(keys) else ""
    text = f"{_count(moved.copies, alone=alone)} held{already}; to go on: leadsync release {shlex.join(names)}"
    _tell(text + (" --copy" if alone else ""), {"matched": len(keys), "moved": moved.copies}, json=json)


def release(
    names: Annotated[list[str] | None, typer.Argument(metavar="[REMOTE:ID…]")] = None,
    *,
    alone: Annotated[bool, typer.Option("--copy", help="Only these copies, where they are held alone.")] = False,
    every: Annotated[bool, typer.Option("--all", help="All lists that are held.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Let lists be written again that somebody holds: what differs there is due at once."""
    from worker.cli.opening import at_desk, remote_key, ring_push
    from worker.sync import holding

    if bool(names) == every or (every and alone):
        raise UsageError("say which: REMOTE:ID of some lists, or --all")
    with at_desk() as desk:
        keys = [remote_key(name) for name in names or ()]
        if every:
            keys = desk.views.look(lambda view: view.held_keys())
            confirm(f"{_count(len(keys))} will be released", len(keys), yes=yes)
        moved = desk.runtime.run(holding.release(desk.store, desk.runtime.registry.rules, keys, alone=alone))
        ring_push(desk.runtime, moved.due)
    text = f"{_count(moved.copies, alone=alone)} released" if moved.copies else "nobody held them"
    _tell(text, {"matched": len(keys), "moved": moved.copies}, json=json)


def pause(remote: Annotated[str, typer.Argument()], *, json: Json = False) -> None:
    """Send nothing to a remote. Its changes are still taken in, and what is due waits."""
    from worker.cli.opening import at_desk
    from worker.sync import operate

    with at_desk() as desk:
        before = desk.runtime.run(operate.pause(desk.store, desk.runtime.registry.rules, remote))
    text = f"{remote} was paused already: {before.cause}" if before.paused else f"{remote} is paused"
    _tell(text, {"remote": remote, "state": "paused", "changed": not before.paused}, json=json)


def resume(remote: Annotated[str, typer.Argument()], *, json: Json = False) -> None:
    """Send to a remote again."""
    from worker.cli.opening import at_desk, ring_push
    from worker.sync import operate

    with at_desk() as desk:
        before = desk.runtime.run(operate.resume(desk.store, desk.runtime.registry.rules, remote))
        ring_push(desk.runtime, [remote])
    text = f"{remote} is active again" if before.paused else f"{remote} was not paused"
    _tell(text, {"remote": remote, "state": "active", "changed": before.paused}, json=json)


def _count(number: int, *, alone: bool = False) -> str:
    one, more = ("copy", "copies") if alone else ("list", "lists")
    return f"{number} {one if number == 1 else more}"


def _tell(text: str, contents: dict[str, object], *, json: bool) -> None:
    if json:
        document(contents)
    else:
        line(text)
