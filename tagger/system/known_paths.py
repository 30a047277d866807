"""Whatever way a user names a photo or folder, as the index names it.

The index has paths below the watched folders as the config writes them, links below those never
followed. A user may name the same place through a link, or by where a link leads; so does the
shell, when he changed to a folder through a link (getcwd(3) gives the other path).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence

from tagger.system.path_spelling import spelled
from tagger.system.paths import is_inside

ANSWER_SECONDS = 2.0
"""For so long disks are asked where links lead; one that is away may not answer at all."""


def known_path(path: str, roots: Sequence[str]) -> str:
    """Return what the index calls the photo or folder ``path`` (absolute).

    ``roots`` are the watched folders as the config has them. A path outside all of them is
    returned as it is.
    """
    real = _realpaths([path, *roots])
    place = real.get(path, path)
    inside = [root for root in roots if is_inside(place, real.get(root, root))]
    if not inside:
        return path
    # The first of two that are the same folder: the other one is not watched.
    root = max(inside, key=lambda one: len(real.get(one) or one))
    return _moved(place, real.get(root, root), root)


def known_folders(folder: str, roots: Sequence[str]) -> tuple[str, ...]:
    """Return the folders, as the index calls them, that together are all of ``folder``.

    Besides the folder itself, these are watched folders that links bring to somewhere in it.
    """
    real = _realpaths([folder, *roots])
    place = real.get(folder, folder)
    below = [root for root in roots if is_inside(real.get(root, root), place)]
    return tuple(dict.fromkeys([known_path(folder, roots), *below]))


def _moved(path: str, old: str, new: str) -> str:
    """Return ``path``, in the folder ``old``, as if that were ``new``."""
    inside = path[len(old.rstrip(os.sep)) :]
    return (new.rstrip(os.sep) + inside) or os.sep


def _realpaths(paths: Iterable[str]) -> dict[str, str]:
    """Return where each of ``paths`` leads, as it is spelled there.

    Those whose disks do not answer are left out.
    """
    found: dict[str, str] = {}

    def ask(path: str) -> None:
        found[path] = spelled(os.path.realpath(path))

    threads = [threading.Thread(target=ask, args=(one,), daemon=True) for one in {*paths}]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + ANSWER_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)
