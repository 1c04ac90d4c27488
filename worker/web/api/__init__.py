"""The JSON API: the documents of `--json`, and the actions of the commands, for programs."""
