"""``tagger doctor`` as it is called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tagger.doctor.checks import _found
from tests.conftest import Home


@pytest.fixture
def bare(tmp_path):
    """Return a home without weights, whose daemon never runs."""
    home = Home(tmp_path, None)
    home.daemons = []
    home.configure(model={"download": True})
    return home


def results(home: Home, code: int) -> dict[str, dict[str, str]]:
    found = json.loads(home.run("doctor", "--json", code=code))
    for one in found:
        assert list(one) == ["name", "state", "message", "remedy"]
        assert one["state"] in ("ok", "warning", "error") and one["message"]
        assert bool(one["remedy"]) == (one["state"] != "ok"), one
    return {one["name"]: one for one in found}


def test_a_fresh_install_has_nothing_wrong(bare):
    found = results(bare, 0)
    assert found["daemon"]["state"] == "warning"
    assert found[f"folder {bare.inbox}"]["state"] == "ok"
    assert found[f"events {bare.inbox}"]["state"] == "ok"
    assert not bare.state.exists(), "looking makes nothing"


def test_what_is_wrong_has_its_remedy_on_the_page_and_exit_1(bare):
    bare.inbox.rmdir()
    lines = bare.run("doctor", code=1).splitlines()
    [line] = [number for number, text in enumerate(lines) if text.startswith("ERROR ")]
    assert lines[line] == f"ERROR    folder {bare.inbox}: No such file or directory"
    assert lines[line + 1].strip().startswith("-> mount its disk")
    assert lines[-1].startswith("1 error, ")
    assert bare.err == ""


def test_without_a_config(tmp_path):
    def doctor(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": "/none"}
        return subprocess.run(
            [sys.executable, "-m", "tagger", *options, "doctor"],
            env=os.environ | home | variables,
            capture_output=True,
            check=False,
            text=True,
        )

    if os.path.exists("/etc/tagger/config.yaml"):
        pytest.skip("tagger is installed here")
    done = doctor()
    assert (done.returncode, done.stderr) == (1, "")
    assert "ERROR    config: no config file found" in done.stdout
    assert "-> write one with `tagger init FOLDER`" in done.stdout
    assert "clock" in done.stdout, "what can be looked at is looked at"
    for done in (doctor("--config", "/none.yaml"), doctor(TAGGER_CONFIG="/none.yaml")):
        assert (done.returncode, done.stderr) == (1, "")
        assert "no config file found at /none.yaml" in done.stdout
        assert done.stdout.endswith("1 error, 0 warnings, 1 check\n")


def test_mistakes_in_the_config(bare):
    bare.config.write_text("wach: []\nlabels: {levels: 9}\n")
    found = results(bare, 1)
    assert list(found) == ["config"], "of a config that is not understood nothing follows"
    assert "did you mean `watch`" in found["config"]["message"]
    assert "labels.levels" in found["config"]["message"]


def test_what_the_config_asks_for_and_does_not_exist(bare):
    bare.configure(labels={"exclude": ["unicorns and such"]})
    found = results(bare, 1)
    assert found["config"]["state"] == "error" and "unicorns" in found["config"]["message"]
    assert "clock" in found


def test_a_config_that_hides_another(bare, tmp_path):
    other = tmp_path / "other.yaml"
    places = [str(bare.config), str(other)]
    assert _found(str(bare.config), places).state == "ok"
    other.write_text("")
    found = _found(str(bare.config), places)
    assert found.state == "warning" and f"and not {other}" in found.message


def test_an_index_that_is_no_file_is_a_result_and_no_traceback(bare):
    (bare.state / "index.sqlite3").mkdir(parents=True)
    (bare.state / "status.json").write_text("[1")
    (bare.state / "lock").mkdir()
    found = results(bare, 1)
    assert found["index"]["state"] == "error"


def test_no_torch(bare):
    script = (
        "import sys\n"
        "from tagger.cli import main\n"
        f"main(['--config', {str(bare.config)!r}, 'doctor'])\n"
        "heavy = {'torch', 'torchvision', 'onnxruntime', 'prometheus_client'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=bare.environ())


def test_with_a_running_daemon(home, scenes, eventually):
    shutil.copyfile(scenes[0], home.inbox / "a.jpg")
    (home.inbox / "b.jpg").write_bytes(b"no photo at all")
    home.start()
    eventually(lambda: (home.heartbeat().get("progress") or {}).get("done") == 2, 60)
    eventually(lambda: home.heartbeat()["roots"][0]["mode"] == "events")
    found = results(home, 0)
    # (Not every machine has all that decoding processes are confined with.)
    amiss = {one["name"] for one in found.values() if one["state"] != "ok"}
    assert amiss - {"decoding"} == {"failures"}
    assert (found["decoding"]["state"] == "ok") == (home.heartbeat()["unconfined"] == [])
    assert "1 NotAnImageError" in found["failures"]["message"]
    assert "by the running daemon" in found[f"events {home.inbox}"]["message"]
    assert "sound, 2 photos" in found["index"]["message"]
