"""Sets one value in the text of a configuration file."""

from __future__ import annotations

import yaml

from tagger.config.loader import _at, parse_config
from tagger.config.yaml_text import is_null
from tagger.errors import ConfigError
from tagger.text.parsing import compose_yaml


def with_value(text: str, path: str, section: str, key: str, value: str) -> str:
    """Return ``text``, the content of the config file ``path``, with one value set in a section.

    ``value`` is YAML on one line. All else stays as it is, comments too. Raise ConfigError when
    that cannot be done, or the new text has mistakes.
    """
    line = f"{key}: {value}"
    try:
        compose_yaml(text, yaml.SafeLoader)  # within limits; what is wrong in it may be mended here
        new = _spliced(text, section, key, line)
        before, after = (yaml.safe_load(each) or {} for each in (text, new))
        rest = {k: v for k, v in (before.get(section) or {}).items() if k != key}
        sound = after == before | {section: rest | yaml.safe_load(line)}
    except (yaml.YAMLError, ValueError, AttributeError):
        parse_config(text, path)  # raises what is wrong
        sound = False
    if not sound:
        raise ConfigError(
            f"{path} is written in a way that is not understood well enough",
            f"write `{line}` below `{section}:` yourself",
        )
    parse_config(new, path)
    return new


def _spliced(text: str, section: str, key: str, line: str) -> str:
    """Return ``text`` with ``line`` in the section, instead of the value that ``key`` has there."""
    end = "\r\n" if "\r\n" in text else "\n"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else ()
    name, found = next(((n, v) for n, v in pairs if n.value == section), (None, None))
    if name is None or found is None:
        return f"{text}{'' if not text or text.endswith(end) else end}{section}:{end}  {line}{end}"
    old = _at(found, key)
    if old is not found:
        start, stop = old.start_mark.index, old.end_mark.index
        space = " " if text[start - 1] == ":" else ""
        return f"{text[:start]}{space}{line.partition(': ')[2]}{text[stop:]}"
    if isinstance(found, yaml.MappingNode) and found.flow_style:
        start = found.start_mark.index + 1
        return f"{text[:start]}{line}{', ' if found.value else ''}{text[start:]}"
    if is_null(found):
        start = text.index(":", name.end_mark.index) + 1
        stop = max(start, found.end_mark.index)
        return f"{text[:start]}{end}  {line}{text[stop:]}"
    # Below the line that names the section, above the comments of what follows.
    start = text.index(end, name.end_mark.index) + len(end)
    return f"{text[:start]}{' ' * found.start_mark.column}{line}{end}{text[start:]}"
