"""The Celery app: queues, settings and their reasons. `leadsync beat` runs it as it is, `leadsync worker` with `tasks`.

Celery only carries short "look at remote r" messages between processes. State is in the database, waiting is
in `due_at`, so losing every message loses nothing.
"""

from __future__ import annotations

import enum
import gc
import warnings
from typing import Any

from celery import Celery
from celery.platforms import SecurityWarning  # type: ignore[attr-defined]  # celery-types leaves it out
from celery.signals import worker_before_create_process
from kombu import Queue
from kombu.transport import redis as transport
from kombu.transport import virtual

from worker.log import set_up_logs
from worker.redis_access import broker_url
from worker.settings import load_settings


class TaskName(enum.StrEnum):
    """Names in messages under way: moving a file must not change them."""

    INTAKE = "leadsync.intake"  #: take entries of the stream in
    PUSH = "leadsync.push"  #: push the due copies of one remote
    SCAN = "leadsync.scan"  #: go on with the scan of one remote
    TICK = "leadsync.tick"  #: ring for what no message announced
    TRIM = "leadsync.trim"  #: remove what every group has acknowledged
    UPKEEP = "leadsync.upkeep"  #: forget what is old, check that the numbers add up
    ALERTS = "leadsync.alerts"  #: look which states have turned, and tell people


class QueueName(enum.StrEnum):
    """In the order in which a worker serves them."""

    INTAKE = "intake"  #: seconds at most; first, because everything starts here
    PUSH = "push"  #: slices of a few seconds
    SCAN = "scan"  #: slices of a few seconds, when nothing else is to do


#: Longest time a task may take; a push slice ends long before, its slowest call included.
_TIME_LIMIT_S = 600

set_up_logs()

# Celery warns root because pickled messages could run anything; this app accepts JSON only.
warnings.filterwarnings("ignore", category=SecurityWarning)

_settings = load_settings()
_broker = broker_url(_settings.redis.url or "redis://127.0.0.1:6379/0")

app = Celery("leadsync")
app.conf.update(
    broker_url=_broker,
    broker_transport_options={
        "global_keyprefix": "leadsync:celery:",
        # A killed worker's messages come back after this; ticks do the same sooner.
        "visibility_timeout": 2 * _TIME_LIMIT_S,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "queue_order_strategy": "priority",
        # Without these a worker can go deaf on a half-open connection.
        "socket_timeout": 15,
        "socket_connect_timeout": 5,
        "health_check_interval": 10,
        # A unix socket has no keep-alive, and the client refuses to be asked for it.
        **({} if _broker.startswith("redis+socket") else {"socket_keepalive": True}),
    },
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # the default gives up after 100
    worker_cancel_long_running_tasks_on_connection_loss=False,  # a push in flight must end, not be cut
    # JSON only, and no results: nothing a poisoned broker could run, nothing personal kept.
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    # A task is safe to run twice, so a lost one is worse than a repeated one.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_time_limit=_TIME_LIMIT_S,
    worker_soft_shutdown_timeout=25.0,
    worker_enable_remote_control=False,  # reply keys without an expiry, and connections nobody needs
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    task_queues=[Queue(name.value) for name in QueueName],
    task_default_queue=QueueName.INTAKE.value,
    task_routes={
        TaskName.INTAKE.value: {"queue": QueueName.INTAKE.value},
        TaskName.TICK.value: {"queue": QueueName.INTAKE.value},
        TaskName.TRIM.value: {"queue": QueueName.SCAN.value},
        TaskName.UPKEEP.value: {"queue": QueueName.SCAN.value},
        TaskName.ALERTS.value: {"queue": QueueName.SCAN.value},
        TaskName.PUSH.value: {"queue": QueueName.PUSH.value},
        TaskName.SCAN.value: {"queue": QueueName.SCAN.value},
    },
    timezone="UTC",
    beat_scheduler="worker.beat:MarkingScheduler",
    beat_schedule={
        "tick": {
            "task": TaskName.TICK.value,
            "schedule": _settings.sync.tick_s,
            # With no worker there, old ticks must not pile up.
            "options": {"expires": max(1.0, _settings.sync.tick_s)},
        },
        "trim": {"task": TaskName.TRIM.value, "schedule": 60.0, "options": {"expires": 60.0}},
        "upkeep": {"task": TaskName.UPKEEP.value, "schedule": 60.0, "options": {"expires": 60.0}},
        "alerts": {"task": TaskName.ALERTS.value, "schedule": 30.0, "options": {"expires": 30.0}},
    },
)


class _Places(transport.QoS):
    """The places of a worker's tasks, each given back when its task ends.

    kombu keeps a place whose acknowledgement Redis did not take, and does not even look at its connection while
    all are taken: a worker that was busy when Redis went away stayed deaf for ever. The message is only done again.
    """

    def ack(self, delivery_tag: str) -> None:
        """A task has ended."""
        try:
            super().ack(delivery_tag)
        finally:
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """A task's process has died."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        finally:
            virtual.QoS.ack(self, delivery_tag)


transport.Channel.QoS = _Places


@worker_before_create_process.connect
def keep_memory_shared(**_: Any) -> None:
    """A collection in a child would write into every page that it shares with its parent: 20 MiB each."""
    gc.collect()
    gc.freeze()
