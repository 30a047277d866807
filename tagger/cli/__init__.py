"""The command line. This module alone turns errors into exit codes and messages.

Each command lives in a module that is imported only when the command is called, so that
``tagger query`` starts quickly and never imports torch.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys

import click

from tagger import __version__
from tagger.cli.invocation import KEY, Invocation
from tagger.cli.speech import Context, help_text, in_words, speak_help, speaking_here
from tagger.cli.terminal import in_utf8, let_go, set_up_output
from tagger.errors import ConfigError, TaggerError
from tagger.text.messages import ENGLISH, gettext, language
from tagger.text.printable import printable

COMMANDS = {
    "init": ("init.command", "Write a config file for your folders, and tag the first photos."),
    "run": ("run", "Watch the folders and tag every new photo."),
    "status": ("status", "Show what the daemon does, and how many photos there are."),
    "doctor": ("doctor", "Check the installation, and say what to do."),
    "pause": ("control", "Pause the daemon: photos wait."),
    "resume": ("control", "Let a paused daemon go on."),
    "scan": ("control", "Have the daemon scan a folder now."),
    "take-over": ("take_over", "Write the tags in folders where another tagger does now."),
    "query": ("query", "Find photos by what is in them."),
    "duplicates": ("duplicates", "Find photos that show the same picture."),
    "similar": ("duplicates", "Find photos that look like one."),
    "labels": ("labels", "Show the tree of labels, with the number of photos."),
    "show": ("show", "Show all that is known of one photo."),
    "classify": ("classify", "Say what is in photos, without remembering it."),
    "failures": ("failures", "List the photos that could not be tagged."),
    "retry": ("failures", "Try photos again."),
    "teach": ("teach", "Teach tagger your own words, from a few photos."),
    "untag": ("untag", "Take tagger's tags away from photos."),
    "restore": ("untag", "Let tags come back that were taken away."),
    "prune": ("untag", "Confirm that missing photos were deleted on purpose."),
    "rules": ("rules", "Try the rules of the config, see what they did, and undo it."),
    "web": ("web", "Show the web page: drop pictures, look through the library."),
    "backup": ("backup", "Copy the index to a file."),
    "model": ("model", "List, fetch, find, convert, import and optimize networks."),
    "config": ("config", "Check the config file."),
    "cluster": ("cluster", "Try out a cluster on this machine."),
    "service": ("service", "Run tagger as a systemd service."),
    "completion": ("completion", "Print the script that completes commands in a shell."),
    "help": ("help", "Show the documentation of a topic, or a command's help."),
    "demo": ("demo.command", "Watch tagger at work on a temporary folder."),
}


class _Commands(click.Group):
    """Commands whose modules are imported when they are called."""

    context_class = Context

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"tagger.cli.{COMMANDS[cmd_name][0]}")
        if not gc.isenabled() and cmd_name != "run":  # whose daemon does so when it is ready
            gc.freeze()  # modules last until the end
            gc.enable()
        command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        assert isinstance(command, click.Command)
        return speak_help(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(gettext("Commands")):
            formatter.write_dl([(name, help_text(text)) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tagger")
@click.option("--config", "config_path", metavar="FILE", help="The config file to use.")
@click.option("--debug", is_flag=True, help="With an error, show where in the code it arose.")
@click.pass_context
def cli(ctx: click.Context, config_path: str | None, debug: bool) -> None:
    """Recognise what is in every new photo, offline, and find it again."""
    if isinstance(ctx.obj, Invocation):
        ctx.obj.debug, ctx.obj.command = debug, ctx.invoked_subcommand
        ctx.meta[KEY] = ctx.obj
    ctx.obj = config_path


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code.

    That is 0, or 2 after a mistake said in one line, or 70 after an error that nobody foresaw, or
    78 when the config lets ``tagger run`` do nothing. When a dead disk keeps threads of the daemon,
    the process ends here.
    """
    set_up_output()
    if arguments is None:
        in_utf8()
        # The collector would go through all that is imported, several times now and once at the
        # end: a sixth of the time that `tagger query` takes.
        gc.disable()
    asked = Invocation()
    with speaking_here(os.environ):
        code = _run(arguments, asked)
    if asked.ends_at_once:
        import logging

        # To take the interpreter down around a thread that is in a library makes that abort.
        logging.shutdown()
        let_go()
        os._exit(code)
    let_go()
    if arguments is None:
        gc.freeze()
    return code


def _run(arguments: list[str] | None, asked: Invocation) -> int:
    # Idle threads of torch must not spin: for months in the daemon, in vain elsewhere.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        result = cli.main(arguments, prog_name="tagger", standalone_mode=False, obj=asked)
        sys.stdout.flush()  # what cannot be written is to be said, too
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        message = " ".join(error.format_message().split())
        if language() == ENGLISH:
            message = message[:1].lower() + message[1:]
        said = f"tagger: {message.rstrip('.。')}"
        if context := getattr(error, "ctx", None):
            said += f"; {gettext('see `%(command)s --help`', command=context.command_path)}"
        _say(said)
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        return 0  # `tagger query dog | head`: the reader has enough
    except TaggerError as error:
        _trace(asked)
        _say("\n".join(map(printable, f"tagger: {in_words(error)}".split("\n"))))
        configured = asked.command != "run" or not isinstance(error, ConfigError)
        return 2 if configured else _NOT_CONFIGURED
    except Exception as error:  # noqa: BLE001 - whatever it is, it is said in one line
        _trace(asked)
        cause = printable(" ".join(_cause(error).split()))
        _say(f"tagger: {cause}; {_remedy(error, asked)}")
        return _UNEXPECTED
    return result if isinstance(result, int) else 0


_UNEXPECTED = 70
"""The exit code of an error in the program, see sysexits(3)."""
_NOT_CONFIGURED = 78
"""Likewise, of a config to be corrected: a service is not started again before it is."""


def _say(text: str) -> None:
    """Print to standard error, if somebody still reads it."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr)


def _trace(asked: Invocation) -> None:
    """Show where the present error arose, if that is asked for."""
    if asked.debug:
        import traceback

        _say(traceback.format_exc().rstrip())


def _cause(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror.lower()
    return gettext("unexpected %(kind)s: %(error)s", kind=type(error).__name__, error=error)


def _remedy(error: Exception, asked: Invocation) -> str:
    if isinstance(error, OSError):
        return gettext("check the disk and the rights")
    if asked.debug:
        return gettext("report it with the lines above")
    return gettext("run it again as `tagger --debug ...` and report what it says")
