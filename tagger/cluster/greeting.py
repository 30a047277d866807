"""The handshake with a worker: the offer, and the files of networks that it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tagger.cluster import worker as worker_side
from tagger.cluster.members import Member
from tagger.cluster.offer import Offer
from tagger.text.parsing import parse_json

if TYPE_CHECKING:
    from distributed import Client

PART = 4 << 20
"""Bytes of a file that are sent at a time."""


class Greeting:
    """Greets workers; those of one machine one by one, so that each file is sent there once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._hosts: dict[str, asyncio.Lock] = {}

    async def greet(self, member: Member, offer: Offer, files: Mapping[str, str]) -> str:
        """Return why a worker cannot look at photos, and what to do; empty when it can.

        Raise what the worker, or the connection to it, raises.
        """
        data = offer.to_bytes()
        said = await self._ask(member, data)
        if not said.get("missing"):
            return str(said.get("problem", ""))
        # One that dies meanwhile holds nobody up for long: its greeting is ended.
        async with self._hosts.setdefault(member.host, asyncio.Lock()):
            said = await self._ask(member, data)
            for digest in said.get("missing", ()):
                if not await self._send(member, digest, files[digest]):
                    return f"the file {files[digest]} arrived damaged; it is sent again soon"
            if said.get("missing"):
                said = await self._ask(member, data)
        if said.get("missing"):
            return "what was sent is not there any more; give it room on the disk of its cache"
        return str(said.get("problem", ""))

    async def _ask(self, member: Member, data: bytes) -> Mapping[str, Any]:
        said = parse_json(await self._run(member, worker_side.greet, data))
        if not isinstance(said, dict):
            raise ValueError("it gave no proper answer")
        return said

    async def _send(self, member: Member, digest: str, path: str) -> bool:
        at, sound = 0, False
        with open(path, "rb") as file:
            part = file.read(PART)
            while part:
                following = file.read(PART)
                sound = await self._run(
                    member, worker_side.take_file, digest, at, part, not following
                )
                if not sound:
                    return False
                at, part = at + len(part), following
        return sound

    async def _run(self, member: Member, function: Any, *arguments: Any) -> Any:
        found = await self._client.run(function, *arguments, workers=[member.address])
        return found[member.address]
