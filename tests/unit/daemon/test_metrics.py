"""Figures and health by HTTP, from a real daemon and from its parts."""

from __future__ import annotations

import http.client
import re
import shutil
import signal
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tagger import __version__
from tagger.config.loader import parse_config
from tagger.config.schema import MetricsConfig
from tagger.daemon.metrics import Metrics
from tagger.errors import ConfigError, DamagedImageError
from tagger.index.store import Store
from tagger.library.daemon_status import (
    STALE_SECONDS,
    DaemonStatus,
    ProgressSnapshot,
    RulesStatus,
    UnexpectedErrors,
)
from tagger.pipeline.outcome import Failed, Skipped, Tagged, Unchanged
from tagger.records import Failure, Tag
from tagger.watch.interfaces import RootStatus
from tests.conftest import PROJECT


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def figures(port: int) -> dict[tuple[str, ...], float]:
    """Return each sample by its name and the values of its labels, in their names' order."""
    status, text = get(port, "/metrics")
    assert status == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Parts:
    """What metrics are made of: a clock, an index, and the record of a daemon."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.port = free_port()
        self.config = MetricsConfig(f"127.0.0.1:{self.port}")
        self.store = Store(str(folder))
        root = RootStatus("/p/\udcff\n", "offline", "poll", "away", None, 0, 0, 0)
        self.status = DaemonStatus(queue=3, memory_mb=1.5, roots=(root,))

    def metrics(self) -> Metrics:
        """Return metrics that go by the clock, and have been shown the record."""
        made = Metrics(clock=lambda: self.now)
        made.show(self.status)
        return made


@pytest.fixture
def parts(tmp_path):
    made = Parts(tmp_path / "state")
    yield made
    made.store.close()


def test_a_daemon_tells_its_figures_and_that_it_is_well(home, scenes, eventually):
    port = free_port()
    home.configure(metrics={"listen": f"127.0.0.1:{port}"})
    shutil.copyfile(scenes[0], home.inbox / "a.jpg")
    (home.inbox / "b.jpg").write_bytes(b"no photo at all")
    daemon = home.start()
    eventually(lambda: home.heartbeat().get("state") == "running", 60)
    eventually(lambda: sum(home.json("status")["counts"][k] for k in ("tagged", "failed")) == 2, 60)
    told = eventually(lambda: (f := figures(port))[("tagger_queue_photos",)] == 0 and f)
    assert told[("tagger_photos_total", "tagged")] == 1
    assert told[("tagger_photos_total", "failed")] == 1
    assert told[("tagger_index_photos", "tagged")] == 1
    for stage in ("hash", "decode", "classify", "write", "commit"):
        assert told[("tagger_stage_seconds_count", stage)] == 1, stage
        assert 0 < told[("tagger_stage_seconds_sum", stage)] < 60, stage
    assert told[("tagger_folder_state", str(home.inbox), "online")] == 1
    assert told[("tagger_folder_state", str(home.inbox), "missing")] == 0
    assert 20e6 < told[("tagger_memory_bytes",)] < 5e9
    assert told[("tagger_healthy",)] == 1
    [info] = [key for key in told if key[0] == "tagger_info"]
    assert any(value.startswith("onnx") for value in info), info
    assert get(port, "/healthz") == (200, "ok\n")
    assert get(port, "/")[0] == 404

    # A reload keeps what was counted, and may end the telling.
    home.configure(settle_seconds=0.4)
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: any("reloaded" in line["message"] for line in home.logged()))
    assert eventually(lambda: figures(port))[("tagger_photos_total", "tagged")] == 1
    home.configure(metrics={"listen": None})
    daemon.send_signal(signal.SIGHUP)

    def silent() -> bool:
        try:
            get(port, "/healthz")
        except (ConnectionRefusedError, ConnectionResetError):
            return True
        return False

    eventually(silent)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(10) == 0


def test_outcomes_are_counted(parts):
    tag = Tag("dog", 0.9, ("animal", "dog"), "model")
    failure = Failure("/p/f.jpg", "DamagedImageError", "cut off", 1, 0.0, 0.0, None)
    with parts.metrics() as metrics:
        metrics.count(Unchanged("/p/before.jpg"))  # nobody listens yet
        metrics.use(parts.config, parts.store.counts)
        metrics.count(Tagged("/p/a.jpg", (tag,), "classified", {"hash": 2.0, "decode": 200.0}))
        metrics.count(Tagged("/p/b.jpg", (), "known", {}))
        metrics.count(Unchanged("/p/c.jpg"))
        metrics.count(Skipped("/p/d.jpg", "it is gone"))
        metrics.count(Failed("/p/f.jpg", DamagedImageError("cut off"), failure))
        told = figures(parts.port)
    assert {key[1]: n for key, n in told.items() if key[0] == "tagger_photos_total"} == {
        "tagged": 1,
        "untagged": 1,
        "unchanged": 1,
        "skipped": 1,
        "failed": 1,
    }
    assert told[("tagger_stage_seconds_sum", "decode")] == pytest.approx(0.2)
    assert told[("tagger_stage_seconds_bucket", "0.003", "hash")] == 1
    assert told[("tagger_stage_seconds_bucket", "0.001", "hash")] == 0
    root = r"/p/\xff\n"
    assert told[("tagger_folder_state", root, "offline")] == 1
    assert told[("tagger_folder_polled", root)] == 1


def test_the_documents_name_what_there_is_and_its_alerts_ask_for_it(parts):
    text = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    with parts.metrics() as metrics:
        metrics.use(parts.config, parts.store.counts)
        metrics.show(replace(parts.status, rules=RulesStatus()))
        there = {key[0] for key in figures(parts.port)}
    there = {re.sub("_(bucket|count|sum)$", "", name) for name in there}
    assert set(re.findall(r"`(tagger_\w+)`", text)) == there
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    [rules] = [yaml.safe_load(block) for block in blocks if block.startswith("groups:")]
    [group] = rules["groups"]
    asked = {name for rule in group["rules"] for name in re.findall(r"tagger_\w+", rule["expr"])}
    assert asked == {"tagger_healthy", "tagger_folder_state"}
    [example] = [block for block in blocks if block.startswith("metrics:")]
    assert parse_config(example, "/etc/c.yaml").metrics.listen == "127.0.0.1:9108"


def test_the_figures_are_those_of_the_record(parts):
    with parts.metrics() as metrics:
        metrics.use(parts.config, parts.store.counts)
        told = figures(parts.port)
        assert told[("tagger_queue_photos",)] == 3 and told[("tagger_memory_bytes",)] == 1.5e6
        assert told[("tagger_paused",)] == told[("tagger_unexpected_errors_total",)] == 0
        metrics.show(
            DaemonStatus(
                paused_reason="paused",
                engine="onnx",
                model="resnet18-abc",
                progress=ProgressSnapshot(5, 7),
                errors=UnexpectedErrors(2, "what", 1.0),
                rules=RulesStatus(4, 5, 6),
            )
        )
        told = figures(parts.port)
        assert told[("tagger_rules_waiting",)] == 4
        assert told[("tagger_rule_actions_total", "done")] == 5
        assert told[("tagger_rule_actions_total", "failed")] == 6
        assert told[("tagger_paused",)] == 1 and told[("tagger_unexpected_errors_total",)] == 2
        assert told[("tagger_remaining_photos",)] == 7
        assert ("tagger_info", "onnx", "resnet18-abc", __version__) in told
        assert ("tagger_memory_bytes",) not in told  # not known


def test_work_that_hangs_is_not_well(parts):
    with parts.metrics() as metrics:
        metrics.use(parts.config, parts.store.counts)
        assert get(parts.port, "/healthz") == (200, "ok\n")
        metrics.show(replace(parts.status, moving=False))
        status, text = get(parts.port, "/healthz")
        assert status == 503 and "hangs" in text
        assert figures(parts.port)[("tagger_healthy",)] == 0


def test_a_main_thread_that_is_silent_is_not_well(parts):
    with parts.metrics() as metrics:
        metrics.use(parts.config, parts.store.counts)
        parts.now += STALE_SECONDS - 1
        assert get(parts.port, "/healthz")[0] == 200
        parts.now += 2
        status, text = get(parts.port, "/healthz")
        assert status == 503 and "181 s" in text
        metrics.show(parts.status)  # the same: it says that the main thread goes on
        parts.now += STALE_SECONDS - 1
        assert get(parts.port, "/healthz")[0] == 200


def test_an_address_in_use_is_told_and_no_reason_to_stop(parts, caplog):
    with socket.socket() as other, parts.metrics() as metrics:
        other.bind(("127.0.0.1", parts.port))
        other.listen()
        metrics.use(parts.config, parts.store.counts)
        assert f"cannot listen on 127.0.0.1:{parts.port}" in caplog.text
        metrics.count(Unchanged("/p/c.jpg"))
        other.close()
        metrics.use(parts.config, parts.store.counts)  # the next reload
        assert figures(parts.port)[("tagger_photos_total", "unchanged")] == 1


def test_a_closed_index_leaves_its_own_figures_out(parts):
    with parts.metrics() as metrics:
        metrics.use(parts.config, parts.store.counts)
        parts.store.close()
        told = figures(parts.port)
    assert ("tagger_healthy",) in told
    assert not [key for key in told if key[0] == "tagger_index_photos"]


def test_the_listening_thread_sleeps_and_a_slow_asker_is_nobodys_problem(parts):
    with parts.metrics() as metrics:
        metrics.use(parts.config, parts.store.counts)
        [thread] = [t for t in threading.enumerate() if t.name == "metrics"]
        get(parts.port, "/healthz")

        def woke_within_a_look() -> bool:
            status = Path(f"/proc/self/task/{thread.native_id}/status")
            before = status.read_text()
            time.sleep(1.2)  # the usual server looks about every half second
            return status.read_text() != before

        # Not the first look alone: on a busy machine the request before it may still be ending.
        assert not all(woke_within_a_look() for _ in range(10))
        with socket.create_connection(("127.0.0.1", parts.port)) as slow:
            slow.sendall(b"GET /hea")
            assert get(parts.port, "/healthz")[0] == 200
            began = time.monotonic()
            metrics.use(MetricsConfig(), parts.store.counts)
            assert time.monotonic() - began < 5
    assert not thread.is_alive()


def test_ipv6(parts):
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        pytest.skip("there is no IPv6 here")
    with parts.metrics() as metrics:
        metrics.use(MetricsConfig(f"[::1]:{parts.port}"), parts.store.counts)
        assert get(parts.port, "/healthz", "::1")[0] == 200


@pytest.mark.parametrize(
    "text",
    ":9108 9108 127.0.0.1 127.0.0.1: 127.0.0.1:0 127.0.0.1:65536 127.0.0.1:-1 127.0.0.1:٣"
    " ::1:9108 [127.0.0.1]:9108 example.org:9108".split(),
)
def test_an_address_that_is_none_is_a_mistake_of_the_config(text):
    with pytest.raises(ConfigError, match="no address with a port"):
        parse_config(f"metrics: {{listen: '{text}'}}", "/etc/c.yaml")


@pytest.mark.parametrize("text", ["0.0.0.0:9108", "[::]:9108", "192.168.1.5:9108"])
def test_other_machines_are_let_in_only_when_that_is_said(text):
    with pytest.raises(ConfigError, match="`public: true`"):
        parse_config(f"metrics: {{listen: '{text}'}}", "/etc/c.yaml")
    config = parse_config(f"metrics: {{listen: '{text}', public: true}}", "/etc/c.yaml")
    assert config.metrics == MetricsConfig(text, True)


@pytest.mark.parametrize("text", ["127.0.0.1:9108", "localhost:9108", "[::1]:9108"])
def test_this_machine_alone_needs_no_leave(text):
    config = parse_config(f"metrics: {{listen: '{text}'}}", "/etc/c.yaml")
    assert config.metrics.listen == text
