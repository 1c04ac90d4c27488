"""What one value of the settings must be like. Each returns it, or raises `ValueError` with what was expected."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from pydantic import SecretStr


def no_trailing_slash(url: str) -> str:
    """The address of an API."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("expected an address that starts with http:// or https://")
    if not has_host(url):
        raise ValueError("expected an address with a host, as in https://crm.internal/api")
    return url.rstrip("/")


def redis_url(url: str) -> str:
    """The address of a Redis."""
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("expected an address that starts with redis://, rediss:// or unix://")
    if not url.startswith("unix://") and not has_host(url):
        raise ValueError("expected an address with a host, as in redis://127.0.0.1:6379/0")
    return url


def has_host(url: str) -> bool:
    """It names a machine."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # unclosed brackets, a port that is no number
        return False


def database_url(url: str) -> str:
    """The address of a database."""
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ValueError("expected sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME")
    return url


def some_secret(secret: SecretStr) -> SecretStr:
    """Anything but nothing."""
    if not secret.get_secret_value().strip():
        raise ValueError("must not be empty; leave it out to have none")
    return secret


def long_secret(secret: SecretStr) -> SecretStr:
    """One that nobody guesses."""
    if not re.fullmatch(r"[!-~]{16,512}", secret.get_secret_value()):
        raise ValueError("expected 16 to 512 letters, digits and marks without spaces, as openssl rand -hex 32 prints")
    return secret


def webhook_url(url: SecretStr) -> SecretStr:
    """The address of somebody who takes webhooks."""
    address = url.get_secret_value()
    if not address.startswith(("http://", "https://")) or not has_host(address) or not address.isprintable():
        raise ValueError("expected an address that starts with http:// or https://")
    if " " in address or "@" in urlsplit(address).netloc:
        raise ValueError("expected an address without spaces, user and password")
    return url


def network(address: str) -> str:
    """An address, or a network of them."""
    try:
        return str(ipaddress.ip_network(address))
    except ValueError:
        raise ValueError("expected an address or a network, as in 10.0.0.5 or 10.0.0.0/24") from None


def remote_name(name: str) -> str:
    """What people call a remote."""
    # People write REMOTE:ID; variables have no lower case of their own and join names by two underscores.
    if not re.fullmatch(r"[a-z0-9-]+(_[a-z0-9-]+)*", name) or len(name) > 64:
        raise ValueError("a remote's name has 1 to 64 lower-case letters, digits, hyphens and single underscores")
    return name
