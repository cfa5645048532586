"""The manifest for Kubernetes: its objects against the schemas of Kubernetes and of KubeRay, and what they agree on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MANIFEST: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text(encoding="utf-8")))
SCHEMA = yaml.safe_load((Path(__file__).parent / "raycluster.schema.yaml").read_text(encoding="utf-8"))
OLDEST, NEWEST = "1.31", kubernetes_validate.latest_version()


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = [document for document in MANIFEST if document["kind"] == kind]
    return found


def pod_templates() -> dict[str, dict[str, Any]]:
    """The three kinds of pods, by the name of their container."""
    cluster = of_kind("RayCluster")["spec"]
    templates = [
        cluster["headGroupSpec"]["template"],
        *(group["template"] for group in cluster["workerGroupSpecs"]),
        of_kind("Deployment")["spec"]["template"],
    ]
    return {template["spec"]["containers"][0]["name"]: template for template in templates}


@pytest.mark.parametrize("version", (OLDEST, NEWEST))
def test_kubernetes_accepts_every_core_object(version: str) -> None:
    core = [document for document in MANIFEST if document["kind"] != "RayCluster"]
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **template.get("metadata", {})}}
        | {"spec": template["spec"]}
        for name, template in pod_templates().items()
    ]
    for document in [*core, *pods]:
        kubernetes_validate.validate(document, version, strict=True)


def test_kuberay_accepts_the_cluster() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(of_kind("RayCluster"), SCHEMA)


def test_its_parts_agree() -> None:
    cluster, server = of_kind("RayCluster"), of_kind("Deployment")["spec"]["template"]
    (container,) = server["spec"]["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    assert environment["RAY_HEAD"]["value"] == f"{cluster['metadata']['name']}-head-svc:6379"
    assert environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == cluster["metadata"]["name"]
    assert cluster["spec"]["authOptions"]["mode"] == environment["RAY_AUTH_MODE"]["value"] == "token"
    claims = {document["metadata"]["name"] for document in MANIFEST if document["kind"] == "PersistentVolumeClaim"}
    for template in pod_templates().values():
        spec = template["spec"]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        mounted = {mount["name"] for found in spec["containers"] for mount in found.get("volumeMounts", [])}
        assert mounted == set(volumes)
        assert {v["persistentVolumeClaim"]["claimName"] for v in volumes.values() if "emptyDir" not in v} <= claims
        assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsNonRoot"]) == (1000, True)
    assert of_kind("Service")["spec"]["selector"] == server["metadata"]["labels"]


def test_no_secret_is_in_the_manifest() -> None:
    """A token that everyone knows is worse than a pod that waits for one."""
    assert not [document for document in MANIFEST if document["kind"] == "Secret"]
    (container,) = of_kind("Deployment")["spec"]["template"]["spec"]["containers"]
    assert all("value" not in entry for entry in container["env"] if entry["name"].endswith("TOKEN"))
    assert "--token" not in " ".join(container["args"])
