"""The certificates of a cluster, for Dask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagger.config.cluster import ClusterConfig

if TYPE_CHECKING:
    from distributed.security import Security


def security(config: ClusterConfig) -> Security | None:
    """Return the certificates of ``config``; None where it has none, as for tcp."""
    from distributed.security import Security

    if config.tls_ca is None:
        return None
    return Security(
        tls_ca_file=config.tls_ca,
        tls_client_cert=config.tls_cert,
        tls_client_key=config.tls_key,
        require_encryption=True,
    )
