"""What stands in .github/, .devcontainer/ and the hooks: valid, safe, and calling what exists."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import REPO

GITHUB = REPO / ".github"
WORKFLOWS = {path.stem: path for path in sorted((GITHUB / "workflows").glob("*.yml"))}
FORMS = {path.stem: path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"}
MAKEFILE = (REPO / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
MAY_WRITE = {("nightly", "issue"): {"issues"}, ("release", "publish"): {"contents"}}


class UniqueKeys(yaml.SafeLoader):
    """Refuses a mapping with the same key twice, of which YAML would drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{node.start_mark}: {keys}"
        return super().construct_mapping(node, deep=deep)


def read(path: Path) -> Any:
    return yaml.load(path.read_text("utf-8"), UniqueKeys)  # noqa: S506 - a SafeLoader


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for workflow, path in WORKFLOWS.items():
        for name, job in read(path)["jobs"].items():
            yield workflow, name, job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for workflow, name, job in jobs():
        for step in job.get("steps", ()):
            yield f"{workflow}.{name}", step


def commands() -> list[tuple[str, str]]:
    return [(where, step["run"]) for where, step in steps() if "run" in step]


def made(text: str) -> list[str]:
    """The targets that a command makes."""
    return [target for called in re.findall(r"\bmake((?: +[a-z.][\w./-]*)+)", text) for target in called.split()]


YAML = [
    *WORKFLOWS.values(),
    *(GITHUB / "ISSUE_TEMPLATE").glob("*.yml"),
    GITHUB / "dependabot.yml",
    REPO / ".pre-commit-config.yaml",
]


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(REPO)))
def test_every_file_is_yaml_without_repeated_keys(path: Path) -> None:
    assert isinstance(read(path), dict)


# --- workflows -------------------------------------------------------------------------------------------------------


def test_there_are_the_workflows_that_contributing_names() -> None:
    assert set(WORKFLOWS) == {"ci", "nightly", "release"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_may_only_read_and_has_a_concurrency_group(name: str) -> None:
    workflow = read(WORKFLOWS[name])
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]


def test_groups_of_workflows_that_call_each_other_differ() -> None:
    groups = [read(path)["concurrency"]["group"] for path in WORKFLOWS.values()]
    assert len(set(groups)) == len(groups)
    assert not [group for group in groups if "github.workflow" in group]


def test_only_named_jobs_may_write_and_only_what_they_need() -> None:
    written = {}
    for workflow, name, job in jobs():
        granted = {key for key, value in job.get("permissions", {}).items() if value == "write"}
        if granted:
            written[workflow, name] = granted
    assert written == MAY_WRITE


def test_every_job_with_steps_has_a_timeout() -> None:
    assert [f"{workflow}.{name}" for workflow, name, job in jobs() if "steps" in job and "timeout-minutes" not in job] == []


def test_every_job_waits_for_jobs_that_exist() -> None:
    for workflow, name, job in jobs():
        needed = job.get("needs", [])
        missing = {needed} if isinstance(needed, str) else set(needed)
        assert missing <= set(read(WORKFLOWS[workflow])["jobs"]), f"{workflow}.{name}"


def test_actions_are_pinned_by_major_version_or_commit_and_called_workflows_exist() -> None:
    used = [step["uses"] for _, step in steps() if "uses" in step] + [job["uses"] for *_, job in jobs() if "uses" in job]
    for one in used:
        if one.startswith("./"):
            assert (REPO / one).is_file()
        else:
            assert re.fullmatch(r"[\w-]+/[\w./-]+@(v\d+|[0-9a-f]{40})", one), one


def test_an_action_has_one_version_everywhere() -> None:
    used = {step["uses"] for _, step in steps() if "uses" in step}
    assert len({one.partition("@")[0] for one in used}) == len(used)


def test_checkout_leaves_no_token_behind() -> None:
    for where, step in steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, where


def test_no_command_contains_an_expression_that_a_stranger_could_fill() -> None:
    assert [where for where, command in commands() if "${{" in command] == []


def test_every_target_that_is_made_exists() -> None:
    assert {target for _, command in commands() for target in made(command)} <= TARGETS


def test_every_script_that_is_run_exists() -> None:
    run = {path for _, command in commands() for path in re.findall(r"\.github/scripts/\w+\.py", command)}
    assert run
    assert [path for path in run if not (REPO / path).is_file()] == []


def test_artifacts_that_are_downloaded_were_uploaded() -> None:
    named: dict[str, set[tuple[str, str]]] = {"upload": set(), "download": set()}
    for where, step in steps():
        if found := re.match(r"actions/(upload|download)-artifact@", step.get("uses", "")):
            named[found[1]].add((where.partition(".")[0], step["with"]["name"]))
    assert named["download"] <= named["upload"]


def test_ci_makes_what_a_developer_makes_on_every_python_that_is_supported() -> None:
    ci = read(WORKFLOWS["ci"])["jobs"]
    project = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]
    supported = [one.rpartition(" ")[2] for one in project["classifiers"] if re.search(r"Python :: 3\.\d+$", one)]
    assert ci["test"]["strategy"]["matrix"]["python"] == supported
    called = [target for step in ci["test"]["steps"] for target in made(step.get("run", ""))]
    assert called == ["test-tools", "check", "test"]
    for name, target in {"containers": "test-containers", "package": "dist", "docs": "docs"}.items():
        assert target in [made_here for step in ci[name]["steps"] for made_here in made(step.get("run", ""))]


# --- hooks, updates, issues, devcontainer ----------------------------------------------------------------------------


def test_hooks_are_local_and_run_what_make_check_runs() -> None:
    config = read(REPO / ".pre-commit-config.yaml")
    assert [one["repo"] for one in config["repos"]] == ["local"]
    hooks = {hook["id"]: hook for hook in config["repos"][0]["hooks"]}
    assert set(hooks) == {"ruff-check", "ruff-format", "mypy", "commit-subject"}
    assert hooks["commit-subject"]["stages"] == ["commit-msg"]
    checked = MAKEFILE.partition("\ncheck:")[2].partition("\n\n")[0]
    for tool in ("ruff check", "ruff format", "mypy"):
        assert f"$(BIN)/{tool}" in checked
        assert [hook for hook in hooks.values() if f".venv/bin/{tool}" in hook["entry"]]


MANIFESTS = {
    "pip": "pyproject.toml",
    "npm": "package-lock.json",
    "github-actions": ".github/workflows/ci.yml",
    "docker": "Dockerfile",
    "docker-compose": "compose.yaml",
}


def test_updates_are_looked_for_where_dependencies_are_named() -> None:
    updates = read(GITHUB / "dependabot.yml")["updates"]
    assert {one["package-ecosystem"] for one in updates} == set(MANIFESTS)
    for one in updates:
        for folder in one.get("directories", [one.get("directory")]):
            assert (REPO / folder.strip("/") / MANIFESTS[one["package-ecosystem"]]).is_file(), folder


@pytest.mark.parametrize("name", FORMS)
def test_issue_form_asks_each_question_once_and_requires_some(name: str) -> None:
    form = read(FORMS[name])
    assert {"name", "description", "labels", "body"} <= set(form)
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in asked}) == len(asked)
    assert {field["type"] for field in asked} <= {"input", "textarea", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in asked)
    assert [field for field in asked if field.get("validations", {}).get("required")]


def test_there_is_a_form_for_bugs_payloads_and_features() -> None:
    assert set(FORMS) == {"bug", "payload", "feature"}


def test_devcontainer_has_what_the_tests_need_and_installs_by_make() -> None:
    folder = REPO / ".devcontainer"
    container = json.loads((folder / "devcontainer.json").read_text("utf-8"))
    image = (folder / container["build"]["dockerfile"]).read_text("utf-8")
    tools = MAKEFILE.partition("\ntest-tools:")[2].partition("\n\n")[0]
    needed = set(re.findall(r'missing="\$\$missing ([\w+-]+)"', tools))
    browser, proxies = {"chromium", "chromium-headless-shell"}, {"haproxy", "nginx-light"}
    servers = {"mosquitto", "mosquitto-clients", "prometheus", "redis-server"}
    assert needed == servers | proxies | browser | {"curl", "g++"}
    assert needed | {"nodejs", "npm", "git", "make"} <= set(image.split())
    assert "FROM python:3.12-" in image
    assert {"install", "hooks"} <= set(made(container["postCreateCommand"]))
    assert {one for one in made(container["postCreateCommand"]) if not one.startswith(".")} <= TARGETS
