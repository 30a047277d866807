"""``tagger labels``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click

from tagger.cli.common import config_or_default, json_option, print_json, vocabulary
from tagger.cli.terminal import shown
from tagger.index.connection import index_path
from tagger.index.reader import open_reader
from tagger.library.serialize import label_counts, label_trees_json
from tagger.text.messages import gettext


@click.command("labels")
@click.argument("label", nargs=-1)
@click.option("--all", "whole", is_flag=True, help="The whole vocabulary, also what has no photo.")
@json_option
def labels_command(label: tuple[str, ...], whole: bool, as_json: bool) -> None:
    """Show the tree of labels with the number of photos; with LABEL, one branch."""
    config = config_or_default()
    known = vocabulary(config)
    heads = None
    if label:
        phrase = " ".join(label)
        heads = list(known.resolve(phrase, language=config.labels.language))
        if not heads:
            hint = gettext("see `tagger labels --all`")
            if near := known.nearest(phrase, config.labels.language):
                hint = gettext("did you mean `%(word)s`?", word=near)
            unknown = gettext("there is no label %(label)r", label=phrase)
            raise click.UsageError(f"{unknown}; {hint}")
    counts: Mapping[str, int] = {}
    own: list[tuple[str, int]] = []
    if os.path.exists(index_path(config.state_dir)) or not (whole or label):
        with open_reader(config.state_dir) as reader:
            counts = label_counts(reader, known)
            own = [] if label else reader.user_labels()
    trees = label_trees_json(known, counts, heads, unused=whole, classes=True)
    if as_json:
        print_json(trees)
        return
    for tree in trees:
        _print_tree(tree, 0)
    if own:
        print(gettext("your own keywords"))
        for name, number in own:
            print(f"  {shown(name)}  {number}")


def _print_tree(branch: dict[str, Any], depth: int) -> None:
    print(f"{'  ' * depth}{shown(branch['label'])}  {branch['count'] or ''}".rstrip())
    for child in branch["children"]:
        _print_tree(child, depth + 1)
