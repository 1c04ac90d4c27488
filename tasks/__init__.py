"""Celery's doors, a few lines each: wake up, call a use case, ring for what follows.

`leadsync worker` runs this package as Celery's app. Beat runs `worker.celery_app`: it sends tasks by name, and so
need not hold what they import.
"""

import worker.remotes.http  # noqa: F401 - needed at the first call only; before the fork, all children share it
from tasks import alerts, ending, intake, marks, push, scan, upkeep
from worker.celery_app import app

__all__ = ["alerts", "app", "ending", "intake", "marks", "push", "scan", "upkeep"]
