"""Connectors: one folder for each kind of remote, always with the same files. They do not know each other."""
