"""Prints what is installed here as CycloneDX 1.5: Python's packages, and Debian's if it has them.

For the image of the Containerfile, by the interpreter that has tagger. The format:
https://cyclonedx.org/docs/1.5/json/ ; names of packages: https://github.com/package-url/purl-spec
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from typing import Any
from urllib.parse import quote


def python_packages() -> Iterator[dict[str, Any]]:
    """Yield the packages that this interpreter finds."""
    for one in distributions():
        name = re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()
        yield {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{one.version}",
            "name": one.metadata["Name"],
            "version": one.version,
            "purl": f"pkg:pypi/{name}@{one.version}",
            **licences(one),
        }


def licences(one: Distribution) -> dict[str, Any]:
    """Return the licence that a package names, as an expression of SPDX or a text."""
    if expression := one.metadata.get("License-Expression"):
        return {"licenses": [{"expression": expression}]}
    kinds = one.metadata.get_all("Classifier") or []
    names = [kind.rpartition(" :: ")[2] for kind in kinds if kind.startswith("License :: ")]
    return {"licenses": [{"license": {"name": name}} for name in names]} if names else {}


def debian_packages() -> Iterator[dict[str, Any]]:
    """Yield the packages that dpkg knows; none where there is no dpkg."""
    words = ["dpkg-query", "-W", "-f", "${Package}\t${Version}\t${Architecture}\n"]
    try:
        listed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return
    for line in listed.splitlines():
        name, version, architecture = line.split("\t")
        purl = f"pkg:deb/debian/{name}@{quote(version, safe='')}?arch={architecture}"
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
        }


def document() -> dict[str, Any]:
    """Return all of it; the same packages have the same serial number."""
    found = {one["bom-ref"]: one for one in (*python_packages(), *debian_packages())}
    components = [found[reference] for reference in sorted(found)]
    own = next((one for one in components if one["name"] == "tagger"), {"name": "tagger"})
    names = "\n".join(sorted(found))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, names)}",
        "version": 1,
        "metadata": {"component": own | {"type": "application", "bom-ref": "tagger"}},
        "components": [one for one in components if one["name"] != "tagger"],
    }


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1)
    sys.stdout.write("\n")
