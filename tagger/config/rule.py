"""A rule: a query, and what is done with each new photo that it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tagger.config.setting import setting
from tagger.errors import ConfigError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

Action = Literal["tag", "copy_to", "move_to", "run", "webhook"]
ACTIONS: tuple[Action, ...] = ("tag", "copy_to", "move_to", "run", "webhook")
"""In the order in which they are done: programs are told where the photo is in the end."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Raise ConfigError when it can do nothing, or names what cannot be."""

    query: str = field(metadata={"help": "Which photos: as `tagger query` takes it."})
    name: str = setting(
        "What the rule is called, and by what it is known after a change. Unset: its query.", ""
    )
    tag: str | None = setting(
        "A word that the photo gets as a tag. `tagger untag` takes it away.", None
    )
    copy_to: str | None = setting(
        "A folder, which must be there, that gets a copy, with the sidecars. Nothing is\n"
        "overwritten.",
        None,
        path=True,
    )
    move_to: str | None = setting(
        "A folder, which must be there, that the photo is moved to, with its sidecars. Nothing is\n"
        "overwritten; `tagger rules undo` brings it back.",
        None,
        path=True,
    )
    run: tuple[str, ...] = setting(
        "A program with its arguments, without a shell: `{path}` is the photo, `{labels}` its\n"
        "tags with commas between, `{rule}` the rule. Without `{path}` that is added at the end.",
        (),
    )
    webhook: str | None = setting("An http or https address that gets a POST with JSON.", None)
    timeout_seconds: float = setting(
        "So long the program, or the address, may take.", 60.0, min=1, max=3600
    )

    def __post_init__(self) -> None:
        if not self.query.strip():
            raise ConfigError("query: it is empty", "say which photos, as `tagger query` takes it")
        if not self.actions:
            raise ConfigError(
                "query: the rule does nothing",
                "give it tag, copy_to, move_to, run or webhook",
            )
        if self.run and not self.run[0]:
            raise ConfigError("run: the program is missing", "name it first, then its arguments")
        if self.run and "/" in self.run[0] and not self.run[0].startswith("/"):
            raise ConfigError(
                f"run: {self.run[0]} is relative to no folder", "name the program by its whole path"
            )
        if any("\0" in word for word in self.run):
            raise ConfigError("run: an argument has a NUL in it", "take it away")
        if self.webhook is not None and self.address is None:
            raise ConfigError(
                "webhook: it is no http or https address",
                "write one such as http://192.168.1.2:8123/api/webhook/photos",
            )

    @property
    def key(self) -> str:
        """By what it is known in the index."""
        return self.name or self.query

    @property
    def actions(self) -> tuple[Action, ...]:
        """What it does, in order."""
        return tuple(one for one in ACTIONS if getattr(self, one))

    @property
    def address(self) -> SplitResult | None:
        """The parts of the webhook's address; None without a sound one."""
        from urllib.parse import urlsplit  # every command reads the config, few have an address

        text = self.webhook or ""
        try:
            parts = urlsplit(text)
            sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            return None
        plain = text.isascii() and text.isprintable() and " " not in text
        return parts if sound and plain else None
