"""How the checkpoints of the embedded VLA's training do in the closed loop, on seeds of their own."""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vla_runtime.commands.workers import workers
from vla_runtime.config import build_runtime, compose_config
from vla_runtime.evaluation.intervals import wilson_interval

FIRST_SCORED_SEED = 2**29  # of episodes that a checkpoint is tried on between rounds
SCORES = "scores.jsonl"


def score(config: DictConfig, folder: Path, name: str) -> None:
    """Run a checkpoint in the closed loop, with guards, on seeds of its own; a line in scores.jsonl for each task."""
    file = folder / SCORES
    known = file.read_text().splitlines() if file.exists() else []
    if not config.score_episodes or any(json.loads(line)["checkpoint"] == name for line in known):
        return
    checkpoint = folder / "checkpoints" / name
    scores: list[dict[str, Any]] = []
    with workers(config.workers) as pool:
        for task in (str(task) for task, share in config.tasks.items() if share > 0):
            seeds = list(range(FIRST_SCORED_SEED, FIRST_SCORED_SEED + config.score_episodes))
            parts = [seeds[rank :: config.workers] for rank in range(config.workers)]
            done = pool.map(_scored, [str(checkpoint)] * len(parts), [task] * len(parts), parts)
            results = [result for part in done for result in part]
            successes = sum(bool(result["success_at_end"]) for result in results)
            low, high = wilson_interval(successes, len(results))
            stages = Counter(str(result["stage"]) for result in results)
            wrong = sum(bool(result["wrong_target"]) for result in results)
            scores.append(
                {"checkpoint": name, "task": task, "successes": successes, "episodes": len(results)}
            )
            scores[-1] |= {"stages": dict(stages), "wrong_target": wrong}
            print(
                f"{name}: {task} {successes} of {len(results)} (95 % interval {100 * low:.0f} to {100 * high:.0f} %), "
                f"stages {dict(stages)}, {wrong} in the wrong place",
                flush=True,
            )
    with file.open("a") as opened:
        opened.writelines(json.dumps(score) + "\n" for score in scores)


def _scored(checkpoint: str, task: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """In a worker: the outcomes of some seeds."""
    import torch

    from vla_runtime.evaluation.rollout import rollout

    torch.set_num_threads(1)
    overrides = ["policy=openvla", f"policy.checkpoint={checkpoint}", f"task={task}", "recorder=none"]
    runtime = build_runtime(compose_config("run_episode", overrides))
    try:
        with tempfile.TemporaryDirectory() as folder:
            return [dict(rollout(runtime, seed, Path(folder) / f"{seed}")) for seed in seeds]
    finally:
        runtime.environment.close()
