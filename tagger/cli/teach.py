"""``tagger teach``."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from tagger.cli.common import (
    ask_known,
    ask_path,
    json_option,
    leave_folder,
    only_one,
    print_json,
    read_config,
)
from tagger.cli.speech import agreed, say
from tagger.cli.terminal import is_terminal, shown
from tagger.config.schema import Config
from tagger.errors import StateError
from tagger.index.store import Store
from tagger.library.teach import KnownLabelError, Teacher
from tagger.system.control_socket import send_command
from tagger.system.state_dir import daemon_runs
from tagger.text.error_texts import in_language
from tagger.text.messages import gettext, ngettext, noop
from tagger.text.printable import printable

if TYPE_CHECKING:
    from tagger.library.questions import Question, Questions
    from tagger.pipeline.examples import Look
    from tagger.records import TaughtLabel

_MOST_FILE_BYTES = 1 << 30


@click.command("teach")
@click.argument("label", required=False)
@click.argument("photos", nargs=-1, metavar="[PHOTO...]")
@click.option("--not", "refused", is_flag=True, help="The photos do not show LABEL.")
@click.option("--under", metavar="PARENT", help="The label above, as cat for Mimi.")
@click.option("--extend", is_flag=True, help="LABEL is a label of tagger's: teach it more photos.")
@click.option("--synonym", "synonyms", multiple=True, help="Another word to find LABEL by.")
@click.option("--keyword", is_flag=True, help="The photos with your own keyword LABEL show it.")
@click.option("--ask", "ask_me", is_flag=True, help="Ask which photos show LABEL.")
@click.option("--list", "listed", is_flag=True, help="List what was taught, and what is missing.")
@click.option("--suggest", is_flag=True, help="List your keywords that could be taught.")
@click.option("--forget", is_flag=True, help="Forget LABEL, or what was said of the photos.")
@click.option("--rename", metavar="NEW", help="Give LABEL another name, or place: 'cat > Minka'.")
@click.option("--export", "export_to", metavar="FILE", help="Write all that was taught to FILE.")
@click.option("--import", "import_from", metavar="FILE", help="Add what --export wrote.")
@json_option
def teach_command(label: str | None, photos: tuple[str, ...], **given: Any) -> None:
    """Teach tagger a LABEL of your own by photos that show it.

    LABEL is a word, or a place in the tree: 'animal > cat > Mimi'. Three examples are a good
    beginning; ten answers to its questions (--ask) do more than ten examples. Photos that show it
    are found and tagged by the running daemon; nothing leaves this machine.

    \b
    tagger teach Mimi --under cat mimi1.jpg mimi2.jpg mimi3.jpg
    tagger teach Mimi --not othercat.jpg
    tagger teach Mimi --ask
    """
    config, _ = read_config()
    _check_one_action(given, label, photos)
    with Store(config.state_dir) as store:
        teacher = Teacher(config, store)
        if given["listed"]:
            _list(teacher, given["as_json"])
        elif given["suggest"]:
            _suggest(teacher, given["as_json"])
        elif given["export_to"]:
            _export(store, given["export_to"])
        elif given["import_from"]:
            _import(store, given["import_from"])
            _told(config)
        else:
            assert label is not None
            _change(config, store, teacher, label, photos, given)
            _told(config)


def _check_one_action(given: dict[str, Any], label: str | None, photos: tuple[str, ...]) -> None:
    alone = {"--list": given["listed"], "--suggest": given["suggest"]}
    alone |= {"--export": given["export_to"], "--import": given["import_from"]}
    others = {"--ask": given["ask_me"], "--forget": given["forget"], "--rename": given["rename"]}
    others |= {"--keyword": given["keyword"], "--not": given["refused"]}
    action = only_one(alone | others)
    if action in alone:
        if label is not None:
            raise click.UsageError(gettext("%(option)s takes no label", option=action))
        return
    if label is None:
        raise click.UsageError(gettext("name a label and photos that show it, or say --list"))
    if action in ("--ask", "--rename", "--keyword") and photos:
        raise click.UsageError(gettext("%(option)s takes no photos", option=action))
    if action in (None, "--not") and not photos and not given["synonyms"]:
        raise click.UsageError(gettext("name photos, or say --ask"))


def _change(
    config: Config,
    store: Store,
    teacher: Teacher,
    text: str,
    photos: tuple[str, ...],
    given: dict[str, Any],
) -> None:
    paths = [ask_known(config, photo) for photo in photos]
    if given["ask_me"]:
        _ask(config, store, teacher.find(text))
        return
    if given["forget"]:
        label = teacher.find(text)
        count = teacher.forget(label, paths)
        if paths:
            done = gettext("what was said of them is forgotten (examples: %(n)s).", n=count)
        else:
            done = gettext("its examples and tags are forgotten (examples: %(n)s).", n=count)
        click.echo(f"{shown(label.label)}: {done}")
        return
    if given["rename"]:
        new = teacher.rename(teacher.find(text), given["rename"])
        say("It is %(label)s now.", label=shown(" > ".join(new.path)))
        return
    label = _placed(teacher, text, given)
    label = teacher.add_synonyms(label, given["synonyms"])
    if given["keyword"]:
        count = teacher.teach_keyword(label, label.label)
        done = ngettext(
            "%(n)s photo with your keyword is an example now.",
            "%(n)s photos with your keyword are examples now.",
            count,
        )
        click.echo(f"{shown(label.label)}: {done}")
    else:
        with _looking(config) as look:
            found = teacher.teach(label, paths, positive=not given["refused"], look=look)
        said = noop("%(photo)s shows %(label)s")
        if given["refused"]:
            said = noop("%(photo)s does not show %(label)s")
        for one in found:
            say(said, photo=printable(one.path), label=shown(label.label))
    [state] = [one for one in teacher.states() if one.label.label == label.label]
    if state.positive < 2:
        say("One more example, and it can be learned.")


def _placed(teacher: Teacher, text: str, given: dict[str, Any]) -> TaughtLabel:
    """Return the label to teach; a known one only if that is what the user wants."""
    try:
        return teacher.place(text, under=given["under"], extend=given["extend"])
    except KnownLabelError as error:
        place = shown(" > ".join(error.path))
        question = gettext("%(label)s is a label already. Teach it further photos?", label=place)
        asks = sys.stdin.isatty() and is_terminal(sys.stdout)
        if not (asks and agreed(question)):
            raise
        return teacher.place(text, extend=True)


@contextlib.contextmanager
def _looking(config: Config) -> Iterator[Look]:
    """Give what looks at photos that the index does not know; the network is loaded if needed."""
    with contextlib.ExitStack() as opened:

        @functools.cache
        def loaded() -> Any:
            from tagger.pipeline.decoding import decode_pool
            from tagger.pipeline.networks import open_networks

            leave_folder()
            engine = open_networks(config).subjects
            return engine, opened.enter_context(decode_pool(config, engine.spec, workers=1))

        def look(path: str) -> Any:
            from tagger.pipeline.inference import predict

            engine, pool = loaded()
            decoded = pool.submit(os.path.realpath(path)).result()
            [stored] = predict(engine, [decoded])
            return stored.model_id, stored.features, decoded.facts

        yield look


def _told(config: Config) -> None:
    """Say when photos are tagged for it, and have a running daemon begin."""
    if daemon_runs(config.state_dir):
        with contextlib.suppress(StateError):
            send_command(config.state_dir, "taught")
        say("The daemon learns it, and tags the photos that show it.")
    else:
        say("It is learned, and photos are tagged, with the next `tagger run`.")


def _list(teacher: Teacher, as_json: bool) -> None:
    states = teacher.states()
    if as_json:
        print_json([one.as_json() for one in states])
        return
    if not states:
        say("Nothing was taught yet. Begin with: tagger teach LABEL PHOTO...")
    for one in states:
        click.echo(shown(" > ".join(one.label.path)))
        counts = gettext(
            "%(yes)s photos show it, %(no)s do not, %(answers)s by answers; %(n)s photos are"
            " tagged",
            yes=one.positive,
            no=one.negative,
            answers=one.answers,
            n=one.photos,
        )
        click.echo(f"  {counts}")
        if one.missing:
            why = shown(in_language(one.missing))
            click.echo("  " + gettext("nothing is tagged by itself yet: %(why)s", why=why))


def _suggest(teacher: Teacher, as_json: bool) -> None:
    found = teacher.suggestions()
    if as_json:
        print_json([one.as_json() for one in found])
        return
    if not found:
        say("None of your keywords is on three photos that were looked at.")
    for one in found:
        say(
            "%(word)s: on %(n)s photos; by the others tagger would find about %(percent)s %%"
            " of them",
            word=shown(one.word),
            n=one.photos,
            percent=f"{100 * one.found:.0f}",
        )
    if found:
        say("Nothing is taught without you: tagger teach KEYWORD --keyword")


def _export(store: Store, file: str) -> None:
    from tagger.library.taught_file import WHAT, exported
    from tagger.system.files import replace_atomically

    target = ask_path(os.path.expanduser(file))
    if os.path.lexists(target):
        raise StateError(f"there is a file {target} already", "name another")
    text = exported(store)
    try:
        replace_atomically(target, text.encode(), mode=0o600)
    except OSError as error:
        raise StateError(
            f"cannot write {target}: {error.strerror}", "check the rights and the free space"
        ) from error
    say("%(file)s holds %(what)s.", file=printable(target), what=gettext(WHAT))


def _import(store: Store, file: str) -> None:
    from tagger.library.taught_file import take_in

    source = ask_path(os.path.expanduser(file))
    try:
        with open(source, "rb") as opened:
            text = opened.read(_MOST_FILE_BYTES)
    except OSError as error:
        raise StateError(
            f"cannot read {source}: {error.strerror}", "check the path and its rights"
        ) from error
    labels, examples = take_in(store, text)
    say("%(labels)s labels and %(n)s examples are new.", labels=labels, n=examples)


def _ask(config: Config, store: Store, label: TaughtLabel) -> None:
    """Ask until the user has had enough."""
    from tagger.cli.terminal_pictures import pictures
    from tagger.library.questions import Questions

    questions = Questions(config, store, label)
    asked = gettext("Is this %(label)s?", label=shown(label.label))
    click.echo(f"{asked} {gettext('y: yes, n: no, s: skip, q: quit')}")
    with pictures(config) as show:
        while (question := questions.next()) is not None:
            show(question.path)
            if not _answered(questions, question):
                break
        else:
            say("There is nothing more to ask.")
    say("Answers: %(n)s.", n=questions.answered)


def _answered(questions: Questions, question: Question) -> bool:
    """Ask one question; return whether to go on."""
    likely = gettext("%(percent)s %% likely", percent=f"{100 * question.likely:.0f}")
    if question.doubtful:
        likely = gettext("has your keyword, but looks unlike the others")
    click.echo(f"{printable(question.path)} ({likely})")
    meanings = {"y": True, "n": False, "s": None}
    while True:
        try:
            said = click.prompt("y/n/s/q", prompt_suffix=" ", default="", show_default=False)
        except click.Abort:
            return False
        key = said.strip().lower()[:1]
        if key == "q":
            return False
        if key in meanings:
            questions.answer(question.photo_id, meanings[key])
            return True
