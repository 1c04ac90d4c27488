"""The stream of events: on Redis, and its in-memory twin."""
