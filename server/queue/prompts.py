"""``POST /prompt``: turns a client's request into a job, or into an answer that lists the problems."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from graph.errors import FormatError, Problem, SumiError
from graph.formats.api import read_api
from graph.formats.editor import is_editor_document, read_editor
from graph.formats.json_text import check_json
from graph.schema import Registry
from graph.validation.nearest import Nearest
from graph.validation.validate import Validation, custom_validated, validate_outputs
from graph.workflow import Workflow
from server.queue.scheduler import Scheduler
from server.store.job_store import JobStore
from server.store.jobs import Job, whole
from server.store.writer import StoreFullError

_LARGE_PROMPT: Final = 200
"""Nodes from which reading a prompt would hold up the event loop."""
_LONGEST_ID: Final = 200
_WORKER_SECONDS: Final = 60.0
"""How long a prompt waits for a worker to say what nodes there are."""
_SECRETS: Final = ("auth_token_comfy_org", "api_key_comfy_org")
"""Tokens that some clients send along for services that are not here: they are not kept."""

Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class PromptLimits:
    """Limits on the nodes in a prompt and on the prompts and bytes in the queue, which is kept in memory."""

    nodes: int = 20_000
    queue: int = 10_000
    queue_bytes: int = 1024**3


class PromptError(SumiError):
    """A request that cannot become a job."""

    def __init__(self, kind: str, message: str, details: str = "", *, status: int = 400, **extra: Any):
        self.status = status
        self.body = {"type": kind, "message": message, "details": details, "extra_info": extra}
        super().__init__(f"{message}: {details}" if details else message)


class Prompts:
    """Turns request bodies into jobs."""

    def __init__(self, store: JobStore, scheduler: Scheduler, limits: PromptLimits | None = None):
        self._store = store
        self._scheduler = scheduler
        self._limits = limits or PromptLimits()

    async def submit(self, body: Any) -> Answer:
        """Return status and answer of ``POST /prompt`` with that JSON body.

        200 once the job is on the disk, or if its prompt_id is known already (then with the first answer);
        400 for what is wrong with it, 413 for too many nodes, 429 for a full queue, 507 for a full disk.
        """
        try:
            job = await self._read(body)
            if isinstance(job, Job):
                job = await self._store.add(job)
                return _accepted(job)
            return job
        except PromptError as error:
            return error.status, {"error": error.body, "node_errors": {}}
        except StoreFullError as error:
            full = PromptError("storage_full", "the prompt could not be stored", str(error))
            return 507, {"error": full.body, "node_errors": {}}

    async def _read(self, body: Any) -> Job | Answer:
        if not isinstance(body, dict):
            raise PromptError("invalid_prompt", "the request must be a JSON object")
        if "prompt" not in body and is_editor_document(body):
            body = {"prompt": body}
        if "prompt" not in body:
            raise PromptError("no_prompt", "no prompt was given", 'expected {"prompt": {node id: …}}')
        prompt_id = _identifier(body, "prompt_id")
        if prompt_id is not None and (known := await self._store.get(prompt_id)) is not None:
            return _accepted(known)
        body = await self._with_prompt_handlers(await self._converted(body))
        client_id = _identifier(body, "client_id")
        extra_data = _object(body, "extra_data")
        number = _number(body)
        targets = _targets(body)
        workflow = await self._workflow(body["prompt"])
        if self._store.queue_remaining() >= self._limits.queue:
            raise PromptError("queue_full", f"{self._limits.queue} prompts are waiting already", status=429)
        if self._store.queue_bytes() >= self._limits.queue_bytes:
            message = f"the prompts that wait take more than {self._limits.queue_bytes} bytes already"
            raise PromptError("queue_full", message, status=429)
        found = await self._check(workflow, targets, body["prompt"])
        node_errors = _node_errors(found, workflow)
        if not found.valid_outputs:
            return 400, {"error": _all_failed(node_errors).body, "node_errors": node_errors}
        extra_data = {name: value for name, value in extra_data.items() if name not in _SECRETS}
        if client_id is not None:
            extra_data["client_id"] = client_id
        extra_data.setdefault("create_time", int(time.time() * 1000))
        if number is None:
            number = self._store.next_number()
            if body.get("front"):
                number = -number
        return Job(
            prompt_id=prompt_id or str(uuid.uuid4()),
            number=number,
            prompt=body["prompt"],
            extra_data=extra_data,
            client_id=client_id,
            outputs_to_execute=list(found.valid_outputs),
            node_errors=node_errors,
        )

    async def _converted(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return ``body`` with its prompt in API format. Pictures then carry the editor's document, as from an editor.

        Raises PromptError for a document that cannot be converted.
        """
        document = body["prompt"]
        if not isinstance(document, dict) or not is_editor_document(document):
            return body
        if isinstance(document["nodes"], list) and len(document["nodes"]) > self._limits.nodes:
            raise self._too_many_nodes(len(document["nodes"]))
        registry = await self._scheduler.catalogue.current_registry(_WORKER_SECONDS)
        try:
            workflow = await asyncio.to_thread(_read_editor, document, registry)
        except FormatError as error:
            raise PromptError("invalid_prompt", "the workflow cannot be converted to a prompt", str(error)) from error
        extra_data = _object(body, "extra_data")
        saved = extra_data.get("extra_pnginfo")
        saved = {"workflow": document, **(saved if isinstance(saved, dict) else {})}
        return {**body, "prompt": workflow.to_api(), "extra_data": {**extra_data, "extra_pnginfo": saved}}

    def _too_many_nodes(self, count: int) -> PromptError:
        message = f"a prompt may have {self._limits.nodes} nodes; this one has {count}"
        return PromptError("invalid_prompt", message, status=413)

    async def _with_prompt_handlers(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return ``body`` as node packs' prompt handlers change it. Soon after the start it waits for the packs."""
        catalogue = self._scheduler.catalogue
        await catalogue.registry()
        if not catalogue.prompt_handlers:
            return body
        await catalogue.current_registry(_WORKER_SECONDS)
        changed = await self._scheduler.questions.handle_prompt(body)
        if not isinstance(changed, dict) or "prompt" not in changed:
            raise PromptError("invalid_prompt", "a node pack's prompt handler returned an invalid prompt", status=500)
        return changed

    async def _check(self, workflow: Workflow, targets: Sequence[str] | None, prompt: Mapping[str, Any]) -> Validation:
        """Validate ``workflow`` with the nodes that exist now. Raises PromptError.

        Soon after the start, the list of nodes of the last start serves to accept prompts only: before one is
        refused, a worker's list is waited for.
        """
        catalogue = self._scheduler.catalogue
        if not catalogue.is_current:
            registry = await catalogue.registry()
            if not custom_validated(workflow, registry):
                with contextlib.suppress(PromptError):
                    found = await self._validated(workflow, registry, targets, prompt)
                    if not found.problems:
                        return found
            await catalogue.current_registry(_WORKER_SECONDS)
        registry = await catalogue.fresh(node.class_type for node in workflow.nodes.values())
        return await self._validated(workflow, registry, targets, prompt)

    async def _workflow(self, prompt: Any) -> Workflow:
        if not isinstance(prompt, dict):
            raise PromptError("invalid_prompt", "a prompt is a JSON object", "expected {node id: {class_type, inputs}}")
        if len(prompt) > self._limits.nodes:
            raise self._too_many_nodes(len(prompt))
        try:
            if len(prompt) > _LARGE_PROMPT:
                return await asyncio.to_thread(_parse, prompt)
            return _parse(prompt)
        except FormatError as error:
            raise PromptError("invalid_prompt", "the prompt cannot be read", str(error)) from error

    async def _validated(
        self, workflow: Workflow, registry: Registry, targets: Sequence[str] | None, prompt: Mapping[str, Any]
    ) -> Validation:
        """Validate in the server and, for nodes with their own validation code, in a worker. Raises PromptError."""
        outputs = _outputs(workflow, registry, targets)
        folders = self._scheduler.catalogue.folders

        # On a thread: file choices are looked up in folders, which may be slow or large.
        found = await asyncio.to_thread(validate_outputs, workflow, registry, folders, outputs, run_custom=False)
        if found.valid_outputs and custom_validated(workflow, registry):
            found = _with(found, await self._scheduler.questions.validate(prompt, found.valid_outputs))
        return found


def _read_editor(document: dict[str, Any], registry: Registry) -> Workflow:
    return read_editor(check_json(document, "the workflow"), registry)


def _parse(prompt: dict[str, Any]) -> Workflow:
    return Workflow(read_api(check_json(prompt, "the prompt")))


def _accepted(job: Job) -> Answer:
    return 200, {"prompt_id": job.prompt_id, "number": whole(job.number), "node_errors": job.node_errors}


def _outputs(workflow: Workflow, registry: Registry, targets: Sequence[str] | None) -> list[str]:
    """The output nodes to run. Raises PromptError for unknown classes and where there are no outputs."""
    for node_id, node in workflow.nodes.items():
        if node.class_type not in registry:
            near = Nearest()(node.class_type, registry, "classes")
            hint = f". Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise PromptError(
                "invalid_prompt",
                f"there is no node class {node.class_type!r}{hint}",
                f"Node ID '#{node_id}'",
                node_id=node_id,
                class_type=node.class_type,
            )
    outputs = [
        node_id
        for node_id, node in workflow.nodes.items()
        if (node_type := registry.get(node.class_type)) is not None
        and node_type.output_node
        and (targets is None or node_id in targets)
    ]
    if not outputs:
        raise PromptError(
            "prompt_no_outputs",
            "the prompt has no outputs",
            "expected a node that saves or shows something, such as SaveImage",
        )
    return outputs


def _with(found: Validation, problems: Sequence[Problem]) -> Validation:
    """Add the worker's ``problems`` to ``found``; they may make further outputs invalid."""
    failed = {output for problem in problems for output in problem.extra.get("dependent_outputs", ())}
    return replace(
        found,
        problems=(*found.problems, *problems),
        valid_outputs=tuple(output for output in found.valid_outputs if output not in failed),
        invalid_outputs=(*found.invalid_outputs, *(output for output in found.valid_outputs if output in failed)),
    )


_TYPES: Final = {"dependency_cycle": "exception_during_validation"}
"""The protocol's types for problems that it does not name."""


def _node_errors(found: Validation, workflow: Workflow) -> dict[str, Any]:
    return {
        node_id: {
            "errors": [_error(problem) for problem in problems],
            "dependent_outputs": list(
                dict.fromkeys(output for problem in problems for output in problem.extra.get("dependent_outputs", ()))
            ),
            "class_type": workflow.nodes[node_id].class_type,
        }
        for node_id, problems in found.by_node().items()
    }


def _error(problem: Problem) -> dict[str, Any]:
    extra = {name: value for name, value in problem.extra.items() if name != "dependent_outputs"}
    if problem.input_name is not None:
        extra = {"input_name": problem.input_name, "received_value": problem.found, **extra}
    details = problem.details or problem.input_name or ""
    if problem.expected:
        details += f"{': ' if details else ''}expected {problem.expected}"
    if problem.suggestions:
        details += f". Did you mean {' or '.join(map(repr, problem.suggestions))}?"
    kind = _TYPES.get(problem.type, problem.type)
    return {"type": kind, "message": problem.message, "details": details, "extra_info": extra}


def _all_failed(node_errors: Mapping[str, Any]) -> PromptError:
    lines = []
    for node_id, node in list(node_errors.items())[:50]:
        lines.append(f"* {node['class_type']} {node_id}:")
        lines += [
            f"    - {': '.join(filter(None, (error['message'], error['details'])))}" for error in node["errors"][:20]
        ]
    return PromptError("prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(lines))


def _identifier(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > _LONGEST_ID or not value.isprintable():
        raise PromptError("invalid_prompt", f"{name} must be printable text of at most {_LONGEST_ID} characters")
    return value


def _object(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PromptError("invalid_prompt", f"{name} must be a JSON object")
    try:
        check_json(value, name)
    except FormatError as error:
        raise PromptError("invalid_prompt", f"{name} cannot be read", str(error)) from error
    return value


def _number(body: Mapping[str, Any]) -> float | None:
    value = body.get("number")
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise PromptError("invalid_prompt", "number must be a number", "smaller ones run first")
    return number


def _targets(body: Mapping[str, Any]) -> list[str] | None:
    value = body.get("partial_execution_targets")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(target, (str, int)) for target in value):
        raise PromptError("invalid_prompt", "partial_execution_targets must be a list of node ids")
    return [str(target) for target in value]
