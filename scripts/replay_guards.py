"""Judge a recorded episode again: the same guards, shown the same, must say the same to the last bit.

python scripts/replay_guards.py outputs/run_episode/.../guards.jsonl
python scripts/replay_guards.py RECORD guards.workspace.z_m=[0.05,0.6]    # what other limits would have said

Exit code: 0 when every step is equal, 1 when one differs, 2 when the record cannot be read or was changed.
"""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vla_runtime.commands.command_line import EXIT_FAILED, run_command
from vla_runtime.config import build_chain
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.replay import read_record, replay

SETTINGS = ("guards", "arm", "spec", "statistics", "checkpoint_checksum")
SHOWN = 10  # [steps] that are listed


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or not arguments:
        print(__doc__)
        return 0
    header, steps = read_record(Path(arguments[0]))
    settings = {name: header[name] for name in SETTINGS}
    replayed = replay(steps, build_chain(_changed(settings, arguments[1:])))
    for step, what in replayed.differing[:SHOWN]:
        print(f"step {step}: {what}")
    if len(replayed.differing) > SHOWN:
        print(f"and {len(replayed.differing) - SHOWN} more")
    print(
        f"{replayed.steps} steps with {replayed.interventions} interventions judged again: "
        f"{len(replayed.differing)} differ"
    )
    return EXIT_FAILED if replayed.differing else 0


def _changed(settings: dict, overrides: Sequence[str]) -> dict:
    """The settings with other limits."""
    if not overrides:
        return settings
    config = OmegaConf.create(settings)
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not equals or OmegaConf.select(config, key) is None:
            raise ConfigurationError(
                f"{override}: expected guards.NAME.LIMIT=VALUE with a limit of the record"
            )
    try:
        merged = OmegaConf.merge(config, OmegaConf.from_dotlist(list(overrides)))
    except OmegaConfBaseException as error:
        raise ConfigurationError(f"{' '.join(overrides)}: {str(error).splitlines()[0]}") from error
    content = OmegaConf.to_container(merged)
    assert isinstance(content, dict)
    return content


if __name__ == "__main__":
    run_command(main)
