"""Documents: what the CLI prints with `--json` and shows as text, and what the web shows. Made of views and budgets.

Keys do not change without a note in CHANGELOG.md. What cannot be asked is the word "unknown", never a number.
"""
