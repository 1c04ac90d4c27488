"""`python -m worker.cli`: how one leadsync process starts another."""

from worker.cli.main import main

main()
