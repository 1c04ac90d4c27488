"""The only place with queries: the SQL store, its in-memory twin, and the views that people read."""
