"""The kernel's own figure for which process is to end first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import sys
from tagger.system.process import offer_to_end
offer_to_end(int(sys.argv[1]))
print(open("/proc/self/oom_score_adj").read())
"""


@pytest.mark.parametrize("score", [300, 1000, 5000])
def test_a_process_offers_to_end(score: int) -> None:
    said = subprocess.check_output([sys.executable, "-c", CHILD, str(score)], text=True)
    own = int(Path("/proc/self/oom_score_adj").read_text())
    assert int(said) == min(own + score, 1000)


def test_a_conversion_is_the_first_to_end(tmp_path: Path) -> None:
    module = tmp_path / "told.py"
    module.write_text(
        "from tagger.classify.child_process import answer\n"
        "answer(lambda request: {'score': int(open('/proc/self/oom_score_adj').read())})\n"
    )
    said = subprocess.check_output([sys.executable, str(module), "{}"], text=True)
    assert said == '{"score": 1000}'
