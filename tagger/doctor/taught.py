"""The folders of examples that the config names under `teach`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from tagger.doctor.report import Installation, Result, name_of
from tagger.index.taught_tables import taught_labels
from tagger.labels.vocabulary import Vocabulary, own_vocabulary
from tagger.library.teach import LEAST_EXAMPLES
from tagger.paths import is_photo_name
from tagger.pipeline.examples import label_path


def check_taught(patient: Installation) -> Iterator[Result]:
    """Yield how each folder of examples is, and the place of its label."""
    config = patient.config
    tree = own_vocabulary(config.state_dir)
    own = [*map(label_path, config.teach), *(one.path for one in taught_labels(config.state_dir))]
    for text, folder in config.teach.items():
        name = f"teach {text}"
        yield (
            _folder(patient, name, folder)
            or _place(name, label_path(text), tree, own)
            or _well(name, folder)
        )


def _folder(patient: Installation, name: str, folder: str) -> Result | None:
    """Return what is wrong with a folder; None when nothing is."""
    user = name_of(patient.user)
    try:
        photos = _photos(folder)
    except NotADirectoryError:
        return Result(name, "error", f"{folder} is a file", "name a folder under `teach`")
    except OSError as error:
        remedy = "mount its disk, or correct `teach` in the config; what was learned stays"
        return Result(name, "error", f"{folder}: {error.strerror}", remedy)
    if patient.may(folder, write=False) is False:
        remedy = f"let {user} read it (`setfacl -R -m u:{user}:rX`)"
        return Result(name, "error", f"{folder}: {user} may not read it", remedy)
    if photos < LEAST_EXAMPLES:
        text = f"{folder} has {photos or 'no'} photo{'' if photos == 1 else 's'}"
        remedy = f"put at least {LEAST_EXAMPLES} there; three from different days are better"
        return Result(name, "warning", text, remedy)
    return None


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
        near = tree.nearest(above[-1])
        remedy = f"did you mean `{near}`?" if near else "see `tagger labels --all`"
        return Result(name, "warning", f"there is no label {above[-1]!r} to be above it", remedy)
    if (place := tree.path(there)) != above:
        text = f"{there!r} is in another place of the tree"
        return Result(name, "warning", text, f"write `{' > '.join((*place, path[-1]))}`")
    return None


def _well(name: str, folder: str) -> Result:
    return Result(name, "ok", f"{_photos(folder):,} photos in {folder}")


def _photos(folder: str) -> int:
    """Return how many photos are in a folder. Raise OSError."""
    return sum(is_photo_name(entry) for entry in os.listdir(folder))
