"""The composition root: from YAML and overrides to objects. The only module of the package that knows Hydra.

A YAML key is a constructor parameter, and `_target_` names the class. Only classes of trusted packages are built.
A policy may ask for two things that only the composition knows, by having a constructor parameter of that name:
`action_spec` (the environment's) and `simulator` (the environment's simulator, which makes the policy privileged). A guard
may ask for `spec` (the environment's action spec), `statistics`, `checkpoint_checksum` and `action_ids` (the policy's) and
`arm` (the robot's kinematics), a clock for `advance` (lets the world go on) and `seed` (of the episode), and a recorder for `out` (the
folder of the run's results), `action_spec` and `description` (which part was set to what).
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.replay import frozen
from vla_runtime.evaluation.rollout import Runtime
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.supervisor import Supervisor
from vla_runtime.interfaces import Clock, Recorder
from vla_runtime.limits import interval, unit_of
from vla_runtime.specs import ActionSpec, check_compatible

TRUSTED_PACKAGES = ("vla_runtime", "sim")
STOP_LATCHES = ("episode", "operator")


@dataclass
class EpisodeSettings:
    """The settings of a run that are not a part with a class of its own; the root of configs/run_episode.yaml."""

    seed: int = 0
    episodes: int = 1
    out: str | None = None
    view: bool = False
    holds_before_stop: int = 3
    stop_latch: str = "episode"
    realtime_priority: int | None = None
    policy: Any = None
    task: Any = None
    robot: Any = None
    arm: Any = None
    environment: Any = None
    guards: Any = None
    inference: Any = None
    clock: Any = None
    latency: Any = None
    recorder: Any = None
    chosen: Any = None  # filled in: which YAML each group was set to


ConfigStore.instance().store(name="episode_settings", node=EpisodeSettings)


def config_dir() -> Path:
    """The folder of the YAML files: inside the installed package, or at the top of a checkout."""
    packaged = Path(str(files("vla_runtime") / "configs"))
    return packaged if packaged.is_dir() else Path(__file__).resolve().parent.parent / "configs"


def choices(group: str) -> list[str]:
    """The names that a group such as "task" can be set to."""
    return sorted(file.stem for file in (config_dir() / group).glob("*.yaml"))


def groups() -> list[str]:
    """The names of all groups."""
    return sorted(folder.name for folder in config_dir().iterdir() if folder.is_dir())


def groups_of(config: DictConfig) -> list[str]:
    """The groups that a configuration is composed of."""
    return [group for group in groups() if group in config]


def compose_config(name: str, overrides: Sequence[str]) -> DictConfig:
    """The configuration of a YAML file after overrides such as "task=stack" or "seed=3".

    Raises:
        ConfigurationError: In one line: what is wrong, and what would have been right.
    """
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        _check_overrides(name, overrides)
        try:
            config = compose(name, list(overrides), return_hydra_config=True)
            with open_dict(config):
                config.chosen = {group: config.hydra.runtime.choices[group] for group in groups_of(config)}
                del config["hydra"]
            OmegaConf.resolve(config)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigurationError(_in_one_line(error, overrides)) from error
    _check_targets(config)
    return config


def build_runtime(config: DictConfig) -> Runtime:
    """Put a run together and compare its conventions before anything moves."""
    if config.stop_latch not in STOP_LATCHES:
        raise ConfigurationError(f"stop_latch={config.stop_latch}: expected {' or '.join(STOP_LATCHES)}")
    environment = _build(config.environment)
    try:
        policy = _build_policy(config.policy, _of(environment))
        check_compatible(policy.action_spec, environment.action_spec)
        told = policy.describe()
        settings = guard_settings(config, environment.action_spec, policy.unnormalizer, told)
        check_robot_limits(settings["guards"], getattr(environment, "robot_limits", {}))
        offered = {
            "out": Path(config.out) if config.out else None,
            "action_spec": environment.action_spec,
            "description": _description(config),
        }
        return Runtime(
            environment=environment,
            policy=policy,
            engine=_build(config.inference, policy=policy),
            guards=Supervisor(build_chain(settings)),
            make_clock=_clock_maker(config.clock, environment),
            recorders=[_recorder(node, offered) for node in (config.recorder or {}).values()],
            description=offered["description"],
            guard_settings=settings,
            holds_before_stop=config.holds_before_stop,
            acknowledge_stops=config.stop_latch == "episode",
        )
    except BaseException:
        environment.close()
        raise


def guard_settings(
    config: DictConfig, spec: ActionSpec, unnormalizer: object, told: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """All that a chain of guards is made from, in plain values: a record's first line.

    Args:
        config: With guards and arm.
        spec: Of the actions.
        unnormalizer: The policy's.
        told: What the policy says of itself, with `checksum` and `action_ids` where it is a checkpoint.
    """
    statistics = asdict(unnormalizer) if isinstance(unnormalizer, ActionStatistics) else None
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    return {
        "guards": plain["guards"] or {},
        "arm": plain["arm"],
        "spec": asdict(spec),
        "statistics": statistics,
        "checkpoint_checksum": (told or {}).get("checksum"),
        "action_ids": (told or {}).get("action_ids"),
    }


def build_chain(settings: Mapping[str, Any]) -> GuardChain:
    """The guards of a run, or of a record of one.

    Raises:
        ConfigurationError: A limit that is missing, senseless or contradictory.
    """
    config = OmegaConf.create({"guards": settings["guards"], "arm": settings["arm"]})
    _check_targets(config)
    spec = ActionSpec(**frozen(settings["spec"]))
    statistics = settings["statistics"]
    offered = {
        "spec": spec,
        "statistics": statistics and ActionStatistics(**frozen(statistics)),
        "arm": build_arm(settings),
        "checkpoint_checksum": settings["checkpoint_checksum"],
        "action_ids": settings.get("action_ids"),  # older records have none
    }
    guards = {}
    for name, node in config.guards.items():
        given = _asked_for(node, offered)
        _check_limits_are_there(str(name), node, given)
        guards[str(name)] = _build(node, **given)
    return GuardChain(guards, spec)


def build_arm(settings: Mapping[str, Any]) -> Any:
    """The arm's kinematics of a run, or of a record of one; None when there are none."""
    return None if settings["arm"] is None else _build(OmegaConf.create(settings["arm"]))


def check_robot_limits(guards: Mapping[str, Any], robot: Mapping[str, Any]) -> None:
    """Refuse guards that would allow more than the robot's side does.

    Args:
        guards: Their YAML, by name.
        robot: Its limits by guard and key, for example "workspace.x_m": an interval, or a largest value.
    """
    for key, allowed in robot.items():
        guard, _, limit = key.partition(".")
        value = (guards.get(guard) or {}).get(limit)
        if value is None or allowed is None:
            continue
        unit = unit_of(limit)[0]
        if isinstance(allowed, Sequence):
            low, high = interval(f"guards.{guard}", limit, value)
            if low < allowed[0] or high > allowed[1]:
                raise ConfigurationError(
                    f"guards.{key}={list(value)} is looser than the robot's own limit; expected within {list(allowed)} [{unit}]"
                )
        elif isinstance(value, (int, float)) and value > allowed:
            raise ConfigurationError(
                f"guards.{key}={value} is looser than the robot's own limit; expected at most {allowed:g} [{unit}]"
            )


def _clock_maker(node: DictConfig, environment: Any) -> Callable[[int], Clock]:
    """Makes the clock of an episode from its seed."""
    offered: dict[str, Any] = {"seed": None}
    parameters = inspect.signature(get_class(node["_target_"]).__init__).parameters
    if "advance" in parameters:
        offered["advance"] = environment.paced_by_clock()
    make = _build(node)

    def clock(seed: int) -> Clock:
        return make(
            **{
                name: seed if name == "seed" else value
                for name, value in offered.items()
                if name in parameters
            }
        )

    return clock


def _build_policy(node: DictConfig, offered: Mapping[str, Any]) -> Any:
    """A policy, and first the policies that it is put together from: each may ask."""
    parts = {
        str(name): _build_policy(child, offered)
        for name, child in node.items()
        if isinstance(child, DictConfig) and "_target_" in child and _asked_for(child, offered)
    }
    rest = OmegaConf.masked_copy(node, [str(name) for name in node if name not in parts])
    return _build(rest, **parts, **_asked_for(node, offered))


def _of(environment: Any) -> dict[str, Any]:
    """What a policy may ask the composition for."""
    return {"action_spec": environment.action_spec, "simulator": getattr(environment, "simulator", None)}


def _check_limits_are_there(name: str, node: DictConfig, given: Mapping[str, Any]) -> None:
    """Refuse a guard whose YAML leaves a limit out, or has one that there is not."""
    parameters = list(inspect.signature(get_class(node["_target_"]).__init__).parameters.values())[1:]
    known = [parameter.name for parameter in parameters if parameter.name not in given]
    for key in node:
        if key != "_target_" and key not in known:
            raise ConfigurationError(_unknown("key", str(key), sorted(known), f" in guards.{name}"))
    for parameter in parameters:
        there = parameter.name in node or parameter.name in given
        if not there and parameter.default is inspect.Parameter.empty:
            unit = unit_of(parameter.name)[0]
            raise ConfigurationError(
                f"guards.{name}.{parameter.name} is missing"
                + (f"; expected a number [{unit}]" if unit else "")
            )


def _recorder(node: Any, offered: Mapping[str, Any]) -> Callable[[Path], Recorder]:
    """Makes a recorder from the folder of an episode."""
    return partial(_build(node), **_asked_for(node, offered))


def _build(node: Any, **given: Any) -> Any:
    """An object from its YAML; what is given goes round Hydra, which would turn dataclasses into configurations."""
    if not given:
        return instantiate(node, _convert_="object")
    return instantiate(node, _convert_="object", _partial_=True)(**given)


def _asked_for(node: DictConfig, offered: Mapping[str, Any]) -> dict[str, Any]:
    """Of what only the composition knows, what a constructor asks for and the YAML does not set."""
    parameters = inspect.signature(get_class(node["_target_"]).__init__).parameters
    return {name: value for name, value in offered.items() if name in parameters and name not in node}


def _description(config: DictConfig) -> dict[str, Any]:
    parts = OmegaConf.to_container(config)
    assert isinstance(parts, dict)
    chosen = parts.pop("chosen")
    settings = {key: value for key, value in parts.items() if key not in ("seed", "episodes", "out", "view")}
    return {"policy": chosen["policy"], "task": chosen["task"], "chosen": chosen, "config": settings}


# ------------------------------------------------------------------------------------------------------ refusing


def _check_targets(node: Any, path: str = "") -> None:
    """Refuse classes of packages that are not trusted: building one runs its code."""
    if isinstance(node, ListConfig):
        for index, item in enumerate(node):
            _check_targets(item, f"{path}[{index}]")
    elif isinstance(node, DictConfig):
        if "_target_" in node:
            _check_target(str(node["_target_"]), path)
        for key in node:
            _check_targets(node[key], f"{path}.{key}" if path else str(key))


def _check_target(target: str, path: str) -> None:
    """Refuse a name outside the trusted packages, or that is only imported there (sim.assets.Path)."""
    trusted = " or ".join(f"{package}." for package in TRUSTED_PACKAGES)
    if target.split(".")[0] not in TRUSTED_PACKAGES:
        raise ConfigurationError(f"{path}._target_={target}: expected a class of {trusted}")
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        missing = getattr(error, "name", None) or ""
        if isinstance(error, ModuleNotFoundError) and missing.split(".")[0] not in TRUSTED_PACKAGES:
            raise ConfigurationError(
                f"{target} needs the package {missing!r}, which is not installed"
            ) from error
        raise ConfigurationError(f"{path}._target_={target}: there is no such class") from error
    if not inspect.isclass(found) or found.__module__.split(".")[0] not in TRUSTED_PACKAGES:
        raise ConfigurationError(f"{path}._target_={target}: expected a class of {trusted}")


def _check_overrides(name: str, overrides: Sequence[str]) -> None:
    """Refuse what Hydra would refuse, in clearer words."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise ConfigurationError(f"{_in_one_line(error, overrides)}; expected key=value") from error
    group_overrides = []
    for override in parsed:
        key = override.key_or_group
        if key in groups() and not override.is_delete():
            known = choices(key)
            if override.value() not in known:
                raise ConfigurationError(_unknown(key, str(override.value()), known))
            group_overrides.append(override.input_line)
    base = compose(name, [line for line in group_overrides if line is not None])
    for override in parsed:
        if not (override.is_add() or override.is_force_add() or override.key_or_group in groups()):
            _check_key(base, override.key_or_group)


def _check_key(base: DictConfig, key: str) -> None:
    """Refuse a key that does not exist, and list the ones beside it."""
    node: Any = base
    above = ""
    for part in key.split("."):
        if not isinstance(node, DictConfig) or part not in node:
            known = (
                [str(name) for name in node if name not in ("_target_", "chosen")]
                if isinstance(node, DictConfig)
                else []
            )
            raise ConfigurationError(_unknown("key", part, sorted(known), f" in {above}" if above else ""))
        above = f"{above}.{part}" if above else part
        node = node[part]


def _unknown(what: str, name: str, known: list[str], where: str = "") -> str:
    close = get_close_matches(name, known, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown {what} {name!r}{where}{hint}; known: {', '.join(known) or 'none'}"


EXPECTED = {  # by words in OmegaConf's own messages
    "converted to Integer": "a whole number",
    "converted to Float": "a number",
    "not a valid bool": "true or false",
}


def _in_one_line(error: Exception, overrides: Sequence[str]) -> str:
    """The first sentence of an error of Hydra's, with the override it is about."""
    cause = error.__cause__ or error
    first = str(cause).strip().splitlines()[0]
    key = getattr(cause, "full_key", None)
    given = next((text for text in overrides if key and text.split("=")[0].lstrip("+~") == key), None)
    expected = next((words for name, words in EXPECTED.items() if name in first), None)
    if given and expected:
        return f"{given}: expected {expected}"
    return f"{given}: {first}" if given else first
