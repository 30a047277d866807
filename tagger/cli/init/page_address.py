"""Says where the page is: as a link, and as a QR code for a phone."""

from __future__ import annotations

import io
import socket
import sys

import click

from tagger.cli.speech import say
from tagger.cli.terminal import raw
from tagger.config.loader import load_config


def tell_page(place: str, password: str, *, runs: bool) -> None:
    """Print the address of the page of the config at ``place``; ``runs``: it is there now."""
    host, port = load_config(place).web.address
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on
    shown = own_address() if everywhere else host
    url = f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"
    if runs:
        say("The page is at %(url)s", url=url)
    else:
        say("The page is then at %(url)s", url=url)
    if not everywhere:
        say("It is for this machine; `--page network` shows it to phones, too.")
    elif password:
        say("It asks for the password.")
    click.echo(qr_code(url), raw(sys.stdout), nl=False)


def own_address() -> str:
    """Return the address by which this machine is reached in its network; nothing is sent."""
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((far, 9))  # UDP: chooses a way, and sends nothing
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return socket.gethostname()


def qr_code(text: str) -> str:
    """Return a QR code of half blocks (ISO/IEC 18004), for a dark or a light terminal."""
    import segno

    out = io.StringIO()
    segno.make(text, error="m", micro=False).terminal(out, compact=True, border=2)
    return out.getvalue()
