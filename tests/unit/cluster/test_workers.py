"""A real scheduler and real workers on loopback: who is taken, who is refused, and what is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tagger.errors import ConfigError, DecoderCrashedError
from tagger.watch.root_identity import write_marker
from tests.support.clusters import kill_tree, running, tree, wait_for
from tests.unit.cluster.conftest import copies, ready, shared

pytest.importorskip("distributed")
WAIT = 90


def only(recognition):
    """Return the state of the one worker."""
    state = recognition.state()
    return state.workers[0] if state and len(state.workers) == 1 else None


def refused(recognition) -> str:
    """Wait until the one worker is refused; return why."""

    def reason():
        worker = only(recognition)
        return worker.reason if worker and worker.state == "refused" else None

    return wait_for(reason)


def patched(folder: Path, code: str) -> dict[str, str]:
    """Return an environment whose Python runs some code first."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"}


def test_weights_are_sent_once_and_again_only_when_they_are_damaged(tmp_path, config, scenes):
    with running(tmp_path / "cluster") as cluster:
        networks = tmp_path / "cluster" / "cache" / "tagger" / "networks"

        def sent() -> Path:
            with shared(config, cluster.address, lost="wait") as recognition:
                wait_for(lambda: ready(recognition))
                assert recognition.submit(str(scenes[0])).result(WAIT).facts.format
            (file,) = networks.iterdir()
            return file

        file = sent()
        first = file.stat().st_mtime_ns, file.stat().st_ino
        cluster.kill("worker0")
        cluster.start_worker("again")
        assert sent() == file and (file.stat().st_mtime_ns, file.stat().st_ino) == first
        whole = file.read_bytes()
        file.write_bytes(whole[:-1])
        assert sent().read_bytes() == whole


def test_a_worker_that_may_not_write_to_its_cache_keeps_networks_for_a_while(
    tmp_path, config, scenes
):
    """As in a container that another account runs than its folders are made for."""
    with running(tmp_path / "cluster", workers=0) as cluster:
        (tmp_path / "temporary").mkdir()
        environ = {"XDG_CACHE_HOME": "/dev/null", "TMPDIR": str(tmp_path / "temporary")}
        worker = cluster.start_worker("alone", **environ)
        with shared(config, cluster.address, lost="wait") as recognition:
            wait_for(lambda: ready(recognition))
            assert recognition.submit(str(scenes[0])).result(WAIT).facts.format
        [folder] = (tmp_path / "temporary").glob("tagger-networks-*")
        assert len(list(folder.iterdir())) == 1
        worker.terminate()
        worker.wait(WAIT)
        assert not folder.exists()


def test_another_version_is_refused_with_what_to_do(tmp_path, config):
    old = patched(tmp_path / "old", "import tagger\ntagger.__version__ = '0.0.9'\n")
    with running(tmp_path / "c", **old) as cluster, shared(config, cluster.address) as recognition:
        reason = refused(recognition)
        assert "tagger 0.0.9 instead of" in reason and "pip install tagger==" in reason


def test_another_decoder_is_refused(tmp_path, config):
    code = (
        "import importlib.metadata as m\nold = m.version\n"
        "m.version = lambda name: '1.0' if name == 'pillow' else old(name)\n"
    )
    other = patched(tmp_path / "old", code)
    with running(tmp_path / "c", **other) as cluster, shared(config, cluster.address) as shares:
        assert "pillow 1.0 instead of" in refused(shares)


def test_a_wrong_path_map_is_said_and_no_photo_is_missing(config, cluster, home, scenes):
    nowhere, other = home.folder / "nowhere", home.folder / "other"
    other.mkdir()
    write_marker(str(home.inbox))
    photo = shutil.copy(scenes[0], home.inbox)
    for there, said in ((nowhere, f"there is no folder {nowhere}"), (other, "correct `cluster.pa")):
        paths = {str(home.inbox): str(there)}
        with shared(config, cluster.address, paths=paths) as recognition:
            assert said in refused(recognition)
            assert recognition.submit(str(photo), root=str(home.inbox)).result(WAIT).facts.format
            assert wait_for(lambda: recognition.state().here)


def test_photos_are_seen_under_another_path(config, cluster, home, scenes):
    theirs = home.folder / "mnt" / "nas"
    shutil.copytree(home.inbox, theirs)
    write_marker(str(home.inbox))
    photo = Path(shutil.copy(scenes[0], home.inbox))
    (theirs / ".tagger-root").write_bytes((home.inbox / ".tagger-root").read_bytes())
    shutil.copy(photo, theirs)
    paths = {str(home.inbox): str(theirs)}
    with shared(config, cluster.address, paths=paths, lost="wait") as recognition:
        wait_for(lambda: ready(recognition))
        seen = recognition.submit(str(photo), root=str(home.inbox), size=photo.stat().st_size)
        assert seen.result(WAIT).facts.format
        assert recognition.state().here == 0
        # One that is only here is looked at here: it is not missing.
        late = Path(shutil.copy(scenes[1], home.inbox))
        assert recognition.submit(str(late), root=str(home.inbox)).result(WAIT).facts.format
        (theirs / late.name).write_bytes(b"another version")
        size = late.stat().st_size
        assert recognition.submit(str(late), root=str(home.inbox), size=size).result(WAIT)


BOMB = """
import os
if "looker" in " ".join(open("/proc/self/cmdline").read().split("\\0")):
    import tagger.pipeline.local_recognition as m
    old = m.LocalRecognition.submit
    def submit(self, path, **how):
        if "bomb" in path:
            os._exit(9)
        return old(self, path, **how)
    m.LocalRecognition.submit = submit
"""


def test_a_photo_that_kills_costs_no_worker_and_is_the_only_one_to_fail(
    tmp_path, config, home, scenes
):
    with (
        running(tmp_path / "c", **patched(tmp_path / "bomb", BOMB)) as cluster,
        shared(config, cluster.address, lost="wait") as recognition,
    ):
        wait_for(lambda: ready(recognition))
        names = [f"{number}.jpg" for number in range(10)]
        names.insert(5, "bomb.jpg")
        photos = [shutil.copy(scenes[0], home.inbox / name) for name in names]
        futures = [recognition.submit(str(photo), root=str(home.inbox)) for photo in photos]
        bomb = futures.pop(5)
        with pytest.raises(DecoderCrashedError, match=r"bomb.jpg died \(code 9\)"):
            bomb.result(WAIT)
        assert all(future.result(WAIT).facts.format for future in futures)
        assert cluster.workers["worker0"].poll() is None
        assert recognition.state().here == 0


def test_decoding_is_confined_in_workers_as_well(config, cluster, home, scenes):
    with shared(config, cluster.address, lost="wait") as recognition:
        wait_for(lambda: ready(recognition))
        assert recognition.submit(str(scenes[0])).result(WAIT).facts.format
        decoders = [
            one
            for one in tree(cluster.workers["worker0"])
            if "spawn_main" in " ".join(one.cmdline())
        ]
        assert decoders
        for one in decoders:
            status = Path(f"/proc/{one.pid}/status").read_text()
            said = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            assert (said["NoNewPrivs"], said["Seccomp"], int(said["CapEff"], 16)) == ("1", "2", 0)


def test_a_killed_worker_and_a_sleeping_one_lose_and_blame_nothing(
    tmp_path, config, home, scenes, monkeypatch
):
    monkeypatch.setattr("tagger.cluster.members.SILENT_SECONDS", 5.0)
    photos = copies(scenes, home.inbox, 90)
    with (
        running(tmp_path / "c", 3) as cluster,
        shared(config, cluster.address, lost="wait") as recognition,
    ):
        wait_for(lambda: ready(recognition, 3))
        futures = [recognition.submit(path, root=str(home.inbox)) for path in photos]
        wait_for(futures[0].done)
        cluster.kill("worker0")
        for one in tree(cluster.workers["worker1"]):
            one.send_signal(signal.SIGSTOP)
        assert all(future.result(WAIT).facts.format for future in futures)
        for one in tree(cluster.workers["worker1"]):
            one.send_signal(signal.SIGCONT)
        wait_for(lambda: ready(recognition, 2))
        assert recognition.state().here == 0


def test_a_worker_that_wakes_up_with_another_address_works_again(
    tmp_path, config, home, scenes, monkeypatch
):
    """It sleeps in mid-photo; then Dask's worker is started again, and the old one is no more."""
    monkeypatch.setattr("tagger.cluster.members.SILENT_SECONDS", 5.0)
    photos = copies(scenes, home.inbox, 60)
    with (
        running(tmp_path / "c", 0) as cluster,
        shared(config, cluster.address, lost="wait") as recognition,
    ):
        cluster.start_worker("desk", host="127.0.0.2")
        wait_for(lambda: ready(recognition))
        first = only(recognition).address
        futures = [recognition.submit(path, root=str(home.inbox)) for path in photos]
        wait_for(futures[0].done)
        asleep = cluster.workers.pop("desk")
        for one in tree(asleep):
            one.send_signal(signal.SIGSTOP)
        wait_for(lambda: any(one.state == "silent" for one in recognition.state().workers))
        assert not all(future.done() for future in futures)
        cluster.start_worker("desk again", host="127.0.0.3")
        assert all(future.result(WAIT).facts.format for future in futures)
        by = {one.address: one.state for one in recognition.state().workers}
        assert by.pop(first) == "silent"
        [(address, state)] = by.items()
        assert "127.0.0.3" in address and state == "ready"
        kill_tree(asleep)
        wait_for(lambda: first not in {one.address for one in recognition.state().workers})
        assert recognition.state().here == 0


OPENED = """
import os, threading
if "looker" in open("/proc/self/cmdline").read():
    import tagger.decode.pool as m
    old = m.DecodePool.submit
    lock, inside = threading.Lock(), [0]
    def ended(future):
        with lock:
            inside[0] -= 1
    def submit(self, path, **how):
        with lock:
            inside[0] += 1
            with open(os.environ["OPENED"] + str(os.getpid()), "a") as file:
                file.write(f"{inside[0]} ")
        future = old(self, path, **how)
        future.add_done_callback(ended)
        return future
    m.DecodePool.submit = submit
"""


@pytest.mark.parametrize(("readers", "most"), [(2, 1), (6, 3), (1, 1)])
def test_all_workers_together_read_no_more_photos_at_a_time_than_they_may(
    tmp_path, config, home, scenes, readers, most
):
    """Two workers of four threads; ``most`` is what each of them may have open."""
    opened = tmp_path / "opened"
    opened.mkdir()
    environ = patched(tmp_path / "site", OPENED) | {"OPENED": f"{opened}/"}
    with (
        running(tmp_path / "c", 0) as cluster,
        shared(config, cluster.address, lost="wait", readers=readers) as recognition,
    ):
        for name in ("one", "two"):
            cluster.start_worker(name, threads=4, **environ)
        wait_for(lambda: ready(recognition, 2))
        photos = copies(scenes, home.inbox, 80)
        futures = [recognition.submit(path, root=str(home.inbox)) for path in photos]
        assert all(future.result(WAIT).facts.format for future in futures)
        at_once = [max(map(int, file.read_text().split())) for file in opened.iterdir()]
        assert max(at_once) == most and sum(at_once) <= readers, at_once
        assert len(at_once) == min(readers, 2), "with fewer readers than workers some are idle"


HELD = """
import asyncio, sys
if "worker" in open("/proc/self/cmdline").read().split("\\0"):
    import distributed.worker
    async def get_data(self, *args, **how):
        await asyncio.sleep(600)
    distributed.worker.Worker.get_data = get_data
"""


def test_a_worker_whose_answers_cannot_be_fetched_holds_up_no_other(
    tmp_path, config, home, scenes, monkeypatch
):
    monkeypatch.setattr("tagger.cluster.members.STUCK_SECONDS", 5.0)
    with (
        running(tmp_path / "c", 0) as cluster,
        shared(config, cluster.address, lost="wait") as recognition,
    ):
        cluster.start_worker("held", threads=4, **patched(tmp_path / "held", HELD))
        cluster.start_worker("free")
        wait_for(lambda: ready(recognition, 2))
        photos = copies(scenes, home.inbox, 60)
        futures = [recognition.submit(path, root=str(home.inbox)) for path in photos]
        assert all(future.result(WAIT).facts.format for future in futures)
        by = {one.name: one.photos for one in recognition.state().workers}
        assert by["held"] == 0 and recognition.state().here == 0


BROKEN = """
import os
if "looker" in open("/proc/self/cmdline").read() and os.path.exists(os.environ["BROKEN"]):
    os._exit(3)
"""


def test_a_worker_that_can_look_at_nothing_any_more_is_refused_until_it_can(
    tmp_path, config, scenes, monkeypatch
):
    monkeypatch.setattr("tagger.cluster.coordinator.AGAIN_SECONDS", 2.0)
    broken = tmp_path / "broken"
    environ = patched(tmp_path / "site", BROKEN) | {"BROKEN": str(broken)}
    with (
        running(tmp_path / "c", **environ) as cluster,
        shared(config, cluster.address, lost="wait") as recognition,
    ):
        wait_for(lambda: ready(recognition))
        assert recognition.submit(str(scenes[0])).result(WAIT).facts.format
        broken.touch()
        # All are asked before one is killed: what that one has started ends with it.
        processes = [(one, one.cmdline()) for one in tree(cluster.workers["worker0"])]
        [looker] = [one for one, command in processes if "tagger.cluster.looker" in command]
        looker.kill()
        future = recognition.submit(str(scenes[1]))
        assert "ended before it was ready (code 3)" in refused(recognition)
        assert not future.done()
        broken.unlink()
        assert future.result(WAIT).facts.format
        assert recognition.state().here == 0


@pytest.mark.parametrize("lost", ["local", "wait"])
def test_without_the_scheduler_photos_are_looked_at_here_or_wait(tmp_path, config, scenes, lost):
    with (
        running(tmp_path / "c") as cluster,
        shared(config, cluster.address, lost=lost) as recognition,
    ):
        wait_for(lambda: ready(recognition))
        cluster.kill_scheduler()
        cluster.kill("worker0")
        future = recognition.submit(str(scenes[0]))
        state = wait_for(lambda: recognition.state().problem and recognition.state())
        assert "cannot be reached" in state.problem and not state.connected
        if lost == "local":
            assert "meanwhile" in state.problem
            assert future.result(WAIT).facts.format
        else:
            assert "photos wait" in state.problem
        cluster.start_scheduler()
        cluster.start_worker("again")
        wait_for(lambda: ready(recognition), WAIT)
        assert future.result(WAIT).facts.format
        assert recognition.submit(str(scenes[1])).result(WAIT).facts.format
        assert recognition.state().here == (lost == "local")


def test_it_holds_with_certificates(tmp_path, config, scenes):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; Debian's package is missing")
    files = certificates(tmp_path / "tls")
    options = [
        word
        for name, path in zip(("ca-file", "cert", "key"), files, strict=True)
        for word in (f"--tls-{name}", path)
    ]
    with running(tmp_path / "c", tls=options) as cluster:
        assert cluster.address.startswith("tls://")
        names = dict(zip(("tls_ca", "tls_cert", "tls_key"), files, strict=True))
        with shared(config, cluster.address, lost="wait", **names) as recognition:
            wait_for(lambda: ready(recognition))
            assert recognition.submit(str(scenes[0])).result(WAIT).facts.format
    with pytest.raises(ConfigError, match="tls_ca"), shared(config, cluster.address):
        pass


def certificates(folder: Path) -> tuple[str, str, str]:
    """Make an authority and a certificate as docs/cluster.md says; return the files."""
    folder.mkdir()
    names = ("cluster-ca.pem", "cluster.pem", "cluster.key")
    from tests.conftest import PROJECT

    text = (PROJECT / "docs" / "cluster.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("openssl ")]
    assert len(lines) == 3
    for line in lines:
        subprocess.run(["bash", "-c", line], cwd=folder, check=True, capture_output=True)
    return tuple(str(folder / name) for name in names)
