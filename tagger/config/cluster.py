"""The part of the configuration that tells of workers on other machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tagger.config.setting import setting
from tagger.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """Which workers look at photos. Raise ConfigError for what is malformed."""

    scheduler: str | None = setting(
        'The address of a Dask scheduler, as "tcp://127.0.0.1:8786" or "tls://nas:8786"; its\n'
        "workers look at photos then, see docs/cluster.md. Unset: this machine does.",
        None,
    )
    paths: Mapping[str, str] = setting(
        "Where workers see folders that have another path there: `/photos: /mnt/nas/photos`.",
        factory=dict,
        path=True,
        shown={},
    )
    lost: Literal["local", "wait"] = setting(
        "Without the scheduler, or a worker. local: this machine looks at photos. wait: they wait.",
        "local",
    )
    readers: int = setting(
        "Photos that all workers together read at a time; 0: as many as they can.",
        0,
        min=0,
        max=10_000,
    )
    tls_ca: str | None = setting("With tls://, the certificate of the authority.", None, path=True)
    tls_cert: str | None = setting("And this machine's own certificate.", None, path=True)
    tls_key: str | None = setting("And its key.", None, path=True)

    def __post_init__(self) -> None:
        check_scheduler("cluster.scheduler", self.scheduler)
        relative = [one for one in self.paths if not one.startswith("/")]
        if relative:
            raise ConfigError(
                f"cluster.paths: {relative[0]!r} is no folder of this machine",
                "write its whole path, which begins with a slash",
            )
        encrypted = (self.scheduler or "").startswith("tls://")
        for name in ("tls_ca", "tls_cert", "tls_key"):
            if encrypted and getattr(self, name) is None:
                raise ConfigError(
                    f"cluster.{name}: it is missing, and tls:// needs it",
                    "name its file, or use tcp:// within this machine",
                )


def check_scheduler(key: str, address: str | None) -> None:
    """Raise ConfigError, which names ``key``, for what is no address of a scheduler."""
    if address is None:
        return
    kind, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    if kind not in ("tcp", "tls") or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(
            f"{key}: {address!r} is no address of a scheduler",
            "write it as `dask scheduler` prints it: tcp://HOST:8786",
        )
