"""Migrations: up, down, and equal to the models, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from models.tables import SQLModel
from worker.errors import UsageError
from worker.store import database
from worker.store.database import check_schema, open_database, upgrade


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An empty database."""
    engine = open_database(database_url)
    yield engine
    engine.dispose()


def alembic(engine: Engine, name: str, *arguments: str) -> None:
    """One of alembic's commands on this database."""
    with engine.begin() as connection:
        config: Config = database._config(connection)
        getattr(command, name)(config, *arguments)


def tables(engine: Engine) -> set[str]:
    """Names of all tables."""
    return set(inspect(engine).get_table_names())


def test_they_equal_the_models(engine: Engine) -> None:
    """All migrations together make what the models say: `alembic check` finds nothing to do."""
    upgrade(engine)
    assert tables(engine) == {*SQLModel.metadata.tables, "alembic_version"}
    alembic(engine, "check")


def test_up_and_down_again(engine: Engine) -> None:
    """Every step can be taken back, and then taken again."""
    steps = len(list(ScriptDirectory.from_config(database._config(None)).walk_revisions()))
    for _ in range(2):
        upgrade(engine)
        for _ in range(steps):
            alembic(engine, "downgrade", "-1")
        assert {"alembic_version"} == tables(engine)


def test_twice_is_once(engine: Engine) -> None:
    """An upgraded database is left as it is."""
    upgrade(engine)
    before = tables(engine)
    upgrade(engine)
    assert before == tables(engine)


def test_several_at_once(engine: Engine, database_url: str) -> None:
    """Two processes that start together may both upgrade."""

    def again(_: int) -> None:
        mine = open_database(database_url)
        upgrade(mine)
        mine.dispose()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(again, range(4)))
    check_schema(engine)


def test_the_folder_is_made(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A SQLite file may lie in a folder that is not there yet."""
    folder = tmp_path_factory.mktemp("data") / "deep" / "down"
    engine = open_database(f"sqlite:///{folder / 'leadsync.db'}")
    upgrade(engine)
    check_schema(engine)
    engine.dispose()


def test_a_schema_that_is_not_current(engine: Engine) -> None:
    """What it is, what is needed, and the command to run."""
    upgrade(engine)
    check_schema(engine)
    head = ScriptDirectory.from_config(database._config(None)).get_current_head()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(UsageError) as error:
        check_schema(engine)
    assert f"the database schema is 0000, this leadsync needs {head}; run: leadsync db upgrade" == str(error.value)


def test_a_schema_from_the_future(engine: Engine) -> None:
    """A database that a newer leadsync has upgraded is left alone, in one sentence."""
    upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UsageError) as error:
        upgrade(engine)
    assert "the database schema is 9999, which this leadsync does not know; install a newer leadsync" == str(
        error.value
    )


def test_an_empty_database(engine: Engine) -> None:
    """The command to run is named."""
    with pytest.raises(UsageError, match=r"^the database has no tables yet; run: leadsync db upgrade$"):
        check_schema(engine)
