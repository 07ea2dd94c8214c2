"""Calibrate the guard of confidence for a checkpoint, from a run whose episodes were recorded.

vla-run policy=openvla policy.checkpoint=DIR episodes=100 recorder=steps out=runs
python scripts/calibrate_confidence.py runs=runs out=confidence.json
vla-run policy=openvla policy.checkpoint=DIR guards.confidence.calibration=confidence.json
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore

from vla_runtime.commands.command_line import run_command
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError, InvalidRecord
from vla_runtime.evaluation.calibration import conformal_threshold, episode_scores
from vla_runtime.recording.files import write_json


@dataclass
class CalibrationSettings:
    """The settings of configs/calibrate_confidence.yaml."""

    runs: str | None = None
    window_steps: int = 5
    alarm_share: float = 0.05
    out: str = "confidence.json"


ConfigStore.instance().store(name="calibration_settings", node=CalibrationSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("calibrate_confidence", arguments)
    if not 0.0 < config.alarm_share < 1.0:
        raise ConfigurationError(f"alarm_share={config.alarm_share}: expected more than 0 and less than 1")
    if config.window_steps < 1:
        raise ConfigurationError(f"window_steps={config.window_steps}: expected 1 or more")
    folder = Path(config.runs or "")
    episodes = sorted(folder.glob("episode_*"))
    if config.runs is None or not episodes:
        raise ConfigurationError(f"runs={config.runs}: expected a folder of vla-run with several episodes")
    scores, checksums = episode_scores(episodes, config.window_steps)
    if len(checksums) > 1:
        raise InvalidRecord(f"{folder}: episodes of {len(checksums)} checkpoints; expected one")
    threshold = conformal_threshold(scores, config.alarm_share)
    content = {
        "threshold_nats": threshold,
        "window_steps": config.window_steps,
        "alarm_share": config.alarm_share,
        "episodes": len(scores),
        "checkpoint_checksum": next(iter(checksums)),
    }
    write_json(Path(config.out), content)
    print(f"threshold {threshold:.4g} nats from {len(scores)} successful episodes: {config.out}")
    return 0


if __name__ == "__main__":
    run_command(main)
