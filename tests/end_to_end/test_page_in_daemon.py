"""The page inside the daemon: the same engine, one life, and never a reason not to tag."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tagger.classify.factory import load_engine
from tests.unit.web.test_server import BOUNDARY, ask, classify, form


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def answers(port: int, url: str = "/") -> int | None:
    """Return the status, None when nobody listens."""
    try:
        return ask(port, "GET", url)[0]
    except ConnectionError:
        return None


def tagged(home) -> set[str]:
    return {line["path"] for line in home.logged() if line.get("event") == "photo"}


def test_the_page_lives_in_the_daemon_follows_its_config_and_shares_its_engine(
    home, scenes, eventually
):
    port, other = free_port(), free_port()
    home.configure(web={"enabled": True, "listen": f"127.0.0.1:{port}"})
    daemon = home.start()
    eventually(lambda: answers(port) == 200, 60)
    eventually(lambda: home.heartbeat().get("model"), 60)
    assert json.loads(ask(port, "GET", "/api/v1/status")[2])["running"] is True
    assert home.heartbeat()["notice"] is None

    with ThreadPoolExecutor(4) as clients:
        shutil.copytree(scenes[0].parent, home.inbox / "scenes")
        posted = list(clients.map(lambda scene: classify(port, scene.read_bytes())[0], scenes))
    assert set(posted) == {200}
    eventually(lambda: len(tagged(home)) >= len(scenes))

    home.configure(web={"enabled": True, "listen": f"127.0.0.1:{other}", "top_k": 2})
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: answers(other) == 200)
    assert answers(port) is None
    assert len(json.loads(classify(other, scenes[0].read_bytes())[2])) == 2

    [folder] = json.loads(ask(other, "GET", "/api/v1/folders")[2])
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="folder"\r\n\r\n{folder["id"]}\r\n'
    ).encode() + form(scenes[0].read_bytes() + b"kept")
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    page = f"http://127.0.0.1:{other}"
    kept = ask(other, "POST", "/api/v1/inbox", body, Content_Type=kind, Origin=page)
    assert (kept[0], json.loads(kept[2])["path"]) == (200, "a.jpg")
    eventually(lambda: str(home.inbox / "a.jpg") in tagged(home))

    home.configure(web={"enabled": False})
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: answers(other) is None)
    shutil.copyfile(scenes[0], home.inbox / "later.jpg")
    eventually(lambda: str(home.inbox / "later.jpg") in tagged(home))

    home.configure(web={"enabled": True, "listen": f"127.0.0.1:{other}"})
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: answers(other) == 200)
    with (
        socket.create_connection(("127.0.0.1", other)) as slow,
        socket.create_connection(("127.0.0.1", other), timeout=20) as listening,
    ):
        slow.sendall(b"GET / HT")
        listening.sendall(
            b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        )
        assert listening.recv(1000)
        before = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(10) == 0
        assert time.monotonic() - before < 5
    assert not [line for line in home.logged() if line["level"] in ("error", "critical")]


def test_a_port_in_use_is_told_once_tried_again_and_tagging_goes_on(home, scenes, eventually):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = f"127.0.0.1:{port}"
        home.configure(web={"enabled": True, "listen": listen})
        daemon = home.start()
        eventually(lambda: listen in (home.heartbeat().get("notice") or ""), 60)
        assert listen in home.run("status")
        shutil.copyfile(scenes[0], home.inbox / "a.jpg")
        eventually(lambda: len(tagged(home)) == 1, 60)
        told = [line for line in home.logged() if line["level"] == "error"]
        assert len(told) == 1 and listen in told[0]["message"]
    daemon.send_signal(signal.SIGHUP)  # or half a minute later
    eventually(lambda: answers(port) == 200)
    eventually(lambda: home.heartbeat().get("notice") is None)


def test_a_single_run_shows_no_page(home, scenes):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        home.configure(web={"enabled": True, "listen": listen})
        shutil.copyfile(scenes[0], home.inbox / "a.jpg")
        home.use_converted_model()
        home.run("run", "--once")
    assert str(home.inbox / "a.jpg") in home.err
    assert "page" not in home.err and listen not in home.err


def test_a_daemon_without_the_page_does_not_import_it():
    code = "import sys, tagger.daemon.daemon; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert "tagger.web.embedded" in done.stdout.split()
    for name in ("flask", "waitress", "jinja2", "werkzeug", "tagger.web.server"):
        assert name not in done.stdout.split()


def test_an_idle_page_wakes_up_at_most_a_few_times_a_minute(home, eventually):
    port = free_port()
    home.configure(web={"enabled": True, "listen": f"127.0.0.1:{port}"})
    daemon = home.start()
    eventually(lambda: answers(port) == 200, 60)
    eventually(lambda: home.heartbeat().get("model"), 60)

    def switches() -> dict[str, int]:
        found = {}
        for task in Path(f"/proc/{daemon.pid}/task").iterdir():
            text = (task / "status").read_text()
            name = text.split("\n", 1)[0]
            count = text[text.index("\nvoluntary_ctxt_switches") :].split()[1]
            found[f"{task.name} {name}"] = int(count)
        return found

    time.sleep(1.5)  # what the start leaves to be done
    before = switches()
    time.sleep(2.5)
    after = switches()
    woken = {name: after[name] - count for name, count in before.items() if name in after}
    assert sum(woken.values()) <= 2, {name: count for name, count in woken.items() if count}


@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_an_engine_may_be_asked_by_two_threads(home, demo_weights, kind):
    home.use_converted_model()
    engine = load_engine(
        "resnet18", str(demo_weights), engine=kind, threads=1, state_dir=str(home.state)
    )
    size = engine.spec.size
    crops = np.random.default_rng(1).integers(0, 256, (12, size, size, 3), np.uint8)
    alone = [engine.predict(crops[[number]])[0] for number in range(12)]
    with ThreadPoolExecutor(2) as threads:
        beside = list(threads.map(lambda number: engine.predict(crops[[number]])[0], range(12)))
    for one, other in zip(alone, beside, strict=True):
        np.testing.assert_allclose(one.features, other.features, atol=1e-4)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
