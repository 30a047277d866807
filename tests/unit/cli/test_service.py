"""``tagger service``: what it plans, shows, asks, writes and takes away."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tagger.config.schema import Config, MetricsConfig, ModelConfig, WatchRoot, WebConfig
from tagger.service.plan import Plan, apply, plan_install, plan_uninstall, run_command
from tagger.service.units import ServiceError, unit_text

CONFIG = "/etc/tagger/config.yaml"
ALICE, BOB = 54321, 54322
"""Numbers of owners that have no account."""


@pytest.fixture(scope="session")
def demo_weights() -> None:
    """No photo is looked at here."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of a system on which systemd runs."""
    place = tmp_path / "root"
    (place / "run" / "systemd" / "system").mkdir(parents=True)
    return place


def config_of(*roots: WatchRoot, **settings: object) -> Config:
    return Config(**({"state_dir": "/var/lib/tagger", "watch": roots} | settings))  # type: ignore[arg-type]


def texts(plan: Plan) -> dict[str, str | None]:
    return {os.path.basename(file.path): file.text for file in plan.files}


def settings(text: str | None) -> list[str]:
    assert text is not None
    return [line for line in text.splitlines() if line[:1] not in ("", "#", "[")]


def test_the_unit_and_the_drop_in_carry_the_paths_of_this_installation(root, tmp_path):
    photos = tmp_path / "my photos: 100%"
    photos.mkdir()
    config = config_of(WatchRoot(str(photos)), WatchRoot("/srv"))
    plan = plan_install(config, "/etc/my tagger/config.yaml", run_as="nobody", root=str(root))
    assert [file.path for file in plan.files] == [
        f"{root}/etc/systemd/system/tagger.service",
        f"{root}/etc/systemd/system/tagger.service.d/10-folders.conf",
    ]
    script = os.path.join(os.path.dirname(sys.executable), "tagger")
    call = f'ExecStart={script} --config "/etc/my tagger/config.yaml" run'
    assert call in settings(texts(plan)["tagger.service"])
    lines = settings(texts(plan)["10-folders.conf"])
    assert "User=nobody" in lines
    assert f'BindPaths="-{tmp_path}/my photos: 100%%"' in lines
    assert 'ReadWritePaths="-/srv"' in lines
    assert [command.words[:2] for command in plan.after] == [
        ("systemctl", "daemon-reload"),
        ("systemctl", "enable"),
        ("systemctl", "restart"),
    ]


def test_a_read_only_folder_cannot_be_written_by_the_service_either(root, tmp_path):
    inside, outside = WatchRoot(str(tmp_path), read_only=True), WatchRoot("/srv", read_only=True)
    plan = plan_install(config_of(inside, outside), CONFIG, run_as="nobody", root=str(root))
    lines = settings(texts(plan)["10-folders.conf"])
    assert f'BindReadOnlyPaths="-{tmp_path}"' in lines
    assert 'ReadOnlyPaths="-/srv"' in lines
    assert not [line for line in lines if line.startswith(("BindPaths", "ReadWritePaths"))]


def test_a_link_to_a_hidden_folder_is_opened_where_it_leads(root, tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    plan = plan_install(config_of(WatchRoot(str(link))), CONFIG, run_as="nobody", root=str(root))
    lines = settings(texts(plan)["10-folders.conf"])
    assert f'BindPaths="-{real}"' in lines


def test_weights_and_config_in_a_home_are_shown_to_the_service(root, tmp_path):
    config_path = tmp_path / "tagger" / "config.yaml"
    weights = tmp_path / "w" / "resnet18.pth"
    config = config_of(WatchRoot("/srv"), model=ModelConfig(weights=str(weights)))
    plan = plan_install(config, str(config_path), run_as="nobody", root=str(root))
    lines = settings(texts(plan)["10-folders.conf"])
    # Its folder: an editor replaces the file.
    assert f'BindReadOnlyPaths="-{config_path.parent}"' in lines
    assert f'BindReadOnlyPaths="-{weights}"' in lines
    assert f'BindReadOnlyPaths="-{config_path}"' not in lines


def test_networks_of_ones_own_are_shown_to_the_service(root, tmp_path):
    scenes, network = tmp_path / "s" / "places.yaml", tmp_path / "n" / "places.onnx"
    scenes.parent.mkdir()
    (scenes.parent / "names.txt").write_text("a\nb\n")
    scenes.write_text(f"file: {network}\nclasses: names.txt\nsize: 224\n")
    model = ModelConfig(scenes=str(scenes), detector=str(tmp_path / "d" / "yolox.onnx"))
    plan = plan_install(config_of(WatchRoot("/srv"), model=model), CONFIG, root=str(root))
    lines = settings(texts(plan)["10-folders.conf"])
    for path in (scenes, scenes.parent / "names.txt", network, model.detector):
        assert f'BindReadOnlyPaths="-{path}"' in lines
    scenes.write_text("nonsense")
    plan = plan_install(config_of(WatchRoot("/srv"), model=model), CONFIG, root=str(root))
    assert f'BindReadOnlyPaths="-{network}"' not in settings(texts(plan)["10-folders.conf"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_it_runs_as_the_owner_of_the_folders_or_under_an_account_of_its_own(root, tmp_path):
    nobody = pwd.getpwnam("nobody").pw_uid
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        os.chown(folder, nobody, -1)
    config = config_of(WatchRoot(str(one)), WatchRoot(str(two)))

    def account() -> str:
        plan = plan_install(config, CONFIG, root=str(root))
        return settings(texts(plan)["10-folders.conf"])[0]

    assert account() == "User=nobody"
    assert not plan_install(config, CONFIG, root=str(root)).before
    os.chown(two, 0, -1)
    plan = plan_install(config, CONFIG, root=str(root))
    assert account() == "User=tagger"
    assert any(f"setfacl -R -m u:tagger:rwX,d:u:tagger:rwX {one}" in note for note in plan.notes)
    for owner in (0, ALICE):  # root's, and a number that no account has
        os.chown(one, owner, -1)
        os.chown(two, owner, -1)
        assert account() == "User=tagger"
    if "tagger" not in {entry.pw_name for entry in pwd.getpwall()}:
        [make] = plan_install(config, CONFIG, root=str(root)).before
        assert make.words[0] == "useradd"
        assert make.words[-1] == "tagger"


def test_a_folder_that_is_away_does_not_stop_the_installation(root, tmp_path):
    config = config_of(WatchRoot(str(tmp_path / "away")))
    plan = plan_install(config, CONFIG, run_as="nobody", root=str(root))
    [note] = [note for note in plan.notes if str(tmp_path / "away") in note]
    assert "install again" in note


def test_the_network_is_opened_by_a_drop_in_that_goes_again(root):
    config = config_of(WatchRoot("/srv"))
    plan = plan_install(config, CONFIG, run_as="nobody", network=True, root=str(root))
    lines = settings(texts(plan)["20-network.conf"])
    assert "PrivateNetwork=no" in lines
    assert "RestrictAddressFamilies=AF_INET AF_INET6" in lines
    apply(plan, run=lambda words: None)
    network = root / "etc/systemd/system/tagger.service.d/20-network.conf"
    assert network.exists()
    apply(plan_install(config, CONFIG, run_as="nobody", root=str(root)), run=lambda words: None)
    assert not network.exists()


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize(
    "asking", [{"web": WebConfig(enabled=True)}, {"metrics": MetricsConfig("127.0.0.1:9108")}]
)
def test_the_network_is_opened_for_what_the_config_serves(root, tmp_path, user, asking):
    where = {"root": str(root), "environ": {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "/config"}}
    as_whom = {"user": True} if user else {"run_as": "nobody"}
    config = config_of(WatchRoot("/srv"), **asking)
    plan = plan_install(config, CONFIG, **as_whom, **where)
    assert "AF_INET AF_INET6" in (texts(plan)["20-network.conf"] or "")
    assert any(f"`{next(iter(asking))}." in note for note in plan.notes)
    apply(plan, run=lambda words: None)
    plan = plan_install(config_of(WatchRoot("/srv")), CONFIG, **as_whom, **where)
    assert texts(plan)["20-network.conf"] is None  # it is closed again


def test_a_service_without_network_and_weights_says_what_to_do(root, tmp_path):
    config = config_of(WatchRoot("/srv"), model=ModelConfig(weights=str(tmp_path / "none.pth")))
    [note, *others] = plan_install(config, CONFIG, run_as="nobody", root=str(root)).notes[-3:]
    assert "model download" in note
    assert "--network" in note
    for name, said in zip(("resnet18_places365", "yolox_nano"), others, strict=True):
        assert said.startswith(f"{name} is not there yet") and "model download" in said
    plan = plan_install(config, CONFIG, run_as="nobody", network=True, root=str(root))
    assert not [note for note in plan.notes if "model download" in note]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("/var/lib/tagger", None),
        ("/var/lib/photos/tags", 'StateDirectory="photos/tags"'),
        ("/srv/state", 'ReadWritePaths="/srv/state"'),
    ],
)
def test_the_state_directory_is_the_services_own_or_opened_to_it(root, state, expected):
    plan = plan_install(
        config_of(WatchRoot("/srv/p"), state_dir=state), CONFIG, run_as="nobody", root=str(root)
    )
    lines = settings(texts(plan)["10-folders.conf"])
    found = [line for line in lines if line.startswith("StateDirectory=") or state in line]
    assert found[-1:] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("change", "message", "remedy"),
    [
        ({"state_dir": "/home/alice/.local/state/tagger"}, "does not see", "/var/lib/tagger"),
        ({"run_as": "no-such-account"}, "no account no-such-account", "--run-as"),
        ({"watch": (WatchRoot("/srv/a\nb"),)}, "cannot be told", "rename"),
        ({"watch": (WatchRoot("/srv/\udcff"),)}, "cannot be told", "rename"),
        ({"user": True, "run_as": "nobody"}, "your account", "--run-as"),
    ],
)
def test_what_cannot_work_is_said_with_a_remedy(root, change, message, remedy):
    how = {"run_as": "nobody"} | {k: v for k, v in change.items() if k in ("run_as", "user")}
    config = config_of(WatchRoot("/srv"))
    config = config_of(
        *change.get("watch", config.watch), state_dir=change.get("state_dir", config.state_dir)
    )
    with pytest.raises(ServiceError) as caught:
        plan_install(config, CONFIG, root=str(root), **how)
    assert message in caught.value.message
    assert remedy in caught.value.remedy


def test_a_command_that_fails_ends_it_and_what_is_not_needed_is_told(root):
    plan = plan_install(config_of(WatchRoot("/srv")), CONFIG, run_as="nobody", root=str(root))

    def fail_at(word: str):
        def run(words: tuple[str, ...]) -> None:
            ran.append(words)
            if word in words:
                run_command(("sh", "-c", "echo it broke >&2; exit 3"))

        ran: list[tuple[str, ...]] = []
        return run, ran

    run, ran = fail_at("restart")
    with pytest.raises(ServiceError, match="it broke") as caught:
        apply(plan, run=run)
    assert "journalctl -u tagger" in caught.value.remedy
    assert len(ran) == 3
    run, ran = fail_at("daemon-reload")
    with pytest.raises(ServiceError):
        apply(plan, run=run)
    assert len(ran) == 1
    with pytest.raises(ServiceError, match="cannot run no-such-program"):
        run_command(("no-such-program",))


def test_lingering_is_asked_for_and_not_insisted_on(root, tmp_path):
    runtime = root / "run" / "user" / "1"
    (runtime / "systemd").mkdir(parents=True)
    environ = {"XDG_RUNTIME_DIR": "/run/user/1", "XDG_CONFIG_HOME": "/config"}
    plan = plan_install(
        config_of(WatchRoot("/srv")), CONFIG, user=True, root=str(root), environ=environ
    )
    assert [file.path for file in plan.files] == [f"{root}/config/systemd/user/tagger.service"]

    def run(words: tuple[str, ...]) -> None:
        if words[0] == "loginctl":
            raise ServiceError("no rights")

    [problem] = apply(plan, run=run)
    assert "sudo loginctl enable-linger" in problem
    me = pwd.getpwuid(os.getuid()).pw_name
    linger = root / "var/lib/systemd/linger"
    linger.mkdir(parents=True)
    (linger / me).touch()
    plan = plan_install(
        config_of(WatchRoot("/srv")), CONFIG, user=True, root=str(root), environ=environ
    )
    assert not [command for command in plan.after if command.words[0] == "loginctl"]


def test_uninstalling_takes_away_what_was_written_and_nothing_else(root):
    config = config_of(WatchRoot("/srv"))
    plan = plan_install(config, CONFIG, run_as="nobody", network=True, root=str(root))
    apply(plan, run=lambda words: None)
    own = root / "etc/systemd/system/tagger.service.d/override.conf"
    own.write_text("[Service]\nNice=19\n")
    plan = plan_uninstall(root=str(root))
    assert [command.words for command in plan.before] == [
        ("systemctl", "disable", "--now", "tagger.service")
    ]
    assert any("override.conf" in note for note in plan.notes)
    apply(plan, run=lambda words: None)
    assert [p for p in root.rglob("*") if p.is_file()] == [own]
    own.unlink()
    own.parent.rmdir()
    apply(
        plan_install(config, CONFIG, run_as="nobody", root=str(root)),
        run=lambda words: None,
    )
    apply(plan_uninstall(root=str(root)), run=lambda words: None)
    assert not own.parent.exists()
    with pytest.raises(ServiceError, match="not installed") as caught:
        plan_uninstall(root=str(root))
    assert "--user" in caught.value.remedy


def test_the_unit_of_a_package_is_used_as_it_is(root):
    """Only what this config needs is written beside it, so that upgrades of the unit arrive."""
    config = config_of(WatchRoot("/srv"))
    script = (os.path.join(os.path.dirname(sys.executable), "tagger"),)
    packaged = root / "usr" / "lib" / "systemd" / "system" / "tagger.service"
    packaged.parent.mkdir(parents=True)
    packaged.write_text(unit_text(script, CONFIG, user=False))
    own = root / "etc" / "systemd" / "system" / "tagger.service"
    plan = plan_install(config, CONFIG, run_as="nobody", root=str(root))
    assert list(texts(plan)) == ["10-folders.conf"]
    own.parent.mkdir(parents=True)
    own.write_text("an older installation's")
    plan = plan_install(config, CONFIG, run_as="nobody", root=str(root))
    assert texts(plan)["tagger.service"] is None, "it would hide the package's"
    apply(plan, run=lambda words: None)
    assert not own.exists() and (root / "etc/systemd/system/tagger.service.d").exists()
    apply(plan_uninstall(root=str(root)), run=lambda words: None)
    assert packaged.exists() and not (root / "etc/systemd/system/tagger.service.d").exists()
    other = plan_install(config, "/etc/tagger/other.yaml", run_as="nobody", root=str(root))
    assert "tagger.service" in texts(other), "that one is not the package's"


def test_where_systemd_does_not_run_the_files_are_written_all_the_same(tmp_path):
    plan = plan_install(
        config_of(WatchRoot("/srv")), CONFIG, run_as="nobody", root=str(tmp_path / "root")
    )
    assert not plan.after
    assert any("systemctl enable --now" in note for note in plan.notes)
    apply(plan)
    assert (tmp_path / "root/etc/systemd/system/tagger.service").stat().st_mode & 0o777 == 0o644


# The command line


@pytest.fixture
def command(home):
    """Return a function that runs ``tagger service`` in a home where no systemd runs."""

    def run(*words: str, code: int = 0) -> str:
        return home.run("service", *words, "--user", code=code)

    if not hasattr(home, "environ"):
        pytest.fail("a home without an environment of its own")
    plain = home.environ
    gone = {"XDG_RUNTIME_DIR": str(home.folder / "run"), "SUDO_USER": ""}
    home.environ = lambda: plain() | gone | {"XDG_CONFIG_HOME": str(home.folder / "config")}
    return run


def test_it_shows_what_it_will_do_and_asks_before_it_acts(home, command, monkeypatch):
    unit = home.folder / "config/systemd/user/tagger.service"
    said = command("show")
    assert f"==> {unit} <==" in said
    assert str(home.config) in said
    assert not unit.exists()
    with open(os.devnull) as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        said = command("install", code=1)
    assert f"write {unit} (new)" in said
    assert "Nothing was changed" in said
    assert not unit.exists()
    assert "Done" in command("install", "--yes")
    assert unit.read_text() == unit_text(
        (os.path.join(os.path.dirname(sys.executable), "tagger"),), str(home.config), user=True
    )
    assert "(as it is)" in command("install", "--yes")
    unit.write_text("[Service]\n")
    assert "(replaced)" in command("install", "--yes")
    said = command("uninstall", "--yes")
    assert f"delete {unit}" in said
    assert str(home.config) in said
    assert str(home.state) in said
    assert "untag --all" in said
    assert not unit.exists()
    assert home.config.exists()
    command("uninstall", "--yes", code=2)
    assert "not installed" in home.err


def test_with_sudo_it_is_not_installed_for_root_by_mistake(home, command):
    plain = home.environ
    home.environ = lambda: plain() | {"SUDO_USER": "alice"}
    command("install", "--yes", code=2 if os.geteuid() == 0 else 0)
    if os.geteuid() == 0:
        assert "without sudo" in home.err


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_understands_paths_with_all_kinds_of_characters(root, tmp_path):
    folder = tmp_path / """a b'c"d\\e:f%g;h$i#j 狗"""
    folder.mkdir()
    config = folder / "config.yaml"
    plan = plan_install(
        config_of(WatchRoot(str(folder))), str(config), run_as="daemon", root=str(root)
    )
    apply(plan, run=lambda words: None)
    unit = root / "etc/systemd/system/tagger.service"
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
