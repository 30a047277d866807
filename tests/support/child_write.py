"""Writes photos in processes that wait, stopped, until somebody watches them.

Each line on its input names an action and a photo; the number of the process that will do it
is printed, and after its end its exit status: 0 done, 1 a TaggerError, 3 any other exception.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from tagger.errors import TaggerError
from tests.support import jpegs
from tests.support.metadata_tools import EMBED, JSON, SIDECAR, TAGS, Tagger, candidate

PR_SET_PTRACER, ANY = 0x59616D61, -1


def act(action: str, path: Path) -> None:
    """Write tags, or take them away, with the journal that lies beside the folder."""
    journal = path.parent.with_suffix(".journal")
    entries = pickle.loads(journal.read_bytes()) if journal.exists() else ()
    options = {"embed": EMBED, "json": JSON}.get(action, SIDECAR)
    tagger = Tagger(path, options, entries)
    seen = candidate(path)
    os.kill(os.getpid(), signal.SIGSTOP)
    tagger.write(() if action == "undo" else TAGS, seen=seen)


def warm_up() -> None:
    """Import now what is imported on first use."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.jpg")
        path.write_bytes(jpegs.plain())
        tagger = Tagger(path)
        tagger.write()
        tagger.undo()
        Tagger(path, SIDECAR).write()


def main() -> None:
    warm_up()
    for line in sys.stdin:
        action, path = line.split()
        child = os.fork()
        if child:
            print(child, flush=True)
            print(os.waitpid(child, 0)[1], flush=True)
            continue
        code = 3
        try:
            ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANY, 0, 0, 0)
            act(action, Path(path))
            code = 0
        except TaggerError:
            code = 1
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        finally:
            os._exit(code)


if __name__ == "__main__":
    main()
