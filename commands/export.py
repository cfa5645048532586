"""``main.py export``: writes a workflow as a Python script, or as JSON in either dialect."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from commands.options import folders_of, registry_of
from commands.run import DONE, FAILED, INVALID, read_workflow
from graph.errors import SumiError

if TYPE_CHECKING:
    from graph import Registry, Workflow

_HEAD: Final = '''\
"""Makes the same as {name}. Written by `main.py export --python`; run it with the Python that runs Sumi:

    python {script}                       run the workflow (with the options of `main.py run`)
    python {script} --save-api FILE       only write it as JSON in the API dialect
    python {script} --save-editor FILE    only write it as JSON for the editor
"""
'''


def export(options: argparse.Namespace) -> int:
    """Write ``options.file`` in the form ``options.form`` to ``options.output``, or to standard output.

    Everything that the form cannot hold is listed on stderr, and in the script's header.
    """
    try:
        folders = folders_of(options)
        registry = registry_of(options, folders)
        workflow = read_workflow(options, registry, folders)
    except SumiError as error:
        print(f"error: {error}", file=sys.stderr)
        return INVALID
    if options.form == "python":
        script_name = options.output.name if options.output is not None else "FILE.py"
        text, lost = python_script(workflow, registry, Path(options.file).name, script_name)
    else:
        document, lost = _document(workflow, registry, options.form)
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if options.output is None:
        sys.stdout.write(text)
    else:
        try:
            options.output.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            print(f"error: {options.output} cannot be written: {error.strerror or error}", file=sys.stderr)
            return FAILED
        print(options.output)
    for sentence in lost:
        print(f"{options.file}: {sentence}", file=sys.stderr)
    return DONE


def python_script(workflow: Workflow, registry: Registry, name: str, script_name: str) -> tuple[str, list[str]]:
    """Return a script that builds and runs ``workflow``, and a sentence for each thing of its file that is dropped.

    ``name`` is the file's name, ``script_name`` the script's; both are only shown.
    """
    from graph.writing.dropped import dropped
    from graph.writing.places import read_surroundings
    from graph.writing.script import BUILDER, statements

    around = read_surroundings(workflow.editor) if workflow.editor is not None else None
    lost = dropped(workflow.editor) if workflow.editor is not None else []
    written = statements(workflow, registry, around, ("Builder", "run_script", "build"))
    imports = [f"from graph.workflow import {', '.join(written.imports)}"] if written.imports else []
    lines = [
        _HEAD.format(name=_in_docstring(name), script=_in_docstring(script_name)),
        "from commands.script import run_script",
        *imports,
        "from nodes.builder import Builder",
        "",
    ]
    if lost:
        lines += ["# Not kept from the file:", *(f"# - {' '.join(sentence.split())}" for sentence in lost), ""]
    lines += ["", f"def build({BUILDER}: Builder) -> None:", '    """Add the nodes."""']
    lines += [f"    {line}" if line else "" for line in written.lines]
    lines += ["", "", 'if __name__ == "__main__":', "    run_script(build)", ""]
    return "\n".join(lines), lost


def _document(workflow: Workflow, registry: Registry, form: str) -> tuple[Any, list[str]]:
    """Return the workflow in a dialect; a file that is already in the editor's dialect is returned unchanged."""
    from graph.writing.dropped import dropped
    from graph.writing.editor_document import editor_document

    if form == "editor":
        if workflow.editor is not None:
            return dict(workflow.editor), []
        written = editor_document(workflow, registry)
        return written.document, list(written.lost)
    return workflow.to_api(), dropped(workflow.editor) if workflow.editor is not None else []


def _in_docstring(name: str) -> str:
    return " ".join(name.replace("\\", "/").replace('"', "'").split()) or "a workflow"
