"""Undoes what rules did with a photo."""

from __future__ import annotations

from collections.abc import Iterator

from tagger.config.schema import Config
from tagger.errors import TaggerError
from tagger.index.rule_tasks import RuleTasks
from tagger.index.store import Store
from tagger.library.edit import TagEditor
from tagger.library.rules.transfer import Transfer
from tagger.metadata.xmp.packet import clean


def undo_rules(config: Config, store: Store, path: str) -> Iterator[str | TaggerError]:
    """Undo, the latest first, what rules did with the photo that is, or was, at ``path``.

    Yield what came of each, or why it could not be undone. What programs and webhooks did stays.
    """
    tasks = RuleTasks(store)
    transfer = Transfer(config, tasks)
    tags = {rule.key: rule.tag for rule in config.rules if rule.tag}
    for task in tasks.tasks_of(path):
        if task.state != "done":
            continue
        try:
            if task.action in ("move_to", "copy_to"):
                if task.target is not None:
                    yield transfer.undo(task)
            elif task.action == "tag" and task.photo_id is not None:
                row, label = store.photo_of(task.photo_id), clean(tags.get(task.rule) or "")
                if row is not None and label in {tag.label for tag in store.tags(row.id)}:
                    TagEditor(config, store).remove(row.path, [label])
                    tasks.end(task, "undone")
                    yield f"the tag {label!r} is taken away"
        except TaggerError as error:
            yield error
