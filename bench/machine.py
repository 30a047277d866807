"""The machine that figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform

SHOWN_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp")
LIBRARIES = ("torch", "onnxruntime", "onnx", "openvino", "numpy", "pillow", "pillow-heif")


def describe() -> dict[str, str]:
    """Return the CPU's model and features, the cores, and the versions of what is compared."""
    model, flags = platform.machine(), set()
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = set(value.split())
    versions = {name: _version(name) for name in LIBRARIES}
    return {
        "cpu": model,
        "flags": " ".join(flag for flag in SHOWN_FLAGS if flag in flags) or "none",
        "cores": str(len(os.sched_getaffinity(0))),
        "load": f"{os.getloadavg()[0]:.1f}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: version for name, version in versions.items() if version},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
