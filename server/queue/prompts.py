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

from graph.errors import FormatError, Problem
from graph.formats.api import read_api
from graph.formats.editor import is_editor_document, read_editor
from graph.formats.json_text import check_json
from graph.schema import Registry
from graph.sweep.sweep import ASK_ABOVE, Sweep
from graph.validation.nearest import Nearest
from graph.validation.validate import Validation, custom_validated, validate_outputs
from graph.workflow import Workflow
from server.queue.placement import needs_of
from server.queue.prompt_errors import PromptError, all_failed, node_errors_of
from server.queue.scheduler import Scheduler
from server.queue.sweep_requests import SweepRequests
from server.queue.webhooks import WebhookError, check_address
from server.store.job_store import JobStore
from server.store.jobs import Job, may_see, whole
from server.store.writer import StoreFullError

_LARGE_PROMPT: Final = 200
"""Number of nodes from which a prompt is read on a thread, so that it does not block the event loop."""
_LONGEST_ID: Final = 200
_WORKER_SECONDS: Final = 60.0
"""Seconds that a prompt waits for a worker's list of nodes."""
_SECRETS: Final = ("auth_token_comfy_org", "api_key_comfy_org")
"""Credentials that some clients send for services that Sumi does not offer; they are not stored."""

Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class PromptLimits:
    """Limits on the nodes in a prompt and on the prompts and bytes in the queue, which is kept in memory."""

    nodes: int = 20_000
    queue: int = 10_000
    queue_bytes: int = 1024**3

    @property
    def queue_of_user(self) -> int:
        """The prompts of one user in the queue: half, so that nobody can fill it alone."""
        return self.queue // 2

    @property
    def bytes_of_user(self) -> int:
        """The bytes of one user's prompts in the queue."""
        return self.queue_bytes // 2


class Prompts:
    """Turns request bodies into jobs. ``webhook_hosts``: other machines that webhooks may name."""

    def __init__(
        self,
        store: JobStore,
        scheduler: Scheduler,
        limits: PromptLimits | None = None,
        webhook_hosts: Sequence[str] = (),
    ):
        self._store = store
        self._scheduler = scheduler
        self._limits = limits or PromptLimits()
        self._sweeps = SweepRequests(scheduler)
        self._webhook_hosts = tuple(webhook_hosts)

    async def submit(self, body: Any, user: str | None = None) -> Answer:
        """Return status and answer of ``POST /prompt`` with that JSON body from ``user``.

        200: the job is on disk, or its prompt_id is known already (then the answer is the first one again).
        400: the prompt is invalid. 413: too many nodes. 429: the queue is full. 507: the disk is full.
        """
        try:
            job = await self._read(body, user)
            if isinstance(job, Job):
                return _accepted(await self._store.add(job), user)
            return job
        except PromptError as error:
            return error.status, {"error": error.body, "node_errors": error.node_errors}
        except StoreFullError as error:
            full = PromptError("storage_full", "cannot store the prompt", str(error))
            return 507, {"error": full.body, "node_errors": {}}

    async def plan_sweep(self, body: Any) -> Answer:
        """Return status and answer of ``POST /sweep/plan``: what ``POST /prompt`` would do with that body's sweep."""
        try:
            body = await self._converted(_whole_body(body))
            extra_data = _object(body, "extra_data")
            workflow = await self._workflow(body["prompt"])
            sweep = await self._sweeps.read(extra_data, workflow)
            if sweep is None:
                raise PromptError("invalid_sweep", "the request has no extra_data.sweep")
            found = await self._check_first(sweep, _targets(body))
            await self._sweeps.check(sweep, found, confirmed=True)
            if not found.valid_outputs:
                raise all_failed(node_errors_of(found.problems, workflow))
        except PromptError as error:
            return error.status, {"error": error.body, "node_errors": error.node_errors}
        return 200, {
            "sweep": sweep.as_data(),
            "combinations": len(sweep),
            "pictures": sweep.pictures(found.valid_outputs),
            "limit": ASK_ABOVE,
            "runs": sweep.runs(found.valid_outputs),
        }

    async def _check_first(self, sweep: Sweep, targets: Sequence[str] | None) -> Validation:
        """Validate the first combination of a sweep. Raises PromptError."""
        first = sweep.workflow(0)
        return await self._check(first, targets, first.to_api())

    async def _read(self, body: Any, user: str | None) -> Job | Answer:
        body = _whole_body(body)
        prompt_id = _identifier(body, "prompt_id")
        if prompt_id is not None and (known := await self._store.get(prompt_id)) is not None:
            return _accepted(known, user)
        body = await self._with_prompt_handlers(await self._converted(body))
        client_id = _identifier(body, "client_id")
        if client_id is not None and user is not None:
            self._scheduler.hub.adopt(client_id, user)
        extra_data = _object(body, "extra_data")
        if extra_data.get("webhook") is not None:
            self._check_webhook(extra_data["webhook"])
        number = _number(body)
        targets = _targets(body)
        workflow = await self._workflow(body["prompt"])
        self._check_room(user)
        sweep = await self._sweeps.read(extra_data, workflow)
        if sweep is None:
            found = await self._check(workflow, targets, body["prompt"])
        else:
            found = await self._check_first(sweep, targets)
        node_errors = node_errors_of(found.problems, workflow)
        if sweep is not None:
            await self._sweeps.check(sweep, found, confirmed=extra_data.get("sweep_confirmed") is True)
            extra_data["sweep"] = sweep.as_data()
        if not found.valid_outputs:
            raise all_failed(node_errors)
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
            user=user,
        )

    def _check_room(self, user: str | None) -> None:
        """Raise PromptError (429) if the queue is full, or the user's share of it."""
        limits = self._limits
        if self._store.queue_remaining() >= limits.queue:
            raise PromptError("queue_full", f"{limits.queue} prompts are already waiting", status=429)
        if self._store.queue_bytes() >= limits.queue_bytes:
            message = f"the waiting prompts already take more than {limits.queue_bytes} bytes"
            raise PromptError("queue_full", message, status=429)
        if user is None:
            return
        if self._store.queue_remaining(user) >= limits.queue_of_user:
            raise PromptError("queue_full", f"{limits.queue_of_user} of your prompts are already waiting", status=429)
        if self._store.queue_bytes(user) >= limits.bytes_of_user:
            message = f"your waiting prompts already take more than {limits.bytes_of_user} bytes"
            raise PromptError("queue_full", message, status=429)

    def _check_webhook(self, address: Any) -> None:
        try:
            check_address(address, self._webhook_hosts)
        except WebhookError as error:
            raise PromptError("invalid_webhook", "the webhook cannot be used", str(error)) from error

    async def _converted(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return ``body`` with its prompt in API format. Pictures will carry the editor's document.

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
        """Return ``body`` as changed by node packs' prompt handlers. Soon after the start, wait for the packs."""
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

        Soon after the start, the saved list of nodes is used to accept prompts, but not to refuse them: a prompt that
        it would refuse waits for a worker's list.
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
        await catalogue.await_workers_for(prompt)
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

        # On a thread: validation lists folders, which may be slow or large.
        found = await asyncio.to_thread(validate_outputs, workflow, registry, folders, outputs, run_custom=False)
        if found.valid_outputs and custom_validated(workflow, registry):
            needs = needs_of(prompt, registry)
            found = _with(found, await self._scheduler.questions.validate(prompt, found.valid_outputs, needs))
        return found


def _whole_body(body: Any) -> dict[str, Any]:
    """Return the body with a ``prompt``, which may also be an editor's document alone. Raises PromptError."""
    if not isinstance(body, dict):
        raise PromptError("invalid_prompt", "the request must be a JSON object")
    if "prompt" not in body and is_editor_document(body):
        body = {"prompt": body}
    if "prompt" not in body:
        raise PromptError("no_prompt", "no prompt was given", 'expected {"prompt": {node id: …}}')
    return body


def _read_editor(document: dict[str, Any], registry: Registry) -> Workflow:
    return read_editor(check_json(document, "the workflow"), registry)


def _parse(prompt: dict[str, Any]) -> Workflow:
    return Workflow(read_api(check_json(prompt, "the prompt")))


def _accepted(job: Job, user: str | None) -> Answer:
    if not may_see(user, job.user):
        raise PromptError("invalid_prompt", "this prompt_id is already in use", "send another one, or none")
    return 200, {"prompt_id": job.prompt_id, "number": whole(job.number), "node_errors": job.node_errors}


def _outputs(workflow: Workflow, registry: Registry, targets: Sequence[str] | None) -> list[str]:
    """Return the output nodes to run. Raises PromptError for unknown classes and if there are no outputs."""
    types = {class_type: registry.get(class_type) for class_type in {n.class_type for n in workflow.nodes.values()}}
    for node_id, node in workflow.nodes.items():
        if types[node.class_type] is None:
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
        if (node_type := types[node.class_type]) is not None
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
    """Add the worker's ``problems`` to ``found``; they may make more outputs invalid."""
    failed = {output for problem in problems for output in problem.extra.get("dependent_outputs", ())}
    return replace(
        found,
        problems=(*found.problems, *problems),
        valid_outputs=tuple(output for output in found.valid_outputs if output not in failed),
        invalid_outputs=(*found.invalid_outputs, *(output for output in found.valid_outputs if output in failed)),
    )


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
