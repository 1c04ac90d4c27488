"""schemathesis asks a running app whatever its documents allow and forbid: no 500, and only answers as documented.

In a process of its own: it changes parts of Hypothesis, on which the other tests of this process rely.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson

from tests.support import webhook_doors
from tests.support.api import TOKEN, api_at
from tests.support.webhooks import running_web

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"
#: It takes all for good that has the right shape; that a cursor is none is known only when it is used.
#: And a body of another shape may be too large, too.
CONFIG = """
[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.expected-statuses = [400, 401, 404, 405, 413, 422]
"""


def test_the_api_answers_as_its_document_says(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """Status, type and shape of each answer; what is forbidden is refused; nothing is told without a token."""
    with api_at(database_url, redis_url) as api:
        (tmp_path / "document.json").write_bytes(api.get("/api/openapi.json").body)
        _ask(
            tmp_path,
            f"http://127.0.0.1:{api.port}/api",
            f"--header=Authorization: Bearer {TOKEN}",
            "--exclude-path=/v1/doctor",  # it calls remotes
        )


def test_webhooks_are_accepted_or_refused_with_a_sentence(redis_url: str, tmp_path: Path) -> None:
    """Whatever a sender with the secret says."""
    (tmp_path / "document.json").write_bytes(orjson.dumps(webhook_doors.document()))
    with running_web(redis_url) as web:
        # Which bodies are no news is not all in the document: a list may hold more than its API shows today.
        left_out = "--exclude-checks=negative_data_rejection"
        _ask(tmp_path, f"http://127.0.0.1:{web.port}", left_out, hooks=webhook_doors.__name__)
        assert web.stream()


def _ask(folder: Path, url: str, *more: str, hooks: str | None = None) -> None:
    (folder / "schemathesis.toml").write_text((f'hooks = "{hooks}"\n' if hooks else "") + CONFIG)
    options = [f"--url={url}", "--max-examples=20", "--generation-deterministic", "--no-color", *more]
    command = [sys.executable, "-c", PROGRAM, "run", "document.json", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert 0 == said.returncode, said.stdout + said.stderr
