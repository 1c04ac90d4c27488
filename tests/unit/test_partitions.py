"""Partitions of the stream: every sender must come to the same one for the same list."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest

from worker.partitions import partition_key, partition_of, partition_of_list


def test_the_first_partition_is_the_stream_itself() -> None:
    """So that programs that know nothing of partitions need not change."""
    assert ["s", "s:1", "s:2"] == [partition_key("s", number) for number in range(3)]


@pytest.mark.parametrize(
    ("source", "subject", "number"), [("crm", "list-1", 2), ("crm", "list-2", 0), ("lance", "é-1", 2)]
)
def test_the_number_is_a_crc_that_other_languages_have(source: str, subject: str, number: int) -> None:
    """docs/connecting.md promises it to senders."""
    assert number == partition_of_list(source, subject, 4)
    event = orjson.dumps({"source": source, "subject": subject})
    assert number == partition_of(event, 4) == partition_of(event.decode(), 4)


@pytest.mark.parametrize("event", [b"not json", b"[1]", b'{"source": "crm"}', b'{"source": 1, "subject": 2}', b"\xff"])
def test_what_names_no_list_goes_to_the_first(event: bytes) -> None:
    """Intake says there what is wrong with it."""
    assert 0 == partition_of(event, 4)


def test_lists_are_spread_evenly() -> None:
    """No partition has twice its share."""
    count = Counter(partition_of_list("crm", f"list-{n}", 4) for n in range(4_000))
    assert max(count.values()) < 1_200
