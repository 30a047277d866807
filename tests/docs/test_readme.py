"""Every command of the README and the documents is tried: by a new user, or somewhere else.

What that user does is below, and done in tests/docs/test_new_user.py. A command that is neither
there nor listed as run elsewhere fails the test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.conftest import PROJECT

GENERATED = {"commands.md", "configuration.md", "errors.md"}
"""Documents that `make generate` writes from the code itself."""
BY_HAND = [
    PROJECT / "README.md",
    *sorted(path for path in (PROJECT / "docs").glob("*.md") if path.name not in GENERATED),
]
README = "\n".join(path.read_text(encoding="utf-8") for path in BY_HAND)
COMMANDS = (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8")
CONTAINER = "tests/machine/test_systemd_boot.py"  # under a real systemd: `make test-systemd`
CLUSTER = "tests/machine/test_cluster_install.py"  # by pip, in a fresh environment
CLUSTER_UNITS = "tests/machine/test_systemd_cluster.py"  # as CONTAINER
INSTALL = "tests/machine/test_install.py"  # in a fresh Debian: `make test-install`
DOWNLOAD = "tests/unit/cli/test_model.py"  # from a server that the test starts
DEB = "tests/machine/test_deb.py"  # in a bookworm and a trixie: `make test-deb`
TRANSFER = "tests/unit/cli/test_model_transfer.py"  # in an environment without torch
IMAGE = "tests/machine/test_container_image.py"  # with podman, and with Docker

DASK = [
    line
    for line in (PROJECT / "docs" / "cluster.md").read_text(encoding="utf-8").splitlines()
    if line.startswith(("dask ", "openssl "))
]
"""Run, with addresses of the test, by tests/support/clusters.py and tests/unit/cluster."""
ELSEWHERE = (
    {
        # needs root, apt and a package index
        "sudo apt install pipx": ("apt", INSTALL),
        "sudo apt install python3-venv": ("apt", INSTALL),
        'pipx install --pip-args="-c requirements.lock --extra-index-url'
        ' https://download.pytorch.org/whl/cpu" ".[torch]"': ("a package index", INSTALL),
        "sudo python3 -m venv /opt/tagger/.venv": ("root", INSTALL),
        "sudo /opt/tagger/.venv/bin/pip install -c requirements.lock --extra-index-url"
        ' https://download.pytorch.org/whl/cpu ".[torch]"': ("a package index", INSTALL),
        "pipx install ./tagger-0.1.0-py3-none-any.whl": ("a package index", INSTALL),
        "make dist": ("it builds", "tests/machine/test_dist.py"),
        "make deb": ("it builds", "tests/machine/test_deb.py"),
        'make deb ARGS="--suite trixie --architecture arm64"': ("a package index", "tools/deb.py"),
        "sudo apt install ./tagger_0.1.0-1~deb13u1_arm64.deb": ("apt", DEB),
        "sudo tagger --config /etc/tagger/config.yaml": ("apt", DEB),
        "tagger model convert --to FILE": ("torch", TRANSFER),
        "tagger model import FILE": ("torch", TRANSFER),
        "tagger model convert --to ~/networks": ("torch", TRANSFER),
        "tagger model import ~/networks/*.onnx": ("another machine", TRANSFER),
        "tagger model download resnet18 --url https://…/resnet18.onnx": ("a server", TRANSFER),
        "sudo ln -s /opt/tagger/.venv/bin/tagger /usr/local/bin/": ("root", INSTALL),
        "pipx install --force": ("a package index", INSTALL),
        "pipx uninstall tagger": ("pipx", INSTALL),
        "sudo rm -r /opt/tagger /usr/local/bin/tagger": ("root", INSTALL),
        "crontab -e": ("cron", INSTALL),
        # needs an engine for containers and a base image
        "podman build --format docker -t tagger .": ("an engine", IMAGE),
        "docker build -f Containerfile -t tagger .": ("an engine", IMAGE),
        'podman run -d --name tagger --network none --user "$(id -u):$(id -g)" --userns keep-id'
        " -v ~/Pictures:/photos -v ~/tagger-state:/var/lib/tagger tagger": ("an engine", IMAGE),
        "mkdir -p ~/tagger-state": ("the line above", IMAGE),
        "podman exec tagger tagger query dog": ("an engine", IMAGE),
        "podman healthcheck run tagger": ("an engine", IMAGE),
        "podman stop": ("an engine", IMAGE),
        "mkdir -p photos tagger syncthing": ("an engine", "compose.yaml"),
        "docker compose up -d": ("an engine", "compose.yaml"),
        "podman run --rm --entrypoint cat tagger /etc/tagger/config.yaml": ("an engine", IMAGE),
        "podman run -it --rm tagger web password": ("an engine", IMAGE),
        # needs root and a running systemd
        "sudo tagger --config /etc/tagger/config.yaml init /home/alice/Pictures": (
            "root",
            CONTAINER,
        ),
        "sudo tagger --config /etc/tagger/config.yaml model download": ("weights", DOWNLOAD),
        "sudo tagger --config /etc/tagger/config.yaml service install": ("systemd", CONTAINER),
        "sudo tagger --config /etc/tagger/config.yaml service uninstall": ("systemd", CONTAINER),
        "pip install 'tagger[cluster]'": ("a package index", CLUSTER),
        "sudo systemctl enable --now tagger-scheduler": ("systemd", CLUSTER_UNITS),
        "sudo systemctl enable --now tagger-worker": ("systemd", CLUSTER_UNITS),
        "podman run -d --name tagger-worker --network host --user"
        ' "$(id -u):$(id -g)" --userns keep-id -v /mnt/nas/photos:/mnt/nas/photos:ro'
        " --entrypoint dask tagger worker tcp://192.168.1.10:8786 --nthreads 4"
        " --no-dashboard": ("podman", IMAGE),
        "systemctl status tagger": ("systemd", CONTAINER),
        "systemctl edit tagger": ("systemd", CONTAINER),
        "tagger service install --network": ("systemd", CONTAINER),
        "systemctl reload tagger": ("systemd", CONTAINER),
        "journalctl -u tagger": ("systemd", CONTAINER),
        "loginctl enable-linger": ("systemd", CONTAINER),
        "systemd-analyze security": ("systemd's tools", "tests/unit/service/test_units.py"),
        # needs a terminal
        "tagger init": ("a terminal", "tests/unit/cli/test_init.py"),
        "man tagger": ("man", "tests/docs/test_manual.py"),
        "tagger run --take-over": ("another tagger", "tests/end_to_end/test_two_taggers.py"),
        # takes long, or another machine
        "make test": ("it runs this", "Makefile"),
        "make bench": ("it takes long", "bench"),
        "make torture": ("it takes an hour", "tests/faults"),
        "make demo": ("it makes an environment", INSTALL),
        "rm index.sqlite3": ("it is a fault", "tests/end_to_end/test_damage.py"),
        "make test-programs": ("a Debian with the programs", "tests/machine/test_programs.py"),
        "make generate": ("its files must be fresh", "tests/docs/test_documents.py"),
        "tagger web password --write": ("a terminal", "tests/unit/web/auth/test_passwords.py"),
        "make demo PHOTOS": ("as above", INSTALL),
    }
    | dict.fromkeys(
        (
            "tagger teach",
            "tagger teach Mimi --under cat mimi1.jpg mimi2.jpg mimi3.jpg",
            "tagger teach Mimi --ask",
            "tagger teach Mimi --not othercat.jpg",
            "tagger teach --list",
            "tagger query Mimi",
            "tagger teach Mimi --rename Minka",
            "tagger teach Mimi --forget",
            "tagger teach --suggest",
            "tagger teach Garden --keyword",
            "tagger teach --export FILE",
            "tagger retry --all",
        ),
        ("photos of one kind", "tests/end_to_end/test_teach.py"),
    )
    | dict.fromkeys(
        (
            "tagger cluster start",
            "tagger cluster start --workers 2",
            "tagger run --once --cluster",
            "tagger run --once --cluster tcp://127.0.0.1:8786",
            *DASK,
        ),
        ("a scheduler and workers", "tests/end_to_end/test_cluster.py"),
    )
    | dict.fromkeys(
        (
            "tagger duplicates",
            "tagger duplicates --bursts",
            "tagger duplicates --in ~/Photos/phone --min-size 3 --json",
            "tagger duplicates --link-to ~/copies",
            "tagger duplicates --move-to ~/aside",
            "tagger duplicates --move-back",
            "tagger similar PHOTO",
            "tagger similar ~/Photos/cat.jpg --limit 20",
            "tagger rules undo PHOTO",
        ),
        ("copies of photos", "tests/end_to_end/test_duplicates.py"),
    )
    | dict.fromkeys(
        ("tagger model try NAME", "tagger model use NAME", "tagger model use --back"),
        ("another network", "tests/unit/cli/test_model_trial.py"),
    )
)
"""What a command needs that is not here, and where it is run instead."""

COMMAND = re.compile(
    r"(tagger|sudo|pipx?|podman|docker|make|systemctl|journalctl|loginctl|systemd-analyze|curl|"
    r"crontab|ssh|service|mkdir|rm)(?= |$)"
)


class Step(NamedTuple):
    """A command as the README has it, what is typed, and what it must print (a pattern)."""

    told: str
    typed: str
    printed: str = ""
    code: int = 0


def steps(port: int) -> list[Step]:
    """Return what a new user does, up to the daemon's end."""
    photo = "~/Pictures/inbox/seaside.jpg"
    return [
        Step("tagger status", "tagger status", r"^running since .*\n(.*\n)*folder: .*: online"),
        Step("tagger query dog", "tagger query dog", r"\A\Z"),
        Step("tagger query 狗", "tagger query 狗", r"\A\Z"),
        Step("tagger query [QUERY...]", "tagger query beach", r"\A/.*/inbox/seaside\.jpg\n\Z"),
        Step("tagger pause", "tagger pause", "paused"),
        Step("tagger resume", "tagger resume", "working"),
        Step("tagger scan [PATH...]", "tagger scan", "scanning everything"),
        Step("tagger take-over [FOLDER...]", "tagger take-over", "inbox: this tagger writes"),
        Step("tagger scan [PATH...]", f"tagger scan {photo}", "scanning /.*seaside"),
        Step("tagger labels [LABEL]", "tagger labels", r"beach +1"),
        Step("tagger labels [LABEL]", "tagger labels fruit", "lemon"),
        Step("tagger labels [LABEL]", "tagger labels --all", "golden retriever"),
        Step("tagger show PHOTO", f"tagger show {photo}", r"(?s)beach.*seaside\.jpg\.xmp"),
        Step("tagger classify PHOTO...", f"tagger classify {photo}", "beach"),
        Step("tagger classify --explain PHOTO", f"tagger classify --explain {photo}", "beach"),
        Step("tagger rules test", f"tagger rules test {photo} dog.jpg", "(?s)coast.*meets no rule"),
        Step(
            "tagger rules test /photos/inbox/IMG_1234.jpg", "tagger rules test nowhere.jpg", code=2
        ),
        Step("tagger rules list", "tagger rules list", "no rules"),
        Step("tagger help teach", "tagger help teach", "(?s)^# .*See also: tagger teach --help"),
        Step("tagger help TOPIC", "tagger help", "teach.*\n(.*\n)*.*query"),
        Step("tagger query --explain", "tagger query --explain beach", "^label beach: 1 photo$"),
        Step("tagger rules apply", "tagger rules apply", "Nothing is done"),
        Step(
            "tagger rules apply --in /photos/2024 --rule papers --yes",
            "tagger rules apply --in ~/Pictures --yes",
            "0 actions are done now",
        ),
        Step("tagger rules retry", "tagger rules retry", "0 actions"),
        Step("tagger rules undo PHOTO", f"tagger rules undo {photo}", code=2),
        Step("tagger failures", "tagger failures", r"no photo\.jpg\n.*\n"),
        Step("tagger retry [PHOTO...]", "tagger retry", "1 photo.* will be tried again"),
        Step("tagger untag PHOTO...", f"tagger untag --dry-run {photo}", "would be"),
        Step("tagger untag PHOTO...", f"tagger untag --label beach {photo}", "beach"),
        Step("tagger untag PHOTO", f"tagger untag {photo}", "coast"),
        Step("tagger restore PHOTO...", f"tagger restore {photo}", "."),
        Step("tagger prune [FOLDER...]", "tagger prune ~/Pictures/inbox"),
        Step("tagger retry [PHOTO...]", "tagger retry --all", "will be tried again"),
        Step("tagger backup FILE", "tagger backup ~/copy.sqlite3", "copy.sqlite3"),
        Step("tagger model list", "tagger model list", "resnet18"),
        Step("tagger model path", "tagger model path", r"\.pth$"),
        Step("tagger model optimize", "tagger model optimize", r"subjects .*: provisional"),
        Step("tagger model optimize", "tagger model optimize ~/Pictures/inbox", "provisional"),
        # Without a network it says what to do; with one, tests/unit/cli/test_model.py.
        Step("tagger model download", "tagger model download resnet50", code=2),
        Step("tagger config check", "tagger config check", "is right: 1 folder"),
        Step("tagger doctor", "tagger doctor", r"(?s)^ok +folder .*^0 errors, "),
        Step(
            "tagger web",
            f"tagger web --listen 127.0.0.1:{port} & page=$!; "
            f"for i in $(seq 100); do curl -s -o ~/got http://127.0.0.1:{port}/ && break; "
            f"sleep 0.2; done; curl -s -F file=@$HOME/dog.jpg http://127.0.0.1:{port}/predict;"
            " kill $page; wait $page",
            r'(?s)the page is at http.*^\[\{"label":"[^"]+","probability":\d+\.\d\},',
        ),
        Step(
            "mkdir -p ~/.local/share/bash-completion/completions ~/.config/fish/completions",
            "mkdir -p ~/.local/share/bash-completion/completions ~/.config/fish/completions",
        ),
        *(
            Step(f"tagger completion {line}", f"fpath=(x ~); tagger completion {line}")
            for line in (
                "bash > ~/.local/share/bash-completion/completions/tagger",
                'zsh > "${fpath[1]}/_tagger"',
                "fish > ~/.config/fish/completions/tagger.fish",
            )
        ),
        Step("tagger completion zsh", "wc -l ~/_tagger", r"^\d\d"),
        Step("tagger service show", "tagger service show --user", "ExecStart"),
        Step(
            "tagger service install --user",
            "echo n | tagger service install --user",
            r"(?s)write .*tagger\.service \(new\).*Nothing was changed",
            code=1,
        ),
        Step(
            "tagger service install --user",
            "echo y | tagger service install --user",
            r"(?s)write .*tagger\.service \(new\).*Done",
        ),
        Step(
            "tagger service uninstall --user",
            "echo y | tagger service uninstall --user",
            r"(?s)Done.*The config is .*tags away: tagger --config .* untag --all",
        ),
        Step("tagger --debug ...", "tagger --debug query '(('", code=2),
    ]


def without_comment(line: str) -> str:
    return re.sub(r"\s+#.*", "", line).strip()


def blocks() -> Iterator[str]:
    """Yield the lines of the README's shell blocks that are commands."""
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line and not line.startswith("["):  # what was printed
                yield without_comment(line)


def inline() -> Iterator[str]:
    """Yield what is set as code in the text and looks like a command."""
    text = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`]+)`", text):
        code = " ".join(code.split())
        if COMMAND.match(code) and " " in code and not code.endswith("…"):
            *words, last = code.split(" ")
            for one in last.split("\\|"):  # `install|show`, as it is set in a table
                yield " ".join([*words, one])


def test_every_command_is_run_or_said_to_be_run_elsewhere():
    told = (
        {step.told for step in steps(0)} | {step.told for step in BEFORE + AFTER} | set(ELSEWHERE)
    )
    told |= {f"tagger {name}" for name in ("init FOLDER...", "run", "run [--once]")}
    for command in blocks():
        assert command in told or command.startswith("curl "), f"not tried anywhere: {command}"
    for command in inline():
        near = [one for one in told if one == command or one.startswith(f"{command} ")]
        base = command.split(" [")[0].partition("=")[0]
        assert near or base in told, f"not tried anywhere: {command}"


def test_what_is_run_elsewhere_is_in_the_readme_and_the_place_exists():
    text = " ".join(README.split())
    for command, (reason, where) in ELSEWHERE.items():
        assert command in text, f"no longer in the README: {command}"
        assert reason
        assert (PROJECT / where).exists(), where


BEFORE = [
    Step(
        "tagger init ~/Pictures/inbox",
        "mkdir -p ~/Pictures/inbox; tagger init ~/Pictures/inbox",
        r"^Wrote /.*/\.config/tagger/config\.yaml\.\nStart tagging with: tagger .* run$",
    ),
    Step("tagger init FOLDER...", "tagger init ~/Pictures/inbox", code=2),
    Step(
        "tagger init /home/alice/Pictures",
        "tagger --config ~/two.yaml init ~/Pictures ~/Pictures/inbox",
        "Wrote",
    ),
    Step("tagger doctor", "tagger doctor", r"(?s)^warning +daemon: not running.*^0 errors, "),
]
AFTER = [
    Step("tagger run [--once]", "tagger run --once"),
    Step("tagger status", "tagger status", "^not running; .*\n(.*\n)*photos: 6 tagged"),
    Step("tagger untag --all", "tagger untag --all", r"seaside\.jpg"),
    Step(
        "rm -r ~/.config/tagger ~/.local/state/tagger",
        "rm -r ~/.config/tagger ~/.local/state/tagger",
    ),
]
