"""Text that any program can take: names of files need not be UTF-8, and photos say anything."""

from __future__ import annotations


def well_formed(text: str) -> str:
    r"""Return ``text`` with what is no Unicode made visible: ``caf\xe9.jpg``.

    Bytes of a name that are not UTF-8 come from :func:`os.fsdecode` as surrogates; other
    surrogates, which JSON can hold, have no bytes and become "?".
    """
    if text.isascii():
        return text
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = text.encode("utf-8", "replace")
    return data.decode("utf-8", "backslashreplace")
