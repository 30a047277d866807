"""The Debian packages in a bookworm and a trixie: ``make test-deb``, a quarter of an hour.

Each is built in two versions, checked by lintian, and installed in a Debian that debootstrap makes
(or a copy of the folder that ``TAGGER_DEB_BOOKWORM`` or ``TAGGER_DEB_TRIXIE`` names) and
systemd-nspawn boots. Needs root and a network.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT, wait_until
from tests.support.debian import fresh_debian
from tests.support.systemd_container import Container, running
from tools.deb import MACHINES, SUITES

PACKAGES = "systemd,systemd-sysv,dbus,python3,adduser,procps"
CONFIG = "/etc/tagger/config.yaml"
BEFORE, NOW = "0.0.9", "0.1.0"
ELF_MACHINE = {"amd64": 62, "arm64": 183}
"""Of the header of an ELF file, see elf.h: EM_X86_64, EM_AARCH64."""

pytestmark = pytest.mark.skipif(
    "TAGGER_DEB" not in os.environ, reason="installs packages in Debians: `make test-deb`"
)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(folder: Path, suite: str, architecture: str, version: str = NOW) -> Path:
    """Build a package, not compressed, as xz takes a minute of each; return its path."""
    words = ["--suite", suite, "--architecture", architecture, "--version", version]
    words += ["--compression", "none", "--to", str(folder)]
    subprocess.run([sys.executable, "-m", "tools.deb", *words], cwd=PROJECT, check=True)
    [path] = folder.glob(f"tagger_{version}-*_{architecture}.deb")
    return path


@pytest.fixture(scope="module")
def packages(suite: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build the version before and this one for this machine."""
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    folder = tmp_path_factory.mktemp("packages")
    return {version: build(folder, suite, architecture, version) for version in (BEFORE, NOW)}


@pytest.mark.parametrize("architecture", MACHINES)
def test_all_that_is_compiled_fits_the_machine_and_its_python(suite, architecture, tmp_path):
    """The other architecture's package is not run here, but looked through."""
    package = build(tmp_path, suite, architecture)
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path / "root"], check=True)
    home = tmp_path / "root" / "usr" / "lib" / "tagger"
    python = SUITES[suite][1]
    assert [path.name for path in (home / "lib").iterdir()] == [f"python{python}"]
    files = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    heads = {path: path.read_bytes()[:20] for path in files}
    compiled = {path: head for path, head in heads.items() if head.startswith(b"\x7fELF")}
    names = {path.relative_to(home / "lib" / f"python{python}").parts[1] for path in compiled}
    assert {"numpy", "onnxruntime", "PIL", "av"} <= names, names
    for path, head in compiled.items():
        assert int.from_bytes(head[18:20], "little") == ELF_MACHINE[architecture], path
        if found := re.search(r"\.cpython-(\d+)-", path.name):
            assert found[1] == python.replace(".", ""), path
    for path in home.rglob("*.dist-info/WHEEL"):
        tags = re.findall(r"^Tag: (\S+)", path.read_text(), re.MULTILINE)
        assert any(fits(tag, python, MACHINES[architecture]) for tag in tags), (path, tags)


def fits(tag: str, python: str, machine: str) -> bool:
    """Whether a wheel's tag (PEP 425) is one that this Python takes on this machine."""
    version, abi, platform = tag.split("-")
    number = python.replace(".", "")
    pure = version in ("py3", "py2.py3", f"py{number}") and abi == "none"
    own = version == f"cp{number}" and abi in (f"cp{number}", "none")
    stable = abi == "abi3" and int(version[3:]) <= int(number[1:])
    return (pure or own or stable) and (platform == "any" or platform.endswith(f"_{machine}"))


def test_lintian_finds_no_errors(packages):
    if not shutil.which("lintian"):
        pytest.skip("apt-get install lintian")
    # The test's packages alone are not compressed.
    passed = "uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball"
    words = ["lintian", "--fail-on", "error", "--allow-root", "--suppress-tags", passed]
    done = subprocess.run(
        [*words, packages[NOW]],
        capture_output=True,
        check=False,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_fits_one_version_of_python_and_holds_no_torch(packages, suite):
    control = subprocess.run(
        ["dpkg-deb", "--field", packages[NOW]], check=True, capture_output=True, text=True
    ).stdout
    python = SUITES[suite][1]
    assert f"python3 (>= {python}~)" in control
    listed = subprocess.run(
        ["dpkg-deb", "--contents", packages[NOW]], check=True, capture_output=True, text=True
    ).stdout
    assert f"/usr/lib/tagger/lib/python{python}/site-packages/tagger/labels/" in listed
    assert "site-packages/torch/" not in listed and "__pycache__" not in listed
    assert " root/root " in listed.splitlines()[0]


@pytest.fixture(scope="module")
def container(
    suite: str,
    packages: dict[str, Path],
    demo_weights: Path,
    converted_demo: Callable[[Path], Path],
    scenes: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Container]:
    """Boot a Debian with the packages, photos of alice, and a converted network in /root."""
    from tagger.classify.onnx_store import convert
    from tagger.classify.ready_network import write_network

    kept = os.environ.get(f"TAGGER_DEB_{suite.upper()}")
    root = fresh_debian(tmp_path_factory.mktemp(suite), PACKAGES, kept, suite)
    state = converted_demo(demo_weights).parent
    made = convert("resnet18", str(demo_weights), str(state))
    (root / "root" / "networks").mkdir(parents=True)
    write_network(made, str(root / "root" / "networks" / "resnet18.onnx"))
    for version, path in packages.items():
        shutil.copy(path, root / "root" / f"{version}.deb")
    subprocess.run(["chroot", root, "useradd", "-m", "-s", "/bin/bash", "alice"], check=True)
    pictures = root / "srv" / "photos"
    pictures.mkdir()
    for scene in scenes:
        shutil.copy(scene, pictures)
    subprocess.run(["chroot", root, "chown", "-R", "alice:", "/srv/photos"], check=True)
    log = tmp_path_factory.mktemp("log") / "boot.log"
    # As a machine with that Debian has it: trixie's systemd does not start under cgroup v1, which
    # nspawn takes over from a host that has it.
    try:
        with running(root, log, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1") as made:
            yield made
    finally:
        shutil.rmtree(root, ignore_errors=True)


def apt(container: Container, *words: str) -> str:
    environ = ["env", "DEBIAN_FRONTEND=noninteractive"]
    options = ["-o", "Dpkg::Options::=--force-confold"]
    began = time.monotonic()
    # It compiles all modules, for minutes on a busy machine.
    said = container.run(*environ, "apt-get", "-y", "-q", *options, *words, timeout=900)
    print(f"{time.monotonic() - began:6.1f} s  apt-get {' '.join(words)}")
    return said


def missing(container: Container, line: str) -> bool:
    return container.run("sh", "-c", f"{line} && echo yes || echo no").strip() == "no"


def test_it_is_installed_used_upgraded_and_purged(container):
    """All in one: each step needs what those before have left."""
    root = container.root
    apt(container, "install", f"/root/{BEFORE}.deb")
    assert "tagger" in container.run("tagger", "--version")
    assert "no folder" in container.run("sh", "-c", f"tagger --config {CONFIG} run 2>&1; true")
    assert container.property("ActiveState") == "inactive", "it waits for folders"
    assert container.run("getent", "passwd", "tagger").split(":")[5] == "/var/lib/tagger"

    config = root / CONFIG.lstrip("/")
    config.write_text(config.read_text().replace("#  - path: /srv", "  - path: /srv"))
    own = config.read_text()
    container.run("tagger", "--config", CONFIG, "model", "import", "/root/networks/resnet18.onnx")
    container.shell(f"tagger --config {CONFIG} service install")
    wait_until(lambda: container.property("ActiveState") == "active", 90)
    # bookworm's systemd names it by the old path of the folder.
    unit = container.property("FragmentPath")
    assert unit.removeprefix("/usr") == "/lib/systemd/system/tagger.service"
    photos = root / "srv" / "photos"
    scenes = len([path for path in photos.iterdir() if not path.name.startswith(".")])
    wait_until(lambda: len(list(photos.glob("*.xmp"))) == scenes, 120)
    sidecars = {path: (path.read_bytes(), path.stat()) for path in photos.glob("*.xmp")}
    uid = int(container.run("id", "-u", "alice"))
    assert {found.st_uid for _, found in sidecars.values()} == {uid}
    container.run(
        "tagger", "--config", CONFIG, "untag", "--label", "beach", "/srv/photos/seaside.jpg"
    )
    before = container.property("MainPID")

    apt(container, "install", f"/root/{NOW}.deb")
    wait_until(lambda: container.property("MainPID") not in ("0", before), 90)
    wait_until(lambda: container.property("ActiveState") == "active", 90)
    assert config.read_text() == own
    assert container.run("dpkg-query", "-W", "-f", "${Version}", "tagger").startswith(NOW)
    query = ("tagger", "--config", CONFIG, "query", "coast")
    assert container.run(*query) == "/srv/photos/seaside.jpg\n"
    assert container.run(*query[:-1], "beach") == "", "what was taken away stays away"
    seaside = photos / "seaside.jpg.xmp"
    for path, (data, _) in sidecars.items():
        assert path == seaside or path.read_bytes() == data

    apt(container, "remove", "tagger")
    assert missing(container, "pgrep -f '[t]agger/bin/tagger'")
    assert missing(container, "test -e /usr/lib/tagger") and missing(container, "command -v tagger")
    assert config.read_text() == own and (root / "var/lib/tagger/index.sqlite3").exists()
    apt(container, "install", f"/root/{NOW}.deb")
    assert container.run(*query) == "/srv/photos/seaside.jpg\n"
    apt(container, "purge", "tagger")
    for place in ("/etc/tagger", "/var/lib/tagger", "/usr/lib/tagger"):
        assert missing(container, f"test -e {place}"), place
    units = container.run("sh", "-c", "ls -R /etc/systemd/system | grep -c tagger; true")
    assert units.strip() == "0"
    assert len(list(photos.glob("*.xmp"))) == scenes, "photos keep their tags"
