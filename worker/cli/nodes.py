"""A name for this worker that stays the same when it is restarted and is never used twice at once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

from worker.errors import UsageError

_MOST = 1_000


@contextlib.contextmanager
def own_node(data_dir: Path) -> Iterator[str]:
    """The first free name of this folder on this machine, for instance `leadsync1-3f2a91c0@host`.

    A restarted worker gets its old name back and so finds the entries it left unfinished. The lock is the
    kernel's: it goes with the process, however that ends.
    """
    folder = data_dir.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
        for number in range(1, _MOST):
            with (folder / f"worker{number}.lock").open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield f"leadsync{number}-{place}@{socket.gethostname()}"
                return
    except OSError as error:
        raise UsageError(f"cannot write in {folder} ({error.strerror}); set data_dir to a folder of yours") from None
    raise UsageError(f"{_MOST} workers run in {folder} already")
