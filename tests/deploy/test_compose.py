"""compose.yaml: against the Compose Specification, and what its services agree on with the image."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import compose_spec
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]


def test_it_follows_the_compose_specification() -> None:
    assert set(compose_spec.PyCompose.from_yaml(TEXT).service_names()) == {"server", "worker"}


def test_the_server_has_a_token_and_only_this_machine_reaches_it() -> None:
    server = SERVICES["server"]
    assert re.fullmatch(r"\$\{SUMI_TOKEN:\?.+\}", server["environment"]["SUMI_TOKEN"]), "compose must refuse to start"
    assert "--token" not in " ".join(server["command"]), "every user of the machine could read it"
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])
    assert "ports" not in SERVICES["worker"]


def test_all_nodes_of_the_cluster_share_a_required_token() -> None:
    for service in SERVICES.values():
        environment = service["environment"]
        assert environment["RAY_AUTH_MODE"] == "token"
        assert environment["RAY_AUTH_TOKEN"].startswith("${RAY_AUTH_TOKEN:?")


def test_there_are_two_workers_and_the_server_asks_for_as_much_as_they_have() -> None:
    server, worker = SERVICES["server"]["command"][0], SERVICES["worker"]
    assert worker["scale"] == 2 and "--workers=${WORKERS:-2}" in server
    cpus = "${CPUS:-2}"
    assert f"--num-cpus={cpus}" in worker["entrypoint"] and f"'{{\"num_cpus\":{cpus}}}'" in server


def test_a_shell_understands_the_commands() -> None:
    manifest = yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text(encoding="utf-8"))
    (deployment,) = [document for document in manifest if document["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    for command in (*SERVICES["server"]["command"], *container["args"]):
        assert subprocess.run(["sh", "-n", "-c", command.replace("${CPUS:-2}", "2")]).returncode == 0


def test_services_start_the_server_as_the_image_does() -> None:
    """compose.yaml and the manifest replace the image's entry point; its flags must be in theirs."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    (line,) = re.findall(r"^ENTRYPOINT (\[.*\])", dockerfile, re.MULTILINE)
    entry = " ".join(json.loads(line))
    manifest = " ".join((ROOT / "deploy/kubernetes.yaml").read_text(encoding="utf-8").split())
    assert entry in SERVICES["server"]["command"][0] and entry in manifest
