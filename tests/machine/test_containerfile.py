"""The Containerfile fits the project; tests/machine/test_container_image.py builds and runs it."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from tagger.cli import COMMANDS
from tagger.config.loader import load_config
from tagger.config.schema import Config
from tests.conftest import PROJECT

TEXT = (PROJECT / "Containerfile").read_text(encoding="utf-8")
DOCUMENT = (PROJECT / "docs" / "container.md").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Return the instructions and what follows each, lines joined and comments left out."""
    lines = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#"))
    joined = lines.replace("\\\n", " ")
    return [
        (line.split(maxsplit=1)[0], " ".join(line.split(maxsplit=1)[1].split()))
        for line in joined.splitlines()
        if line
    ]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


def ignored(path: str) -> bool:
    """Whether ``.dockerignore`` keeps a path out of what is sent to the build."""
    keep = True
    for line in (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if fnmatch.fnmatch(path.split("/", maxsplit=1)[0], pattern):
                keep = line.startswith("!")
    return not keep


def test_what_is_copied_exists_and_is_not_ignored():
    copied = [
        source
        for word, rest in instructions()
        if word == "COPY" and "--from=" not in rest
        for source in rest.split()[:-1]
    ]
    assert {"tagger", "requirements.lock", "pyproject.toml"} <= set(copied)
    for source in copied:
        if "[" not in source:  # a pattern: of what may be absent
            assert (PROJECT / source).exists(), source
            assert not ignored(source), source
    assert ignored(".venv") and ignored(".git") and ignored("tests") and ignored("build")
    assert not ignored("weights")  # those of the user


def test_what_the_package_needs_to_be_built_is_copied():
    copied = " ".join(rest for word, rest in instructions() if word == "COPY")
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for file in (project["readme"], *project["license-files"]):
        assert re.search(rf"\b{re.escape(file)}\b", copied), file


def test_stages_are_defined_before_they_are_used():
    stages: set[str] = set()
    for word, rest in instructions():
        for name in re.findall(r"--from=(\w+)", rest):
            assert name in stages, rest
        if word == "FROM":
            image, *name = rest.split(" AS ")
            assert image == "${BASE}" or image in stages
            stages |= set(name)


def test_nothing_in_it_needs_buildkit():
    """Docker of Debian 12 has it, but uses it only when told to."""
    assert "--mount" not in TEXT and "<<" not in TEXT and "# syntax" not in TEXT


def test_the_commands_of_tagger_in_it_exist():
    calls = re.findall(r"(?:^|[ &;])tagger ([a-z]+)", " ".join(rest for _, rest in instructions()))
    calls += [word for word, rest in instructions() if word == "CMD" for word in eval_list(rest)]
    assert {"model", "config", "run"} <= set(calls)
    assert set(calls) <= set(COMMANDS)


def eval_list(text: str) -> list[str]:
    return re.findall(r'"([^"]+)"', text)


def test_it_runs_without_root_on_the_port_of_the_page_with_both_volumes(tmp_path):
    found = dict(last_stage())  # the last of each
    assert found["USER"] == "1000:1000"
    assert found["EXPOSE"] == Config().web.listen.rpartition(":")[2] == "5000"
    assert eval_list(found["ENTRYPOINT"]) == ["tagger"]
    config = written_config(tmp_path)
    assert eval_list(found["VOLUME"]) == [config.watch[0].path, config.state_dir]
    assert config.metrics.listen is not None
    assert f"http://{config.metrics.listen}/healthz" in found["HEALTHCHECK"]
    for folder in (config.watch[0].path, config.state_dir):
        assert f":{folder} " in DOCUMENT  # the example mounts something there


def written_config(folder: Path) -> Config:
    """Run the lines that write the image's config, and read it."""
    [line] = [rest for word, rest in last_stage() if word == "RUN" and "printf" in rest]
    [command] = [part for part in line.split(" && ") if part.startswith("printf")]
    path = folder / "config.yaml"
    command = command.replace("/etc/tagger/config.yaml", shlex.quote(str(path)))
    subprocess.run(["sh", "-c", command], check=True, env=os.environ | {"MODEL": "resnet50"})
    config = load_config(str(path))
    assert config.model.name == "resnet50"
    assert not config.model.download  # what is in the image is all there will be
    return config


def test_every_build_argument_of_the_document_is_one():
    named = set(re.findall(r"--build-arg (\w+)=", DOCUMENT))
    assert {"MODEL", "WEIGHTS_URL"} <= named
    known = {re.split("=", rest)[0] for word, rest in instructions() if word == "ARG"}
    assert named <= known


def test_torch_is_the_one_for_cpus_at_the_versions_tested_and_not_in_the_image():
    [line] = [rest for word, rest in instructions() if "needed.txt" in rest]
    assert "-c requirements.lock" in line
    [line] = [rest for word, rest in instructions() if " torch torchvision" in rest]
    assert "-c /src/requirements.lock" in line and "${PIP_OPTIONS}" in line
    assert not [rest for _, rest in last_stage() if "torch" in rest]
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not [one for one in project["dependencies"] if "torch" in one]
    assert "whl/cpu" in TEXT
    assert "whl/cpu" in (PROJECT / "Makefile").read_text(encoding="utf-8")


def test_the_compose_file_runs_both_on_the_same_photos(tmp_path):
    services = yaml.safe_load((PROJECT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    config = written_config(tmp_path)
    tagger, syncthing = services["tagger"], services["syncthing"]
    inside = {one.split(":")[1]: one.split(":")[0] for one in tagger["volumes"]}
    assert set(inside) == {config.watch[0].path, config.state_dir}
    assert f"{inside[config.watch[0].path]}:/var/syncthing/photos" in syncthing["volumes"]
    assert tagger["user"] == syncthing["user"] == "${PUID:-1000}:${PGID:-1000}"
    assert tagger["network_mode"] == "none" and tagger["cap_drop"] == ["ALL"]
    assert tagger["build"] == {"context": ".", "dockerfile": "Containerfile"}
    for port in syncthing["ports"]:
        assert "8384" not in port or port.startswith("127.0.0.1:"), "its page has no password"


def test_the_forge_runs_what_the_project_runs():
    flow = yaml.safe_load((PROJECT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    ran = [step["run"] for job in flow["jobs"].values() for step in job["steps"] if "run" in step]
    text = "\n".join(ran)
    for command in ("bash .ci/run", "make dist", "make deb", "podman build"):
        assert command in text, command
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)) <= targets


def test_the_bill_of_materials_names_what_is_installed():
    done = subprocess.run(
        [sys.executable, PROJECT / "packaging" / "sbom.py"], check=True, capture_output=True
    )
    bill = json.loads(done.stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    names = {one["name"].lower() for one in bill["components"]}
    assert {"numpy", "onnxruntime", "pillow"} <= names
    references = [one["bom-ref"] for one in bill["components"]]
    assert len(references) == len(set(references))
