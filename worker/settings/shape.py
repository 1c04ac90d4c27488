"""The shape of the settings: every key with its type, default and meaning. docs/settings.md is made from this file.

Names do not change without a note in CHANGELOG.md.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from models import lead_list
from models.person import Naming
from worker.engine.rules import Direction, Policy
from worker.errors import UsageError
from worker.partitions import MOST
from worker.settings import checks

PREFIX = "LEADSYNC_"
#: A header as people write it: name and value.
_HEADER_LINE = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*:\s*([!-~][ -~]*)")


RemoteName = Annotated[str, AfterValidator(checks.remote_name)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RedisSettings(_Group):
    """Where events, Celery's messages and the rate budgets live."""

    url: Annotated[str, AfterValidator(checks.redis_url)] | None = None
    """redis://HOST:PORT/DATABASE, rediss://… for TLS, or unix://PATH.
    None: `leadsync up` keeps a server under `data_dir`, with its append-only file on; commands share it.
    `leadsync worker`, `beat` and `web` on their own need an address.
    """


class DatabaseSettings(_Group):
    """Where the cache and the ledger live."""

    url: Annotated[str, AfterValidator(checks.database_url)] | None = None
    """sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME; several machines need PostgreSQL.
    None: the SQLite file leadsync.db under `data_dir`.
    """


class EventSettings(_Group):
    """The stream that other programs write to."""

    stream: str = "leadsync:events"
    """Its key in Redis."""
    group: str = "leadsync"
    """Our consumer group. Other readers of the stream use names of their own; nothing is trimmed that one of them
    still needs.
    Two installations need two databases of Redis, whatever their groups: the names of queues and budgets are fixed.
    """
    partitions: int = Field(default=1, ge=1, le=MOST)
    """Keys over which the stream is spread, so that as many workers can take events in at the same time: it pays where
    several processes share PostgreSQL. The first is `events.stream` itself, the others have `:1`, `:2` … after it.
    Webhooks and `leadsync events publish` are spread by leadsync. A program that writes the stream sends all events of
    one list to the same key: number CRC-32 of `source:subject` modulo `events.partitions`, or always the first.
    What a partition holds that is no longer configured is taken in all the same.
    """
    batch: int = Field(default=2_000, gt=0, le=10_000)
    """Entries per transaction; 16 MiB of events end one too.
    All events of a list in one batch cost one read and one write; a larger batch keeps other workers waiting longer.
    """
    takeover_s: float = Field(default=45.0, gt=0)
    """Seconds after which an entry that a worker took and did not finish is given to another.
    Longer than any transaction takes, or two workers would do the same work.
    """


class SyncSettings(_Group):
    """Who wins, and when a person is asked."""

    authority: tuple[str, ...] = ("crm",)
    """Remotes in order of authority, the highest first; remotes that are not named share the last place.
    It decides when copies differ at first sight, and conflicts by the policy `authority`.
    The default changes nothing where no remote is called crm.
    """
    brake: float = Field(default=0.3, gt=0, le=1)
    """Share of a remote's known lists that one scan may find changed, or no longer find, before a person is asked; and
    share of one list's members that may go at once. Ten or fewer are never held; a remote that shows no list at all is.
    """
    conflicts: dict[Literal["name", "owner", "enrichment"], Policy] = {}
    """Who wins when one field was edited on two sides before they met; `authority` where a field is not named.
    `newest` compares the clocks of two remotes, so they must be right.
    `hold` keeps what was agreed, and does not write the field where it differs until people decide
    (`leadsync conflicts list`) or have made both equal.
    """
    mode: Literal["auto", "review"] = "auto"
    """With `auto` what is due is sent by itself. With `review` nothing is written but by `leadsync apply`; changes are
    taken in, and lists are read where they must be, all the same.
    """
    late_write_s: float = Field(default=120.0, gt=0)
    """Seconds for which a write of unknown outcome may still arrive; until then no other value is written over it.
    A guess on the safe side: no remote documents it.
    """
    tick_s: float = Field(default=2.0, ge=0.2)
    """Seconds between two looks of beat for due copies and waiting events that no message announced.
    It is what a lost message costs; a look is one query a remote.
    """
    keep_days: int | None = Field(default=None, gt=0, le=36_500)
    """Days after which changes, attempts, certificates of scans and plans are forgotten, the oldest first; what
    `leadsync show` tells of a list's past may then end before what explains its present. Rejects are kept: people
    decide about them. None: everything is kept for ever.
    """


class RemoteSettings(_Group):
    """One remote: a CRM, an Instantly workspace or a Lance tenant."""

    kind: Literal["crm", "instantly", "lance"]
    """The API that it speaks."""
    base_url: Annotated[str, AfterValidator(checks.no_trailing_slash)]
    """Everything before the API's own paths (/api/v2/…, /api/v1/…, /lead-lists), without user, password or query.
    The token is sent there and nowhere else: redirects are not followed.
    """
    token: SecretStr | None = None
    """Sent as `Authorization: Bearer`. Better in the environment (LEADSYNC_REMOTES__NAME__TOKEN) or in `token_file`.
    None: `token_file` is read.
    """
    token_file: Path | None = None
    """A file with nothing but the token. Read when a process first calls the remote: start anew after a change.
    None: `token` must be set.
    """
    requests_per_second: int = Field(default=10, gt=0)
    """Calls in any one second, all workers together.
    Our share of the remote's limit, not the limit itself: people and other programs call it too.
    """
    requests_per_minute: int = Field(default=600, gt=0)
    """Calls in any one minute, all workers together."""
    max_in_flight: int = Field(default=16, gt=0, le=512)
    """Calls under way at once. With answers after 200 ms, 16 make 80 calls a second."""
    timeout_s: float = Field(default=20.0, gt=0, le=300)
    """Seconds that one call may take in all, from asking for a connection to the last byte read.
    A write that takes longer has an unknown outcome, so rather too long than too short.
    """
    max_answer_mib: int = Field(default=32, gt=0, le=4096)
    """Mebibytes that one answer may have; a longer one is cut off and not believed. Lance shows the whole people of a
    list, each with about 0.7 kB and more: 32 are enough for some 45,000.
    """
    scan_every_s: float = Field(default=900.0, gt=0)
    """Seconds from the beginning of one scan to that of the next: how long a change that no event told of may go
    unnoticed. A scan reads every list, 100 a call (Lance: all in one), with what the rate budget has left.
    """
    mode: Literal["auto", "review"] | None = None
    """As `sync.mode`, for this remote. None: as `sync.mode` says."""
    fields: dict[lead_list.Field, Literal["both", "push", "pull", "off"]] = {}
    """Direction per field: `both` ways, `push` (written there, edits there are overwritten), `pull` (edits there
    count, never written), or `off` (not compared).
    What is not named takes the kind's default, see [connecting.md](connecting.md#which-way-fields-flow).
    """
    owners: dict[str, str] = {}
    """Each CRM user's id to the same person's id there, one to one.
    Without it the owner is not compared on Instantly; Lance has no owner.
    """
    member_ids: Literal["own", "shared"] | None = None
    """Whether the remote knows members by ids of its own, which leadsync must learn before it can tell it of them
    ([members.md](members.md)), or by those of the CRM. None: `shared` for a CRM, `own` for Lance; Instantly knows
    people by their e-mail addresses and nothing else.
    What was seen of members is kept by the old ids and would look as if all had gone and others had come; so workers
    refuse to start after a change until the lists of this remote have been unlinked. Link them again afterwards.
    """
    members_scan_every_s: float = Field(default=86_400.0, gt=0)
    """Seconds after which the members of a list are read anew where that takes calls of its own (Instantly: one for
    every hundred), though their number is as it was. Each scan compares the numbers, by one call a list.
    """
    enrich_at_once: int = Field(default=10, ge=0)
    """Members that may be added by themselves to an Instantly list whose enrichment is on, which may cost money for
    each: more are held until `leadsync apply`.
    """
    on_missing: Literal["ignore", "create"] = "ignore"
    """What becomes of a list that this remote has no copy of: left alone, or created there with what is wanted of it.
    Not before a complete scan, and not where that scan, or news since, showed a list of the same name: then a person
    is asked. A list of that name made there since the last scan, of which no event told, is not known yet.
    """
    on_gone: Literal["hold", "unlink", "recreate"] = "hold"
    """What becomes of a copy whose list is gone: a complete scan did not show it, and its id is answered with 404.
    `hold` parks it for a person, `unlink` lets it go, `recreate` makes a new list there. No list is ever deleted.
    """
    webhook_secret: SecretStr | None = None
    """`whsec_…`: what this remote signs its webhooks with, by Standard Webhooks; it sends them to /webhooks/NAME.
    While it is being changed, the old one and the new one with a comma or a space between: both are accepted.
    None: no signature is asked for.
    """
    webhook_header: SecretStr | None = None
    """`Name: value`: a header that each webhook must carry, for senders that cannot sign (Instantly).
    With `webhook_secret` too, both are asked for; with neither, webhooks of this remote are refused.
    None: no header is asked for.
    """

    @model_validator(mode="after")
    def _owners_are_one_to_one(self) -> RemoteSettings:
        if len(set(self.owners.values())) != len(self.owners):
            raise ValueError("owners: two CRM users are mapped to one user of this remote; the way back is ambiguous")
        return self

    @model_validator(mode="after")
    def _instantly_knows_addresses(self) -> RemoteSettings:
        if self.kind == "instantly" and self.member_ids is not None:
            raise ValueError("member_ids: Instantly knows people by their e-mail addresses; leave it out")
        return self

    def naming(self, default: Naming) -> Naming:
        """By what it knows members."""
        if self.member_ids is None:
            return default
        return Naming.KEY if self.member_ids == "shared" else Naming.ID

    def bearer(self) -> SecretStr:
        """The token, from settings or file. Raises `UsageError` when there is none."""
        if self.token is not None:
            return self.token
        if self.token_file is None:
            raise UsageError("no token: set LEADSYNC_REMOTES__<NAME>__TOKEN, or token_file in leadsync.toml")
        try:
            return SecretStr(self.token_file.read_text(encoding="utf-8").strip())
        except OSError as error:
            raise UsageError(f"token_file {self.token_file}: {error.strerror}; make it readable") from None

    def webhook_keys(self) -> tuple[bytes, ...]:
        """What its webhooks are signed with; none when no signature is asked for. Raises `UsageError`."""
        if self.webhook_secret is None:
            return ()
        words = self.webhook_secret.get_secret_value().replace(",", " ").split()
        try:
            keys = tuple(base64.b64decode(word.removeprefix("whsec_"), validate=True) for word in words)
        except ValueError:  # its text would tell about the secret
            keys = ()
        if not keys or not all(keys):
            raise UsageError("webhook_secret: expected whsec_ and base64, as the sender shows it")
        return keys

    def webhook_name_and_value(self) -> tuple[str, str] | None:
        """The header that its webhooks must carry, if one is asked for. Raises `UsageError`."""
        if self.webhook_header is None:
            return None
        line = _HEADER_LINE.fullmatch(self.webhook_header.get_secret_value().strip())
        if line is None:
            raise UsageError("webhook_header: expected a header as in X-Hook-Key: value, in plain ASCII")
        return line[1].lower(), line[2]

    def directions(self, defaults: Mapping[lead_list.Field, Direction]) -> dict[lead_list.Field, Direction]:
        """Settings over the kind's defaults. A field the kind does not have stays `none`."""
        chosen = {field: Direction(word) for field, word in self.fields.items() if field in defaults}
        return {**defaults, **chosen}


class WebSettings(_Group):
    """The web process."""

    host: str = "127.0.0.1"
    """Address to listen on. The default is seen from this machine only; 0.0.0.0 from everywhere."""
    port: int = Field(default=8484, ge=0, le=65535)
    """0: any free one; the process says which."""
    password: Annotated[SecretStr, AfterValidator(checks.some_secret)] | None = None
    """What operators log in with; they may see everything and act. A change of it logs all of them out.
    None: pages and API answer on this machine only, whatever `host` says, and ask for nothing there.
    Health checks answer everybody, and webhooks bring their own proof.
    """
    viewer_password: Annotated[SecretStr, AfterValidator(checks.some_secret)] | None = None
    """What viewers log in with: they see the same pages and change nothing. It needs `password` too, and another value.
    None: there are no viewers.
    """
    api_token: Annotated[SecretStr, AfterValidator(checks.long_secret)] | None = None
    """What programs send to the API as `Authorization: Bearer`, at least 16 characters; it may do what operators may.
    None: the API takes what the pages take, a session.
    """
    metrics_token: Annotated[SecretStr, AfterValidator(checks.long_secret)] | None = None
    """What Prometheus sends as `Authorization: Bearer`, at least 16 characters: it opens /metrics and nothing else.
    None: /metrics takes `api_token`, or what the pages take.
    """
    secure: bool = False
    """Whether the session cookie is always marked Secure, so that browsers send it over TLS only. It is by itself when
    the request came by TLS as a trusted proxy says; set it when the proxy in front does not say so.
    """
    trusted_proxy: tuple[Annotated[str, AfterValidator(checks.network)], ...] = ()
    """Addresses or networks of proxies in front, as in 10.0.0.5 or 10.0.0.0/24: `X-Forwarded-For`, `X-Forwarded-Proto`
    and `X-Forwarded-User` are believed when they come from there, so each proxy must set all three itself, and nobody
    else may reach the port. The user is named in the audit; it replaces no password.
    """

    @model_validator(mode="after")
    def _two_passwords(self) -> WebSettings:
        if self.viewer_password is not None and self.password is None:
            raise ValueError("viewer_password needs password too, or nobody could act")
        if self.viewer_password is not None and self.viewer_password == self.password:
            raise ValueError("viewer_password must be another one than password")
        return self


class AlertSettings(_Group):
    """When people are told, and where. Alerts are in the logs in any case."""

    url: Annotated[SecretStr, AfterValidator(checks.webhook_url)] | None = None
    """Where each alert is sent, by POST as Standard Webhooks has it; nowhere else, since redirects are not followed.
    Secret, because of many receivers the address is all that a sender must know.
    None: alerts are in the logs only.
    """
    secret: SecretStr | None = None
    """`whsec_…`: what alerts are signed with; the receiver needs it too. `openssl rand -base64 32` makes what follows
    whsec_.
    """
    timeout_s: float = Field(default=10.0, gt=0, le=60)
    """Seconds that one try may take in all. What failed is tried again, ever more seldom, up to once an hour."""
    settle_s: float = Field(default=60.0, ge=0, le=3_600)
    """Seconds for which a state must last before people are told: what comes and goes within them is no news.
    Workers look every 30 s.
    """
    stale_after_s: float = Field(default=900.0, gt=0)
    """A remote is stale when one of its due copies has not been in sync for longer.
    Copies that wait for people (brake, review) do not count, nor does a paused remote.
    """
    parked_above: int = Field(default=10, ge=0)
    """So many parked copies of one remote are nothing that people are woken for."""

    @model_validator(mode="after")
    def _signed(self) -> AlertSettings:
        if self.url is not None and self.secret is None:
            raise ValueError("url needs secret too: receivers must be able to tell our alerts from others'")
        if not self.keys() and self.secret is not None:
            raise ValueError("secret: expected whsec_ and base64 of 24 to 64 bytes")
        return self

    def keys(self) -> tuple[bytes, ...]:
        """What alerts are signed with; none when there is no secret that is one."""
        word = "" if self.secret is None else self.secret.get_secret_value().strip().removeprefix("whsec_")
        try:
            key = base64.b64decode(word, validate=True)
        except ValueError:  # its text would tell about the secret
            return ()
        return (key,) if 24 <= len(key) <= 64 else ()


class Settings(BaseSettings):
    """Everything leadsync can be told."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Path(".leadsync")
    """Folder of the embedded Redis, of the default SQLite file and of the workers' locks; made when it is missing,
    for its owner only.
    """
    redis: RedisSettings = RedisSettings()
    database: DatabaseSettings = DatabaseSettings()
    events: EventSettings = EventSettings()
    sync: SyncSettings = SyncSettings()
    remotes: dict[RemoteName, RemoteSettings] = {}
    """Each has its group, under the name that events, links and commands use."""
    web: WebSettings = WebSettings()
    alerts: AlertSettings = AlertSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments over environment over file; nothing else is read."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_path())

    @property
    def database_url(self) -> str:
        """The database in use: the one that is set, or a SQLite file under `data_dir`."""
        return self.database.url or f"sqlite:///{self.data_dir.resolve() / 'leadsync.db'}"


def config_path() -> Path | None:
    """The file that is read: LEADSYNC_CONFIG, else leadsync.toml in the working directory, else none."""
    named = os.environ.get("LEADSYNC_CONFIG")
    if named:
        return Path(named)
    here = Path("leadsync.toml")
    return here if here.exists() else None
