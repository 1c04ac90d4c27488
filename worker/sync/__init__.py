"""Use cases: intake, push and what they share. They know ports and engine; they do not know Celery, SQL or HTTP."""
