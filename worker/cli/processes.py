"""Commands that run processes: up, worker, beat, web and simulator."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from worker.processes import DRAIN_S, Child, supervise

_LEADSYNC = (sys.executable, "-m", "worker.cli")
_CELERY = (sys.executable, "-m", "celery", "--quiet", "--app")

Concurrency = Annotated[int, typer.Option(min=1, max=64, help="Processes that take in and push at the same time.")]
#: For ourselves: the second start of a process that has passed its checks.
Checked = Annotated[bool, typer.Option(hidden=True)]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(up)
    app.command()(worker)
    app.command()(beat)
    app.command()(web)
    app.command()(simulator)


def up(concurrency: Concurrency = 2, *, checked: Checked = False) -> None:
    """Everything on one machine: migrations, Redis if none is set, worker, beat and web. Ctrl-C drains."""
    from worker.cli.output import say
    from worker.embedded import embedded_redis
    from worker.settings import load_settings

    settings = load_settings()
    if not checked:
        from worker.redis_access import check_reachable
        from worker.remotes.registry import Registry
        from worker.store.database import open_database, upgrade
        from worker.store.namings import check_namings

        registry = Registry(settings)
        registry.check_tokens()
        if settings.redis.url is not None:
            check_reachable(settings.redis.url)
        upgrade(engine := open_database(settings.database_url))
        check_namings(engine, registry.rules.namings)
        _start_anew("up", concurrency)
    if settings.redis.url is not None:
        raise typer.Exit(supervise(_tree(concurrency, settings.redis.url), drain_s=DRAIN_S + 5))
    with embedded_redis(settings.data_dir, own=True) as redis:
        say(f"leadsync: Redis on {redis.socket}, database {settings.database_url}")
        kept = [redis.server] if redis.server else []
        raise typer.Exit(supervise(_tree(concurrency, redis.url), also=kept, drain_s=DRAIN_S + 5))


def _tree(concurrency: int, redis_url: str) -> list[Child]:
    env = {"LEADSYNC_REDIS__URL": redis_url}
    return [
        Child(name="worker", argv=(*_LEADSYNC, "worker", "--concurrency", str(concurrency)), env=env),
        Child(name="beat", argv=(*_LEADSYNC, "beat"), env=env),
        Child(name="web", argv=(*_LEADSYNC, "web"), env=env),
    ]


def worker(concurrency: Concurrency = 2, *, checked: Checked = False) -> None:
    """Take events in and push: Celery's processes, and the doorbell that wakes them."""
    from worker.cli.nodes import own_node
    from worker.redis_access import needed
    from worker.settings import load_settings

    settings = load_settings()
    url = needed(settings.redis.url)
    if not checked:
        from worker.remotes.registry import Registry
        from worker.store.database import check_schema, open_database
        from worker.store.namings import check_namings

        check_schema(engine := open_database(settings.database_url))
        registry = Registry(settings)
        registry.check_tokens()
        check_namings(engine, registry.rules.namings)
        _start_anew("worker", concurrency)
    with own_node(settings.data_dir) as node:
        celery = (
            *(
                *_CELERY,
                "tasks",
                "worker",
                "--concurrency",
                str(concurrency),
                "--hostname",
                node,
                "--loglevel",
                "WARNING",
            ),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        )
        env = {"LEADSYNC_REDIS__URL": url}
        children = [
            Child(name="celery", argv=celery, env=env),
            Child(name="doorbell", argv=(sys.executable, "-m", "worker.doorbell"), env=env),
        ]
        raise typer.Exit(supervise(children))


def _start_anew(command: str, concurrency: int) -> NoReturn:
    """The same process once more, without what only the checks needed: a supervisor lives for months."""
    os.execv(sys.executable, [*_LEADSYNC, command, "--concurrency", str(concurrency), "--checked"])


def beat() -> None:
    """Tick: finds what no message announced. A second one is harmless."""
    from worker.redis_access import needed
    from worker.settings import load_settings

    os.environ["LEADSYNC_REDIS__URL"] = needed(load_settings().redis.url)
    os.execv(sys.executable, [*_CELERY, "worker.celery_app", "beat", "--loglevel", "WARNING"])


def web() -> None:
    """Webhooks in, and health checks, over HTTP."""
    from worker.redis_access import needed
    from worker.settings import load_settings
    from worker.web.server import serve

    settings = load_settings()
    serve(settings, needed(settings.redis.url))


def simulator(
    kind: Annotated[str, typer.Argument(help="crm, instantly or lance")],
    port: Annotated[int, typer.Option(min=0, max=65535)] = 0,
    host: Annotated[str, typer.Option()] = "127.0.0.1",
) -> None:
    """One simulated remote as an HTTP server, with limits, pages and faults. Switches are at /_sim/switches."""
    from worker.cli.output import say
    from worker.simulators.server import serve
    from worker.simulators.server import simulator as make

    serve({kind: make(kind)}, {kind: port}, host=host, ready=lambda urls: say(f"leadsync: {kind} on {urls[kind]}"))
