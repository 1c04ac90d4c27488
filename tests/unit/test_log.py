"""Logs tell where something went wrong, and nothing of what people wrote."""

from __future__ import annotations

import pytest
import structlog

from worker.log import set_up_logs


def test_an_exception_is_told_without_its_text_and_variables(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Type and place are there; the message and the local variables, which may hold people's data, are not.
    """
    set_up_logs()
    name = "Canary Person <canary@example.com>"
    people: dict[str, str] = {}
    try:
        people[name]
    except KeyError:
        structlog.get_logger("test").exception("entry_not_taken_in", entry_id="1-0")
    finally:
        structlog.reset_defaults()

    line = capsys.readouterr().err
    assert "event=entry_not_taken_in" in line
    assert "entry_id=1-0" in line
    assert "error=KeyError" in line
    assert "test_log.py:" in line
    assert "anary" not in line
    assert 1 == line.count("\n")
