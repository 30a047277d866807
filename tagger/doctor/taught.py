"""The folders of examples that the config names under `teach`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from tagger.doctor.report import Installation, Result, name_of
from tagger.index.taught_tables import taught_labels
from tagger.labels.vocabulary import Vocabulary, own_vocabulary
from tagger.library.teach import LEAST_EXAMPLES
from tagger.pipeline.examples import label_path
from tagger.system.paths import is_photo_name
from tagger.text.error_texts import in_language
from tagger.text.messages import gettext, ngettext


def check_taught(patient: Installation) -> Iterator[Result]:
    """Yield how each folder of examples is, and the place of its label."""
    config = patient.config
    tree = own_vocabulary(config.state_dir)
    own = [*map(label_path, config.teach), *(one.path for one in taught_labels(config.state_dir))]
    for text, folder in config.teach.items():
        name = f"teach {text}"
        found = _folder(patient, name, folder)
        if found.state == "ok":
            found = _place(name, label_path(text), tree, own) or found
        yield found


def _folder(patient: Installation, name: str, folder: str) -> Result:
    """Return how a folder is, and how many photos it has."""
    user = name_of(patient.user)
    try:
        photos = sum(map(is_photo_name, os.listdir(folder)))
    except NotADirectoryError:
        text = f"{folder}: {gettext('it is a file')}"
        return Result(name, "error", text, gettext("name a folder under `teach`"))
    except OSError as error:
        remedy = gettext("mount its disk, or correct `teach` in the config; what was learned stays")
        return Result(name, "error", f"{folder}: {in_language(str(error.strerror))}", remedy)
    if patient.may(folder, write=False) is False:
        remedy = gettext("let %(user)s read it (`setfacl -R -m u:%(user)s:rX`)", user=user)
        text = gettext("%(folder)s: %(user)s may not read it", folder=folder, user=user)
        return Result(name, "error", text, remedy)
    text = ngettext(
        "%(n)s photo in %(folder)s", "%(n)s photos in %(folder)s", photos, folder=folder
    )
    if photos < LEAST_EXAMPLES:
        remedy = gettext(
            "put at least %(least)d there; three from different days are better",
            least=LEAST_EXAMPLES,
        )
        return Result(name, "warning", text, remedy)
    return Result(name, "ok", text)


def _place(
    name: str, path: tuple[str, ...], tree: Vocabulary, own: Sequence[tuple[str, ...]]
) -> Result | None:
    """Return what is wrong with where a label is: under one that nobody knows it is not found by
    the words of the tree."""
    above = path[:-1]
    if not above or above in own:
        return None
    there = tree.named(above[-1])
    if there is None:
        remedy = gettext("see `tagger labels --all`")
        if near := tree.nearest(above[-1]):
            remedy = gettext("did you mean `%(label)s`?", label=near)
        text = gettext("there is no label %(label)r to be above it", label=above[-1])
        return Result(name, "warning", text, remedy)
    if (place := tree.path(there)) != above:
        text = gettext("%(label)r is in another place of the tree", label=there)
        remedy = gettext("write `%(path)s`", path=" > ".join((*place, path[-1])))
        return Result(name, "warning", text, remedy)
    return None
