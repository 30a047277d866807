"""The configuration as frozen records, which are also its schema.

A key of the file is a field here: its type says which values are allowed, ``metadata``
its bounds, and ``help`` the comment in the example file. :mod:`tagger.config.loader` reads it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tagger.config.addresses import Address, check_networks, is_elsewhere, parse_address
from tagger.config.cluster import ClusterConfig
from tagger.config.rule import Rule
from tagger.config.setting import setting
from tagger.errors import ConfigError

NO_MODEL = "none"
"""As the name of a model: no such network is to look at photos."""
Target = Literal["sidecar-xmp", "sidecar-json", "embed", "none"]
PASSWORD_HASH = re.compile(
    r"scrypt:(?:1024|2048|4096|8192|16384|32768|65536|131072):8:[1-9]\$[\w.-]{8,64}\$[0-9a-f]{128}"
    r"|scrypt\$1[0-9]\$8\$[1-9]\$[\w-]{22}\$[\w-]{43}",
    re.ASCII,
)
"""The hash of a password: as werkzeug.security makes it, with N, r and p of scrypt; or as early
builds of 0.1.0 did, with log2 N. No more than these numbers, as N * r * 128 bytes are needed."""


@dataclass(frozen=True, slots=True)
class WatchRoot:
    """One watched folder."""

    path: str = field(metadata={"help": "The folder.", "path": True})
    recursive: bool = setting("Its sub-folders too.", True)
    mode: Literal["auto", "events", "poll"] = setting(
        "auto: kernel events where they are proved to work, else polling (network disks).\n"
        "events: trust events. poll: only look regularly.",
        "auto",
    )
    ignore: tuple[str, ...] = setting(
        "Shell patterns of names, or of paths below the folder, to leave alone.", ()
    )
    read_only: bool = setting("Never write anything in there; tags go to the index only.", False)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Which networks look at photos."""

    name: str = setting(
        "What tells subjects: any torchvision classification model with ImageNet weights\n"
        "(`tagger model list`), or a YAML file that describes an ONNX classifier of your own.",
        "resnet18",
        name_or_path=True,
    )
    scenes: str = setting(
        "What tells places: resnet18_places365, none, or a YAML file that describes an ONNX\n"
        "classifier of your own.",
        "resnet18_places365",
        name_or_path=True,
    )
    detector: str = setting(
        "What finds people and things: yolox_nano, yolox_tiny, yolox_s, none, or the path of a\n"
        "YOLOX network's ONNX file.",
        "yolox_nano",
        name_or_path=True,
    )
    weights: str | None = setting(
        "A weights file of `name`, what `tagger model convert` made of one, or a folder with\n"
        "either. Unset: $TAGGER_MODEL_DIR, then models/ in the state directory, then torch's\n"
        "cache.",
        None,
        path=True,
    )
    engine: Literal["auto", "onnx", "torch"] = setting(
        "What runs the network. onnx: ONNX Runtime, which is faster and smaller; torch converts\n"
        "the weights for it, once. auto: torch itself when that fails.",
        "auto",
    )
    precision: Literal["auto", "fp32", "int8"] = setting(
        "int8 is faster still, but not quite the same. auto: where it is faster, unless it turns\n"
        "out not to agree with fp32 on your photos (`tagger status`). int8: always. fp32: never.",
        "auto",
    )
    threads: int = setting("Threads of the network; 0: one per core.", 0, min=0, max=256)
    download: bool = setting("Download the weights when they are nowhere to be found.", True)


@dataclass(frozen=True, slots=True)
class DecodeConfig:
    """Limits on the decoding processes, where photos are opened."""

    workers: int = setting("Processes; 0: one per core, at most four.", 0, min=0, max=64)
    max_megapixels: int = setting(
        "Larger photos are refused. Of a JPEG four times as many are read, and a HEIC photo with\n"
        "a thumbnail may have any size.",
        64,
        min=1,
        max=4000,
    )
    timeout_seconds: float = setting("A photo that takes longer is refused.", 60.0, min=1, max=3600)
    memory_mb: int = setting("Memory of one process.", 512, min=256, max=65536)


@dataclass(frozen=True, slots=True)
class LabelsConfig:
    """How predictions become tags."""

    top_k: int = setting("Raw classes shown by `tagger show`.", 5, min=1, max=50)
    threshold: float | None = setting(
        "One plain threshold (0 to 1) for every label, instead of the calibrated ones.",
        None,
        min=0,
        max=1,
    )
    precision: float = setting(
        "How many of a hundred tags shall be right, as 0.95; higher means fewer tags.",
        0.95,
        min=0.5,
        max=0.999,
    )
    max_subjects: int = setting("Subjects tagged in one photo at most.", 3, min=1, max=20)
    levels: int = setting(
        "Levels tagged above the most specific label: 3 tags `Labrador retriever`, `dog` and\n"
        "`animal`; 0 only the first.",
        3,
        min=0,
        max=3,
    )
    language: str = setting("Language of the written tags; searches understand all.", "en")
    exclude: tuple[str, ...] = setting("Labels never given, with all below them.", ())
    rename: Mapping[str, str] = setting("Words to write instead: `dog: doggie`.", factory=dict)
    prefix: str = setting("Root of our hierarchical keywords, as `tagger`; empty: none.", "")
    kinds: bool = setting(
        "Tag what the file says it is, too: `screenshot`, `panorama`, `selfie`, `portrait`,\n"
        "`burst`, `motion photo`, `edited`. `tagger query kind:selfie` finds it in any case.",
        False,
    )
    stacks: bool = setting(
        "Copies of one picture, and the files of one shot (HEIC, JPEG and RAW), share their tags;\n"
        "a tag that is taken away from one is taken away from all.",
        False,
    )
    crops: Literal[1, 3] = setting(
        "Parts classified of a photo that is not square: 3 finds more, 1 is faster.", 3
    )


@dataclass(frozen=True, slots=True)
class WriteConfig:
    """Where and how tags are written."""

    target: Target = setting(
        "sidecar-xmp: photo.jpg.xmp beside the photo, which is never touched.\n"
        "sidecar-json: photo.jpg.tags.json. embed: XMP inside the photo. none: index only.",
        "sidecar-xmp",
    )
    preserve_mtime: bool = setting("Keep the date of a photo we write into.", True)
    exif: Literal["never", "if-absent", "always"] = setting(
        "Keywords that Windows shows (EXIF's XPKeywords) in an embedded photo. if-absent: where\n"
        "it has no EXIF yet. always: added to what it has, too, of which no byte moves.",
        "never",
    )
    exiftool: bool = setting("Embed into HEIC, AVIF and TIFF with exiftool, if installed.", False)
    provenance: bool = setting("Record model and confidence in the XMP as well.", True)
    sidecar_name: Literal["auto", "long", "short"] = setting(
        "long: photo.jpg.xmp, as darktable, digiKam and Immich read it. short: photo.xmp, as\n"
        "gThumb and Lightroom do. auto: what is there already, else the long one.",
        "auto",
    )


@dataclass(frozen=True, slots=True)
class PriorityConfig:
    """How much the daemon yields to the rest of the machine."""

    nice: int = setting(
        "Priority of its processes, from 0 (as any other) to 19 (last). Read at the start only.",
        10,
        min=0,
        max=19,
    )
    io: Literal["idle", "low", "normal"] = setting(
        "idle: the disk when nobody else wants it. low: after others. normal: as any other.",
        "idle",
    )


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Where the daemon serves its metrics. Raise ConfigError for an address that is not one."""

    listen: str | None = setting(
        'Address and port, as "127.0.0.1:9108", for Prometheus: /metrics and /healthz. Unset: off.',
        None,
    )
    public: bool = setting("Allow an address that other machines can reach.", False)

    def __post_init__(self) -> None:
        address = self.address
        if address is not None and not self.public and is_elsewhere(address.host):
            raise ConfigError(
                f"metrics.listen: other machines can reach {self.listen}, and the metrics show the"
                " paths of your folders without a password",
                "listen on 127.0.0.1, or allow it with `public: true` under `metrics`",
            )

    @property
    def address(self) -> Address | None:
        """Where to listen, if anywhere."""
        if self.listen is None:
            return None
        return parse_address("metrics.listen", self.listen, names=False)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The web page. Raise ConfigError for what is malformed, or open to others without password."""

    enabled: bool = setting(
        "Show the page while the daemon runs. `tagger web` shows it without one.", False
    )
    listen: str = setting(
        "Address and port of the page. Others than this machine's own, as 0.0.0.0:5000, need a\n"
        "password: whoever can reach the page sees the photos.",
        "127.0.0.1:5000",
    )
    password: str | None = setting(
        "What `tagger web password` makes of the password that the page shall ask for. Unset: it\n"
        "asks for none.",
        None,
    )
    session_hours: float = setting(
        "So long after it was given, the password is asked for again.", 168.0, min=0.1, max=8760
    )
    hosts: tuple[str, ...] = setting(
        "Further names of this machine by which a browser may call the page.", ()
    )
    trusted_proxies: tuple[str, ...] = setting(
        "Addresses, or networks as 10.0.0.0/8, of reverse proxies: what they say in\n"
        "X-Forwarded-For, -Proto and -Host is believed. They must set all three.",
        (),
    )
    top_k: int = setting("Classes shown of a picture, and given by /predict.", 3, min=1, max=50)
    max_upload_mb: int = setting("Larger pictures are refused.", 32, min=1, max=1024)
    inbox: str = setting(
        "The sub-folder of a watched folder in which the page keeps pictures; made when needed.\n"
        "Empty: the folder itself.",
        "",
    )
    thumbnails_mb: int = setting(
        "Room for thumbnails already made, in the state directory.", 500, min=1, max=100_000
    )

    def __post_init__(self) -> None:
        host, _ = self.address
        if self.password is not None and not PASSWORD_HASH.fullmatch(self.password):
            raise ConfigError(
                "web.password: it is not what `tagger web password` makes",
                "run that, and copy the line that it prints",
            )
        if self.password is None and is_elsewhere(host):
            raise ConfigError(
                f"web.listen: {self.listen} can be reached from other machines, and the page has"
                " no password",
                "set one with `tagger web password`, or listen on 127.0.0.1 and reach it from"
                " elsewhere through `ssh -L 5000:127.0.0.1:5000`",
            )
        if self.trusted_proxies:
            check_networks("web.trusted_proxies", self.trusted_proxies)
        if self.inbox and not _is_below(self.inbox):
            raise ConfigError(
                f"web.inbox: {self.inbox!r} is no sub-folder",
                "write a name, as `Inbox` or `new/web`",
            )

    @property
    def address(self) -> Address:
        """Where to listen."""
        return parse_address("web.listen", self.listen)


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = setting("The least that is said.", "info")
    format: Literal["text", "json"] = setting("text, or one JSON object a line.", "text")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the user can set."""

    state_dir: str = setting(
        "Where the index, the weights and the lock live; on a local disk.",
        factory=lambda: default_state_dir(os.environ),
        path=True,
        shown="~/.local/state/tagger",
    )
    watch: tuple[WatchRoot, ...] = setting("The folders to watch.", ())
    settle_seconds: float = setting(
        "A file is finished when it has not changed for so long.", 2.0, min=0, max=3600
    )
    rescan_seconds: float = setting("How often all folders are walked.", 300.0, min=1, max=86400)
    schedule: str | None = setting(
        'When photos are handled, as "01:00-06:00" (local time). Unset: at any time.',
        None,
        window=True,
    )
    model: ModelConfig = setting("Which networks look at photos.", factory=ModelConfig)
    decode: DecodeConfig = setting(
        "Limits on the processes that open photos.", factory=DecodeConfig
    )
    labels: LabelsConfig = setting("How predictions become tags.", factory=LabelsConfig)
    write: WriteConfig = setting("Where and how tags are written.", factory=WriteConfig)
    teach: Mapping[str, str] = setting(
        "Folders of examples, by the label of your own that their photos show; see docs/teach.md:\n"
        "`animal > cat > Mimi: ~/examples/mimi`.",
        factory=dict,
        path=True,
        shown={},
    )
    rules: tuple[Rule, ...] = setting(
        "What is done with each new photo that a query finds; see docs/rules.md.\n"
        "rules:\n"
        "  - query: screenshot or kind:screenshot\n"
        "    move_to: /photos/screenshots",
        (),
    )
    cluster: ClusterConfig = setting(
        "Workers on other machines that look at photos, too.", factory=ClusterConfig
    )
    priority: PriorityConfig = setting(
        "How much the daemon yields to the rest of the machine.", factory=PriorityConfig
    )
    metrics: MetricsConfig = setting(
        "Where the running daemon serves its metrics.", factory=MetricsConfig
    )
    web: WebConfig = setting(
        "The web page: drop a picture, see what is in it, search.", factory=WebConfig
    )
    log: LogConfig = setting("The log, on standard error.", factory=LogConfig)

    def __post_init__(self) -> None:
        for text in self.teach:
            parts = [" ".join(part.split()) for part in text.split(">")]
            if not all(parts) or len(parts) > 10:
                raise ConfigError(
                    f"teach: {text!r} is no label", "write a word, or `animal > cat > Mimi`"
                )

    def root_of(self, path: str) -> WatchRoot | None:
        """Return the innermost watched folder that holds ``path``, if any does."""
        inside = [one for one in self.watch if f"{path}/".startswith(one.path.rstrip("/") + "/")]
        return max(inside, key=lambda root: len(root.path), default=None)


def is_model_path(name: str) -> bool:
    """Whether what the config says of a model is a file's path, not the name of a known one."""
    return "/" in name or name.endswith((".yaml", ".yml", ".onnx"))


def default_state_dir(environ: Mapping[str, str]) -> str:
    """Return where the index, models and lock live when the config does not say."""
    home = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.abspath(os.path.join(home, "tagger"))


def _is_below(path: str) -> bool:
    """Whether ``path`` leads into a sub-folder, and from none that begins with a dot."""
    parts = path.split("/")
    return "\0" not in path and not any(part == "" or part.startswith(".") for part in parts)
