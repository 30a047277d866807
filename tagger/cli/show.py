"""``tagger show``."""

from __future__ import annotations

from typing import Any

import click

from tagger.cli.common import ask_known, config_or_default, json_option, print_json, vocabulary
from tagger.cli.speech import stored_text
from tagger.cli.terminal import shown as visible
from tagger.config.schema import Config
from tagger.errors import StateError
from tagger.index.reader import Reader, open_reader
from tagger.library.serialize import photo_json
from tagger.records import OVERWRITTEN, PUT_BACK
from tagger.text.messages import gettext
from tagger.text.printable import printable


@click.command("show")
@click.argument("photo")
@json_option
def show_command(photo: str, as_json: bool) -> None:
    """Show all that is known of PHOTO: its tags, what was written where, and why not."""
    config = config_or_default()
    path = ask_known(config, photo)
    with open_reader(config.state_dir) as reader:
        shown = show_json(reader, path, config)
    if as_json:
        print_json(shown)
    else:
        _print(shown)


def show_json(reader: Reader, path: str, config: Config) -> dict[str, Any]:
    """Return the documented JSON of one photo. Raise StateError when it is not in the index."""
    row = reader.photo(path)
    if row is None:
        raise StateError(
            f"{path} is not in the index",
            "see whether its folder is watched (`tagger status`), or try `tagger classify`",
        )
    return photo_json(reader, row, reader.tags(row.id), vocabulary(config), config.labels.top_k)


def _print(shown: dict[str, Any]) -> None:
    click.echo(printable(shown["path"]))
    _line(gettext("status"), gettext(shown["status"]))
    if shown["failure"]:
        _line(gettext("failure"), stored_text(shown["failure"]))
    for tag in shown["tags"]:
        other = {"user": f" ({gettext('yours')})", "rule": f" ({gettext('by a rule')})"}
        own = other.get(tag["source"]) or f" {tag['confidence']:.2f}"
        _line(gettext("tag"), visible(" > ".join(tag["path"])) + own)
    for key, name in (
        ("taken_at", gettext("taken at")),
        ("camera", gettext("camera")),
        ("model", gettext("model")),
        ("tagged_at", gettext("tagged at")),
        ("note", gettext("note")),
    ):
        if shown[key]:
            value = str(shown[key])
            _line(name, stored_text(value) if key == "note" else printable(value))
    if shown["kinds"]:
        _line(gettext("kind"), ", ".join(shown["kinds"]))
    for raw in shown["top"]:
        what = gettext(
            "class %(number)s: %(label)s", number=raw["index"], label=visible(raw["label"])
        )
        click.echo(f"  {what} {raw['probability']:.4f}")
    if shown["boxes"]:
        seen = ", ".join(f"{box['label']} {box['score']:.2f}" for box in shown["boxes"])
        _line(gettext("seen"), seen)
    for entry in shown["written"]:
        file, moment = printable(entry["file"]), entry["written_at"]
        click.echo("  " + gettext("written to %(file)s at %(moment)s", file=file, moment=moment))
        for name, values in entry["added"].items():
            click.echo(f"    {visible(name)}: {visible(', '.join(values))}")
        if entry["reason"]:
            why = stored_text(entry["reason"])
            if entry["reason"] not in (OVERWRITTEN, PUT_BACK):
                why = gettext("not embedded: %(why)s", why=why)
            click.echo(f"    {why}")
    if shown["overwritten"]:
        words = visible(", ".join(shown["overwritten"]))
        _line(gettext("overwritten by another program, in the index only"), words)
        ours = [tag for tag in shown["tags"] if tag["source"] != "user"]
        untag = "tagger untag" if len(shown["overwritten"]) >= len(ours) else "tagger untag --label"
        advice = gettext(
            "`tagger restore` puts them back, `%(untag)s` leaves them out", untag=untag
        )
        click.echo(f"    {advice}")
    if shown["untagged_by_you"]:
        click.echo("  " + gettext("untagged by you; `tagger restore` lets the tags come back"))
    if shown["removed_by_you"]:
        removed = visible(", ".join(shown["removed_by_you"]))
        _line(gettext("removed by you, never given again"), removed)


def _line(name: str, value: str) -> None:
    click.echo(f"  {name}: {value}")
