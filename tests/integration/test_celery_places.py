"""A worker's places for tasks, when Redis does not take what it says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Queue
from kombu.message import Message

import worker.celery_app  # noqa: F401 - gives kombu the places
from tests.support.process import kill_tree
from worker.embedded import EmbeddedRedis, embedded_redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """One that may be killed."""
    with embedded_redis(tmp_path) as server:
        yield server


@pytest.mark.parametrize("end", [Message.ack, Message.reject, Message.requeue])
def test_a_place_is_free_again_although_redis_is_away(redis: EmbeddedRedis, end: object) -> None:
    """Or nobody would listen with that place any more, even when Redis is back."""
    assert callable(end)
    with Connection(redis.broker_url) as connection:
        channel: Any = connection.channel()
        queue = Queue("places")(channel)
        queue.declare()
        channel.basic_qos(0, 1, False)
        connection.Producer(channel).publish({}, routing_key="places")
        message = queue.get(no_ack=False)
        assert message is not None
        assert not channel.qos.can_consume()
        kill_tree(redis.pid or 0)

        with pytest.raises(connection.connection_errors):
            end(message)

        assert channel.qos.can_consume()
