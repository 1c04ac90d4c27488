"""Migrations: up, down, and equal to the models, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from models.tables import SQLModel
from tests.support.heart import agreed_list, with_members
from tests.support.stores import loaded, saved
from worker.errors import UsageError
from worker.store import database
from worker.store.database import check_schema, open_database, upgrade
from worker.store.sql import SqlStore


@pytest.fixture
def engine(new_database_url: str) -> Iterator[Engine]:
    """An empty database."""
    engine = open_database(new_database_url)
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


def test_a_step_back_loses_no_list(engine: Engine) -> None:
    """Only what the step had added goes. On SQLite a table that is made anew would take with it what belongs to it."""
    upgrade(engine)
    made = saved(SqlStore(engine), with_members(agreed_list("crm", "lance", name="A"), "ada", shown_by=["crm"]))
    steps = len(list(ScriptDirectory.from_config(database._config(None)).walk_revisions()))
    kept = []
    for _ in range(steps - 1):
        alembic(engine, "downgrade", "-1")
        kept.append([_count(engine, table) for table in ("lead_lists", "links", "wanted", "copies", "members")])
    assert kept == [[1, 2, 1, 2, 1]] * (steps - 1)
    upgrade(engine)
    assert loaded(SqlStore(engine), made.id).wanted == made.wanted


def _count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_twice_is_once(engine: Engine) -> None:
    """An upgraded database is left as it is."""
    upgrade(engine)
    before = tables(engine)
    upgrade(engine)
    assert before == tables(engine)


def test_several_at_once(engine: Engine, new_database_url: str) -> None:
    """Two processes that start together may both upgrade."""

    def again(_: int) -> None:
        mine = open_database(new_database_url)
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


def test_an_older_schema(engine: Engine) -> None:
    """What it is, what is needed, and the command to run."""
    upgrade(engine)
    check_schema(engine)
    _make_it(engine, "0001")
    with pytest.raises(UsageError) as error:
        check_schema(engine)
    assert f"the database schema is 0001, this leadsync needs {_newest()}; run: leadsync db upgrade" == str(error.value)


@pytest.mark.parametrize("look", [check_schema, upgrade])
def test_a_newer_schema_that_only_has_more(engine: Engine, look: Callable[[Engine], None]) -> None:
    """A newer leadsync may be tried, and the older ones go on beside it, or come back."""
    upgrade(engine)
    _make_it(engine, "0999")
    look(engine)
    assert "0999" == database._revision(engine)


@pytest.mark.parametrize("look", [check_schema, upgrade])
@pytest.mark.parametrize("made", ["1001", "0000"])
def test_a_schema_that_is_not_for_us(engine: Engine, look: Callable[[Engine], None], made: str) -> None:
    """A database from which a newer leadsync took something away is left alone, in one sentence."""
    upgrade(engine)
    _make_it(engine, made)
    with pytest.raises(UsageError) as error:
        look(engine)
    says = f"the database schema is {made}, and this leadsync knows none after {_newest()}"
    assert f"{says}; install a newer leadsync" == str(error.value)


def test_each_migration_has_a_number() -> None:
    """Four digits that grow: an older program reads from them whether it can work on what it does not know."""
    scripts = ScriptDirectory.from_config(database._config(None)).walk_revisions()
    numbers = [int(script.revision) for script in scripts][::-1]
    assert sorted(set(numbers)) == numbers
    assert f"{numbers[-1]:04}" == _newest()


def _newest() -> str | None:
    return ScriptDirectory.from_config(database._config(None)).get_current_head()


def _make_it(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")


def test_an_empty_database(engine: Engine) -> None:
    """The command to run is named."""
    with pytest.raises(UsageError, match=r"^the database has no tables yet; run: leadsync db upgrade$"):
        check_schema(engine)
