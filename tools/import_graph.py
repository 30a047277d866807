"""Prints the import graph of ``tagger``: rooms, arrows between them, floors, and circles.

A room is a module or a package directly inside ``tagger/``. Imports inside functions and under
``TYPE_CHECKING`` count. A circle is a set of modules that import one another in a ring,
wherever they lie. With ``--arrows``, each arrow is printed with its number of imports.

    python tools/import_graph.py [--arrows]

The exit status is 1 when there is a circle, among rooms or among modules.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Set

import grimp

PACKAGE = "tagger"


def circles(graph: Mapping[str, Set[str]]) -> list[list[str]]:
    """Return the strongly connected parts of ``graph`` with more than one node, sorted.

    The algorithm is Kosaraju's: nodes in the order in which a depth-first walk leaves them,
    then a walk against the arrows.
    """
    order: list[str] = []
    seen: set[str] = set()
    for start in sorted(graph):
        stack = [(start, iter(sorted(graph[start])))] if start not in seen else []
        seen.add(start)
        while stack:
            node, targets = stack[-1]
            for target in targets:
                if target not in seen:
                    seen.add(target)
                    stack.append((target, iter(sorted(graph[target]))))
                    break
            else:
                order.append(node)
                stack.pop()
    backwards: dict[str, set[str]] = {node: set() for node in graph}
    for node, targets in graph.items():
        for target in targets:
            backwards[target].add(node)
    found, placed = [], set[str]()
    for start in reversed(order):
        part, waiting = [], [start]
        while waiting:
            node = waiting.pop()
            if node not in placed:
                placed.add(node)
                part.append(node)
                waiting += backwards[node]
        if len(part) > 1:
            found.append(sorted(part))
    return sorted(found)


def floors(rooms: Mapping[str, Set[str]]) -> int:
    """Return the length of the longest chain of imports; ``rooms`` must have no circle."""
    height: dict[str, int] = {}

    def of(room: str) -> int:
        if room not in height:
            height[room] = 1 + max(map(of, rooms[room]), default=0)
        return height[room]

    return max(map(of, rooms))


def main() -> int:
    """Print the figures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arrows", action="store_true", help="print each arrow")
    options = parser.parse_args()
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    modules = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    arrows: Counter[tuple[str, str]] = Counter()
    for importer, imported in modules.items():
        for target in imported:
            pair = room_of(importer), room_of(target)
            if pair[0] != pair[1]:
                arrows[pair] += 1
    rooms: dict[str, set[str]] = {room_of(name): set() for name in modules}
    for importer, target in arrows:
        rooms[importer].add(target)
    rings = circles(rooms) + circles(modules)
    packages = {room_of(name) for name in modules if name.count(".") > 1}
    loose = rooms.keys() - packages
    print(f"modules  {len(modules)}")
    print(f"rooms    {len(rooms)}, {len(loose)} of them loose files")
    print(f"arrows   {len(arrows)}")
    print(f"floors   {floors(rooms) if not circles(rooms) else 'none, for there are circles'}")
    print(f"circles  {len(rings)}")
    for ring in rings:
        print(f"  {' <-> '.join(ring)}")
    if options.arrows:
        for (importer, target), count in sorted(arrows.items()):
            print(f"  {importer} -> {target}  {count}")
    return 1 if rings else 0


def room_of(module: str) -> str:
    """Return the module or package directly inside ``tagger/`` that holds ``module``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


if __name__ == "__main__":
    sys.exit(main())
