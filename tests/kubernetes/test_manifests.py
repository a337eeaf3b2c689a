"""The Kubernetes manifests are valid, and name ports, paths and settings that the bridge has."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import aiohttp
import kubernetes_validate
import pytest
import yaml

from bridge import __version__
from bridge.settings import HttpSettings, Settings
from bridge.settings.loader import load_settings
from tests.conftest import StartBridge
from tests.kubernetes.kustomize import Manifest, build, read
from tests.servers import REPO

FOLDER = REPO / "docker" / "k8s"
OVERLAYS = [FOLDER / "overlays" / name for name in ("open", "required", "cluster")]
EXAMPLES = sorted((FOLDER / "examples").glob("*.yaml"))
VERSIONS = ("1.29", "1.33", kubernetes_validate.latest_version())
"""Of Kubernetes."""
DISCONNECT_SECONDS = 10.0
"""Time beyond `stop_seconds` for clients, store and lease; tests of the command allow less."""


def one(manifests: list[Manifest], kind: str) -> Manifest:
    (found,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return found


def pod(manifests: list[Manifest]) -> Any:
    return one(manifests, "Deployment")["spec"]["template"]["spec"]


def container(manifests: list[Manifest]) -> Any:
    (found,) = pod(manifests)["containers"]
    return found


@pytest.fixture(params=OVERLAYS, ids=lambda folder: folder.name)
def overlay(request: pytest.FixtureRequest) -> list[Manifest]:
    return build(request.param)


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_valid(overlay: list[Manifest], version: str) -> None:
    assert {manifest["kind"] for manifest in overlay} == {"ConfigMap", "Deployment", "PodDisruptionBudget", "Service"}
    for manifest in overlay:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_are_valid(file: Path, version: str) -> None:
    for manifest in read(file):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_manifest_with_a_misspelt_field_is_not_valid() -> None:
    manifest = one(build(OVERLAYS[0]), "Deployment")
    manifest["spec"]["template"]["spec"]["terminationGracePeriod"] = 30
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)


def test_every_manifest_is_in_a_kustomization_or_an_example() -> None:
    listed = {
        FOLDER / "base" / name
        for name in yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text("utf-8"))["resources"]
    }
    patches = {
        FOLDER / "overlays" / name for name in ("required/access.yaml", "cluster/deployment.yaml", "cluster/service.yaml")
    }
    found = {path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml"}
    assert found == listed | patches | set(EXAMPLES)


def test_image_has_the_version_of_the_bridge(overlay: list[Manifest]) -> None:
    assert container(overlay)["image"] == f"sensor-bridge:{__version__}"


@pytest.mark.parametrize("folder", OVERLAYS[:2], ids=lambda folder: folder.name)
def test_one_bridge_at_a_time_runs(folder: Path) -> None:
    spec = one(build(folder), "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_new_bridges_of_a_cluster_are_ready_before_an_old_one_stops() -> None:
    manifests = build(FOLDER / "overlays" / "cluster")
    spec = one(manifests, "Deployment")["spec"]
    assert spec["replicas"] > 1
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    assert one(manifests, "Service")["spec"]["publishNotReadyAddresses"] is False
    environ = {variable["name"]: variable["value"] for variable in container(manifests)["env"]}
    assert environ["BRIDGE_CLUSTER__NAME"]


def test_drain_is_not_blocked(overlay: list[Manifest]) -> None:
    assert one(overlay, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_pods_are_selected_by_service_deployment_and_disruption_budget(overlay: list[Manifest]) -> None:
    labels = one(overlay, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert one(overlay, "Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert one(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert one(overlay, "Service")["spec"]["selector"] == labels


def test_ports_agree_from_ingress_to_container(overlay: list[Manifest]) -> None:
    (port,) = container(overlay)["ports"]
    assert port["containerPort"] == settings_of(overlay, {}).http.port
    (service,) = one(overlay, "Service")["spec"]["ports"]
    assert (service["name"], service["targetPort"], service["port"]) == ("http", port["name"], port["containerPort"])
    (ingress,) = read(FOLDER / "examples" / "ingress.yaml")
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": one(overlay, "Service")["metadata"]["name"], "port": {"name": service["name"]}}
    probes = [container(overlay)[f"{name}Probe"]["httpGet"]["port"] for name in ("startup", "liveness", "readiness")]
    assert set(probes) == {port["name"]}
    annotations = one(overlay, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])


def test_container_needs_no_right(overlay: list[Manifest]) -> None:
    rights = container(overlay)["securityContext"]
    assert rights == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    user = pod(overlay)["securityContext"]
    assert user["runAsNonRoot"]
    dockerfile = (REPO / "docker" / "Dockerfile").read_text("utf-8")
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}" in dockerfile
    assert pod(overlay)["automountServiceAccountToken"] is False
    assert container(overlay)["resources"]["limits"]["memory"]


def test_pod_has_time_to_stop(overlay: list[Manifest]) -> None:
    hook = container(overlay).get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    seconds = float(hook[1]) + settings_of(overlay, {}).stop_seconds + DISCONNECT_SECONDS
    assert pod(overlay)["terminationGracePeriodSeconds"] >= seconds


def test_settings_file_is_where_the_image_looks_for_it(overlay: list[Manifest]) -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in container(overlay)["volumeMounts"]}
    assert mounts["settings"] == "/bridge/config"
    assert "WORKDIR /bridge\n" in (REPO / "docker" / "Dockerfile").read_text("utf-8")
    volumes = {volume["name"]: volume for volume in pod(overlay)["volumes"]}
    assert volumes["settings"]["configMap"]["name"] == one(overlay, "ConfigMap")["metadata"]["name"]
    assert set(mounts) == set(volumes)


def settings_of(manifests: list[Manifest], environ: dict[str, str]) -> Settings:
    """What the bridge reads in the pod: the ConfigMap, and these variables."""
    text = one(manifests, "ConfigMap")["data"]["bridge.toml"]
    return Settings.model_validate(tomllib.loads(text)) if not environ else load_settings(_file(text), environ)


def _file(text: str) -> Path:
    path = FOLDER / "base" / "bridge.toml"
    assert path.read_text("utf-8") == text
    return path


def test_secrets_of_the_example_are_the_settings_of_the_bridge(tmp_path: Path) -> None:
    manifests = build(FOLDER / "overlays" / "required")
    (secret,) = read(FOLDER / "examples" / "secret.yaml")
    volume = next(volume for volume in pod(manifests)["volumes"] if volume["name"] == "secrets")
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]
    for name, value in secret["stringData"].items():
        (tmp_path / name).write_text(value, "utf-8")
    environ = {one["name"]: one["value"].replace("/bridge/secrets", str(tmp_path)) for one in container(manifests)["env"]}
    used = {Path(value).name for name, value in environ.items() if name.endswith("_FILE")}
    assert used == set(secret["stringData"])

    settings = settings_of(manifests, environ)
    assert settings.access.required
    assert settings.mqtt.login == (secret["stringData"]["mqtt-username"], secret["stringData"]["mqtt-password"])
    assert settings.access.admin_password is not None
    assert settings.access.admin_password.get_secret_value() == secret["stringData"]["admin-password"]


def test_no_secret_is_in_the_overlays(overlay: list[Manifest]) -> None:
    assert "Secret" not in {manifest["kind"] for manifest in overlay}
    for variable in container(overlay).get("env", ()):
        assert variable["name"].endswith("_FILE") or variable["name"] in ("BRIDGE_ACCESS__MODE", "BRIDGE_CLUSTER__NAME")
    assert not re.search(
        r"^\s*(password|secret|admin_password)\b", one(overlay, "ConfigMap")["data"]["bridge.toml"], re.MULTILINE
    )


async def test_bridge_answers_the_probes_while_broker_and_store_are_unavailable(start_bridge: StartBridge) -> None:
    manifests = build(FOLDER / "overlays" / "open")
    paths = {name: container(manifests)[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    nowhere = "mongodb://127.0.0.1:9/sensors"
    async with start_bridge("mqtt://127.0.0.1:9", nowhere, ready=False, http=HttpSettings(port=0)) as bridge:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}") as session:
            statuses = {}
            for name, path in paths.items():
                async with session.get(path) as answer:
                    statuses[name] = answer.status
    assert statuses == {"startup": 200, "liveness": 200, "readiness": 503}


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda folder: folder.name)
def test_kubectl_builds_the_same(folder: Path) -> None:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("there is no kubectl")
    done = subprocess.run([program, "kustomize", str(folder)], capture_output=True, text=True, check=True, timeout=60)
    built = list(yaml.safe_load_all(re.sub(r"\bsensor-bridge-[a-z0-9]{10}\b", "sensor-bridge", done.stdout)))
    assert sorted(built, key=_kind) == sorted(build(folder), key=_kind)


def _kind(manifest: Manifest) -> str:
    return str(manifest["kind"])
