"""The `leadsync` command. Commands are doors: they read settings, call a use case and print a document.

Heavy imports wait inside the commands, so that `leadsync --help` answers at once.
"""

from worker.cli.main import main

__all__ = ["main"]
