"""Kill a process that records, at random moments, and look what is left: every finished episode must be whole.

python scripts/kill_recording.py
python scripts/kill_recording.py kills=5 seed=3

Exit code: 0 when nothing was lost and every data set verifies after repair, else 1.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore
from rich.progress import track

from vla_runtime.commands.command_line import EXIT_FAILED, output_folder, run_command
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.kills import Survey, survive
from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.recording.files import writable_folder, write_json


@dataclass
class KillSettings:
    """The settings of configs/kill_recording.yaml."""

    kills: int = 50
    seed: int = 0
    longest_s: float = 2.5
    out: str | None = None


ConfigStore.instance().store(name="kill_settings", node=KillSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("kill_recording", arguments)
    if not 1 <= config.kills <= 10**5:
        raise ConfigurationError(f"kills={config.kills}: expected a whole number from 1 to 100000")
    if not 0 < config.longest_s <= 60:
        raise ConfigurationError(f"longest_s={config.longest_s}: expected more than 0 and at most 60 [s]")
    folder = writable_folder(output_folder(config.out, "kill_recording"), "out")
    survey = Survey()
    with tempfile.TemporaryDirectory() as sets:
        rounds = survive(Path(sets), config.kills, config.seed, config.longest_s)
        for so_far in track(rounds, "killing", total=config.kills, transient=True):
            survey = so_far
    result = {**vars(survey), "versions": package_versions(), "machine": machine()}
    write_json(folder / "result.json", result)
    for line in survey.wrong:
        print(line)
    print(
        f"{survey.kills} kills: {survey.reported} episodes reported finished, all compared with their origin"
    )
    print(f"{survey.unreported} more were finished by repair or before they could be reported")
    print(f"repair: {dict(survey.changes.most_common()) or 'nothing to do'}")
    print(f"wrong: {len(survey.wrong)}")
    return EXIT_FAILED if survey.wrong else 0


if __name__ == "__main__":
    run_command(main)
