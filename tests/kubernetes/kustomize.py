"""Builds the shipped kustomizations without kubectl: resources, JSON patches, a generated ConfigMap and the tag of the image.

Anything else in a kustomization is an error, so that no test passes without having looked at it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
_HANDLED = {"apiVersion", "kind", "resources", "patches", "configMapGenerator", "images"}


def build(folder: Path) -> list[Manifest]:
    """The manifests of a folder with a `kustomization.yaml`. Generated names have no hash."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    unknown = set(kustomization) - _HANDLED
    if unknown:
        raise ValueError(
            f"{folder}/kustomization.yaml: {', '.join(sorted(unknown))}: not built here: extend tests/kubernetes/kustomize.py"
        )
    manifests: list[Manifest] = []
    for name in kustomization["resources"]:
        path = folder / name
        manifests += build(path) if path.is_dir() else read(path)
    for generator in kustomization.get("configMapGenerator", ()):
        files = {name: (folder / name).read_text("utf-8") for name in generator["files"]}
        manifests.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": files})
    for patch in kustomization.get("patches", ()):
        target = patch["target"]
        (found,) = (one for one in manifests if (one["kind"], one["metadata"]["name"]) == (target["kind"], target["name"]))
        for operation in yaml.safe_load((folder / patch["path"]).read_text("utf-8")):
            _apply(found, operation)
    for image in kustomization.get("images", ()):
        for container in _containers(manifests):
            if container["image"] == image["name"]:
                container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"
    return manifests


def read(path: Path) -> list[Manifest]:
    """The manifests in a file."""
    return [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one is not None]


def _containers(manifests: list[Manifest]) -> list[Manifest]:
    pods = (one["spec"]["template"]["spec"] for one in manifests if "template" in one.get("spec", {}))
    return [container for pod in pods for container in pod["containers"]]


def _apply(manifest: Manifest, operation: Manifest) -> None:
    """One `add` of RFC 6902."""
    if operation["op"] != "add":
        raise ValueError(f"operation {operation['op']}: not built here")
    *path, last = operation["path"].removeprefix("/").split("/")
    place: Any = manifest
    for part in path:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if isinstance(place, list):
        place.insert(len(place) if last == "-" else int(last), operation["value"])
    else:
        place[last] = operation["value"]
