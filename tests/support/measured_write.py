"""A child process that tags one file after another and tells what each cost.

Its arguments: how tags are written, and paths of photos. For each it prints a line: what became
of it, the seconds of processor time, and the peak of the memory above what was in use, in MB.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tagger.errors import TaggerError
from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.prepare import prepare
from tagger.metadata.read import read_keywords, read_tags
from tagger.records import Candidate, FileStat, Keyword

KEYWORDS = (Keyword("animal", ("animal",), 0.9, False), Keyword("dog", ("animal", "dog"), 0.9))


def megabytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) // 1024
    raise KeyError(field)


def main(target: str, *paths: str) -> None:
    for path in paths:
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts anew, see proc(5)
        before, began = megabytes("VmRSS"), time.process_time()
        photo = Candidate(path, os.path.dirname(path), FileStat.of(os.lstat(path)))
        try:
            write = prepare(
                photo, KEYWORDS, WriteOptions(target=target), Provenance("m", "tagger 1")
            )
            write.commit()
        except TaggerError as error:
            read_keywords(path, photo.root)
            said = f"refused {error.message}"
        else:
            said = f"written {write.reason}"
            assert len(write.user_keywords) <= 2000
        read_tags(path, photo.root)
        seconds, peak = time.process_time() - began, megabytes("VmHWM") - before
        print(f"{seconds:.2f}\t{peak}\t{said}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
