"""Every YAML: its classes are ours, and its keys are parameters of their constructors."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import get_class

from vla_runtime.commands import benchmark, finetune  # noqa: F401  their settings are roots of groups
from vla_runtime.config import TRUSTED_PACKAGES, choices, compose_config, config_dir, groups

ROOTS = {
    "suite": "benchmark",
    "executor": "benchmark",
    "recipe": "finetune",
}  # groups of other commands than vla-run
FILES = sorted(config_dir().rglob("*.yaml"))


def nodes(value: Any) -> list[dict]:
    """Every dictionary with a _target_ in a YAML."""
    if isinstance(value, list):
        return [node for item in value for node in nodes(item)]
    if not isinstance(value, dict):
        return []
    own = [value] if "_target_" in value else []
    return own + [node for item in value.values() for node in nodes(item)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(config_dir())))
def test_targets_are_ours_and_keys_bind(file: Path) -> None:
    for node in nodes(yaml.safe_load(file.read_text())):
        target = node["_target_"]
        assert target.split(".")[0] in TRUSTED_PACKAGES
        parameters = inspect.signature(get_class(target).__init__).parameters
        keys = {key for key in node if key not in ("_target_", "_partial_")}
        assert keys <= set(parameters), f"{target} has no {keys - set(parameters)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(config_dir())))
def test_every_number_has_a_unit(file: Path) -> None:
    unitless = ("seed", "episodes")  # counts and names of things that are units themselves
    for line in file.read_text().splitlines():
        key, _, value = line.partition(":")
        number = value.split("#")[0].strip().strip("[]").split(",")[0]
        is_number = number.replace(".", "", 1).lstrip("-").isdigit()
        if is_number and key.strip() not in unitless:
            assert "[" in line.partition("#")[2], f"{file.name}: {line.strip()} has no unit in its comment"


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in groups() for name in choices(group)])
def test_every_choice_composes(group: str, name: str) -> None:
    config = compose_config(ROOTS.get(group, "run_episode"), [f"{group}={name}"])
    assert config.chosen[group] == name
