"""The sdist and the wheel: whole, the same at each build, and at work without a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT, wait_until
from tests.support.installed import Installed
from tests.support.without_torch import python_without_torch
from tools import dist

DATE = "1700000000"
LOCK = PROJECT / "requirements.lock"

if "TAGGER_CI" not in os.environ:
    pytest.importorskip("flit_core", reason="pip install flit_core, as `make .venv/installed` does")


@pytest.fixture(scope="module")
def built(make_once) -> tuple[Path, Path]:
    """Return the sdist and the wheel of this checkout, dated DATE."""
    folder = make_once("dist", lambda folder: build(PROJECT, folder))
    [sdist], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def build(project: Path, folder: Path, **environ: str) -> list[Path]:
    script = (
        "import sys; from pathlib import Path; from tools import dist; "
        "dist.build(*map(Path, sys.argv[1:]))"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(project), str(folder)],
        cwd=PROJECT,
        env=os.environ | {"SOURCE_DATE_EPOCH": DATE} | environ,
        check=True,
    )
    return sorted(folder.iterdir())


def test_all_files_of_the_package_are_in_both(built):
    sdist, wheel = built
    every = dist.known_files(PROJECT)
    known = [name for name in every if name.startswith("tagger/")]
    kinds = {Path(name).suffix for name in known}
    assert {*".py .yaml .json .csv .txt .html .js .css .service .mo".split()} <= kinds
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        for name in known:
            assert archive.read(name) == (PROJECT / name).read_bytes(), name
        rest = {name for name in inside - set(known) if ".dist-info/" not in name}
        manual = {name.removeprefix("data/") for name in every if name.startswith("data/")}
        assert {name.partition(".data/data/")[2] for name in rest} == manual
    with tarfile.open(sdist) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    lacking = set(dist.known_files(PROJECT)) - names
    assert lacking <= {".gitignore"}, lacking


def test_a_second_build_is_the_same_bytes(built, tmp_path):
    """Of a copy with other dates, another umask and time zone, and something lying about."""
    other = tmp_path / "other"
    for name in dist.known_files(PROJECT):
        target = other / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, target)
        target.chmod(0o640 | (0o110 if os.access(PROJECT / name, os.X_OK) else 0))
    (other / "tagger" / "__pycache__").mkdir()
    (other / "tagger" / "__pycache__" / "x.pyc").write_bytes(b"x")
    before = os.umask(0o077)
    try:
        again = build(other, tmp_path / "dist", TZ="Asia/Kathmandu", LC_ALL="C")
    finally:
        os.umask(before)
    for one, two in zip(sorted(built), again, strict=True):
        assert one.name == two.name
        assert one.read_bytes() == two.read_bytes(), one.name


def test_the_wheel_can_be_built_from_the_sdist(built, tmp_path):
    sdist, wheel = built
    with tarfile.open(sdist) as packed:
        packed.extractall(tmp_path, filter="data")
    [unpacked] = tmp_path.iterdir()
    made = build(unpacked, tmp_path / "dist")
    [again] = [path for path in made if path.suffix == ".whl"]
    assert again.read_bytes() == wheel.read_bytes()
    assert (unpacked / "Makefile").exists() and (unpacked / "tests" / "conftest.py").exists()


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Iterator[Installed]:
    """Install it by pip, beside the packages of the tests but torch."""
    folder = tmp_path_factory.mktemp("installed")
    python = python_without_torch(folder / "venv", checkout=None)
    offline = ["install", "-q", "--no-index", "--no-deps", "--no-cache-dir"]
    subprocess.run([python, "-m", "pip", *offline, built[1]], check=True)
    yield initialized(folder / "venv" / "bin" / "tagger", folder)


def initialized(binary: Path, home: Path) -> Installed:
    made = Installed(binary, home, OPENBLAS_NUM_THREADS="1")
    made.run("init", str(made.inbox))
    return made


def it_works(machine: Installed) -> None:
    """What needs files of the package: labels, languages, the index, units, templates."""
    assert machine.run("--version").startswith("tagger, version ")
    assert "golden retriever" in machine.run("labels", "--all")
    assert "no index" in machine.run("query", "dog", code=2)
    # Without a network the daemon has none to work with; the index is made all the same.
    machine.run("run", "--once", code=2)
    assert machine.run("query", "dog") == ""
    for word in ("perro", "狗", "犬"):
        assert "poodle" in machine.run("labels", "--all", word), "languages are in it"
    unit = machine.run("service", "show", "--user")  # pipx puts a link to the command on the path
    assert any(f"ExecStart={one}" in unit for one in (machine.binary, machine.binary.resolve()))
    assert "is right" in machine.run("config", "check")
    assert "_tagger" in machine.run("completion", "bash")


def test_it_works_when_pip_has_installed_it(installed):
    it_works(installed)
    where = subprocess.run(
        [installed.binary.with_name("python"), "-c", "import tagger; print(tagger.__file__)"],
        cwd=installed.home,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert where.startswith(str(installed.binary.parents[1])), where


def test_the_page_has_its_templates(installed):
    """Until a network is there it says so, and shows the library."""
    address = "127.0.0.1:5997"
    page = subprocess.Popen(
        [installed.binary, "web", "--listen", address], cwd=installed.home, env=installed.environ
    )
    try:

        def asked() -> str | None:
            try:
                with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
                    return answer.read().decode()
            except OSError:
                return None

        assert "<title>" in wait_until(asked, 60)
    finally:
        page.terminate()
        page.wait(30)


@pytest.mark.skipif(
    not {"TAGGER_CI", "TAGGER_INSTALL"} & set(os.environ),
    reason="installs from a package index: `.ci/run`, or TAGGER_INSTALL=1",
)
def test_it_works_when_pipx_has_installed_it(built, tmp_path):
    """With the packages that it needs, but torch, from a package index."""
    if not shutil.which("pipx"):
        pytest.fail("pipx is missing: apt-get install pipx")
    environ = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    words = ["pipx", "install", "--python", sys.executable, "--pip-args", f"-c {LOCK}"]
    done = subprocess.run(
        [*words, str(built[1])],
        env=os.environ | environ,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    home = tmp_path / "home"
    home.mkdir()
    it_works(initialized(tmp_path / "bin" / "tagger", home))
