"""``main.py app NAME``: calls an app, with an option for each of its fields."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from commands.options import cache_options, device_options, folder_options, folders_of, run_options
from commands.run import DONE, INVALID, run_read
from graph.errors import FormatError, InputFileError, SumiError

if TYPE_CHECKING:
    from graph import Workflow
    from graph.app import Field
    from graph.folders import Folders
    from graph.schema import Registry

_USAGE: Final = "main.py app NAME [options of its fields]"
_MOST_CHOICES: Final = 8
_LONGEST_VALUE: Final = 60
_MOST_PIXELS: Final = 178_000_000
"""As many as the server accepts."""


class AppNameError(SumiError):
    """There is no app of this name."""


def app(options: argparse.Namespace) -> int:
    """Run the app that ``options.arguments`` name and return the exit status (see ``main.main``)."""
    known, rest = _shared_parser(_USAGE).parse_known_args(options.arguments)
    if not rest or rest[0].startswith("-"):
        return _list_apps(known, asked=bool({"-h", "--help"} & set(rest)))
    return run_read(known, partial(_read, rest[0], options.arguments))


def _read(
    name: str, arguments: list[str], _options: argparse.Namespace, registry: Registry, folders: Folders
) -> Workflow:
    """Return the workflow of a call. Raises AppNameError, FormatError, FieldError."""
    from graph.app import called
    from graph.app.values import by_field, with_random_seeds
    from server.files.saved_apps import EXAMPLES, find_app
    from server.interfaces.apps import read_saved

    saved = find_app(name, folders.user / "default", EXAMPLES)
    if saved is None:
        raise AppNameError(f"there is no app {name!r}; python main.py app lists them")
    found = read_saved(saved, registry)
    parser, places = _parser(name, found.fields)
    parsed, unknown = parser.parse_known_args(arguments)
    _check_known(unknown, found.fields, parser)
    given = vars(parsed)
    values = {field: given[place] for field, place in places.items() if given[place] is not None}
    values = with_random_seeds(by_field(values, found.fields), found.fields)
    for field, value in values.items():
        if found.fields[field].kind == "picture":
            values[field] = _picture(field, value, folders)
    return called(found.workflow, found.fields, values, registry, folders)


def _shared_parser(usage: str) -> argparse.ArgumentParser:
    """Return a parser with the options that do not depend on the app."""
    parents = [folder_options(), device_options(), cache_options(), run_options()]
    return argparse.ArgumentParser(prog="main.py app", usage=usage, parents=parents, add_help=False, allow_abbrev=False)


def _parser(name: str, fields: Mapping[str, Field]) -> tuple[argparse.ArgumentParser, dict[str, str]]:
    """Return the parser of an app, and the attribute of each field's value."""
    parser = _shared_parser(f"main.py app {name} [options]")
    taken = {option for action in parser._actions for option in action.option_strings} | {"-h", "--help"}
    parser.add_argument("-h", "--help", action="help", help="show this help")
    parser.add_argument("name", help=argparse.SUPPRESS)
    main, more = parser.add_argument_group("fields"), parser.add_argument_group("more fields")
    places = {}
    for field_name, field in fields.items():
        option = f"--{field_name.replace('_', '-')}"
        if option in taken:
            option = f"--field-{field_name.replace('_', '-')}"
        places[field_name] = f"value of {field_name}"
        group = main if field.main else more
        group.add_argument(option, dest=places[field_name], metavar=_metavar(field), help=_help(field))
    parser._action_groups.sort(key=lambda group: group not in (main, more))  # the fields first
    return parser, places


def _check_known(unknown: list[str], fields: Mapping[str, Field], parser: argparse.ArgumentParser) -> None:
    """Raise FieldError for an option that no field has; it suggests those that are spelled like it."""
    from graph.app.values import by_field

    for argument in unknown:
        if argument.startswith("--"):
            by_field({argument.removeprefix("--").partition("=")[0].replace("-", "_"): None}, fields)
    if unknown:
        parser.error(f"unexpected argument: {unknown[0]}")


def _metavar(field: Field) -> str:
    if field.kind == "picture":
        return "FILE"
    return {"INT": "N", "FLOAT": "X", "STRING": "TEXT", "BOOLEAN": "true|false"}.get(field.declared.type, "NAME")


def _help(field: Field) -> str:
    declared, value = field.declared, str(field.value)
    facts = [] if declared.name == field.title else [f"{field.title}: {declared.name}"]
    if field.kind == "picture":
        facts.append("a picture, or the name of one in the input folder")
    if declared.minimum is not None and declared.maximum is not None and field.kind != "seed":
        facts.append(f"{declared.minimum} to {declared.maximum}")
    if declared.choices is not None and declared.files is None:
        more = ", …" if len(declared.choices) > _MOST_CHOICES else ""
        facts.append(", ".join(map(str, declared.choices[:_MOST_CHOICES])) + more)
    if field.kind == "seed":
        facts.append("-1: a random one")
    shown = value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"
    return f"{'; '.join(facts)} (default: {shown or 'empty'})".replace("%", "%%").replace("\n", " ")


def _picture(field: str, value: str, folders: Folders) -> str:
    """Return the name of a picture in the input folder; a file from elsewhere is copied there.

    Raises FieldError for a file that does not exist or is not a picture, and FormatError for one that cannot be read.
    """
    from graph.app import FieldError, FieldProblem
    from server.files.pictures import picture_kind
    from server.interfaces.pictures import stored_picture

    path = Path(value)
    if not path.is_absolute():
        try:
            folders.annotated(value)
            return value
        except (InputFileError, OSError):
            pass  # not in the input folder: a path on this machine
    expected = "a picture's path, or its name in the input folder"
    if not path.is_file():
        raise FieldError([FieldProblem(field, f"there is no file {value!r}", expected)])
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{value}: cannot be read: {error.strerror or error}") from error
    kind = picture_kind(io.BytesIO(data), _MOST_PIXELS)
    if kind is None:
        raise FieldError([FieldProblem(field, f"{value!r} is not a picture", expected)])
    return stored_picture(folders, data, kind)


def _list_apps(options: argparse.Namespace, asked: bool) -> int:
    """Print the usage and all apps. Returns 0 if a person asked for that, else 2."""
    from server.files.saved_apps import EXAMPLES, saved_apps

    try:
        found = saved_apps(folders_of(options).user / "default", EXAMPLES)
    except SumiError as error:
        print(f"error: {error}", file=sys.stderr)
        return INVALID
    out = sys.stdout if asked else sys.stderr
    print(f"usage: {_USAGE}\n\nmain.py app NAME --help shows the fields of an app. The apps are:\n", file=out)
    for saved in found:
        print(f"  {saved.name}{'  (example)' if saved.example else ''}", file=out)
    return DONE if asked else INVALID
