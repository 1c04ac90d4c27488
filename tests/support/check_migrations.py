"""Do the migrations make what the models say, on SQLite and PostgreSQL? Run by `./run lint`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.postgres import running_postgres


def check(url: str) -> int:
    """Build the schema by all migrations, then ask alembic what is missing. Returns its exit status."""
    environment = {**os.environ, "ALEMBIC_URL": url}
    for command in ("upgrade head", "check"):
        alembic = [sys.executable, "-m", "alembic", *command.split()]
        done = subprocess.run(alembic, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
            return done.returncode
    return 0


def main() -> int:
    """Both databases, even when the first one fails."""
    with tempfile.TemporaryDirectory() as folder, running_postgres() as server:
        sqlite = check(f"sqlite:///{Path(folder, 'schema.db')}")
        with server.database("schema") as url:
            postgres = check(url)
    return sqlite or postgres


if __name__ == "__main__":
    sys.exit(main())
