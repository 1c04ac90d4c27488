"""Settings: leadsync.toml and LEADSYNC_… variables. Read once in an entry point, passed down, never read again.

An unknown key is an error that names the nearest known one.
"""

from worker.settings.loading import load_settings
from worker.settings.shape import (
    PREFIX,
    AlertSettings,
    EventSettings,
    RemoteSettings,
    Settings,
    SyncSettings,
    WebSettings,
    config_path,
)

__all__ = [
    "PREFIX",
    "AlertSettings",
    "EventSettings",
    "RemoteSettings",
    "Settings",
    "SyncSettings",
    "WebSettings",
    "config_path",
    "load_settings",
]
