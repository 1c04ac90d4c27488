"""Celery's doors, fifteen lines each: wake up, call a use case, ring for what follows."""
