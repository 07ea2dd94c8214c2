"""The frames of a round of the embedded VLA's training, collected in parallel processes."""

import json
import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig

from vla_runtime.commands.workers import workers
from vla_runtime.config import compose_config

FIRST_SEED = 2**30  # of episodes that are learnt from; runs and benchmarks have smaller ones
SEEDS_PER_SHARD = 1000
SHARDS_PER_ROUND = 10_000
FRAMES, DONE = "frames", "done.json"
SHARE = "share"  # of a look; its other keys are axes of the environment's variation


def round_name(number: int) -> str:
    """Of a round's folder and checkpoint."""
    return f"round_{number:02d}"


def axes_of(look: Mapping[Any, Any]) -> dict[str, str]:
    """What varies in a look, and how much."""
    return {str(axis): str(level) for axis, level in look.items() if axis != SHARE}


def collect_round(
    config: DictConfig, overrides: list[str], folder: Path, round_: int, frames: int, driver: Path | None
) -> None:
    """Fill a round's folder with shards; those that are there already stay."""
    shards = folder / FRAMES / round_name(round_)
    shards.mkdir(parents=True, exist_ok=True)
    if (shards / DONE).exists():
        return
    began_s, made, number = time.monotonic(), 0, 0
    wins: list[bool] = []
    with workers(config.workers) as pool:
        pending: list[Any] = []
        while made < frames or pending:
            while made + len(pending) * config.shard_frames < frames and len(pending) < config.workers:
                job = (overrides, str(shards), round_, number, str(driver) if driver else None)
                pending.append(pool.submit(_collect_shard, *job))
                number += 1
            count, won = pending.pop(0).result()
            made += count
            wins += won
            rate = made / (time.monotonic() - began_s)
            print(
                f"round {round_}: {made} of {frames} frames, {rate:.0f}/s, {np.mean(wins):.2f} of episodes achieved",
                flush=True,
            )
    (shards / DONE).write_text(
        json.dumps(
            {
                "frames": made,
                "achieved": float(np.mean(wins)),
                "episodes": len(wins),
                "seconds": time.monotonic() - began_s,
            }
        )
        + "\n"
    )


_environments: dict[tuple[str, str], Any] = {}  # by task and look
_policies: dict[str, Any] = {}


def _collect_shard(
    overrides: list[str], folder: str, round_: int, number: int, driver: str | None
) -> tuple[int, list[bool]]:
    """In a worker: drive episodes until a shard is full. Returns frames, and which episodes were achieved."""
    from vla_runtime.pretraining.collecting import collect, shard_path
    from vla_runtime.pretraining.shards import ShardWriter

    path = shard_path(Path(folder), number)
    if path.exists():
        with np.load(path) as file:
            return len(file["images"]), [True]
    config = compose_config("train_embedded", overrides)
    tasks = {name: share for name, share in config.tasks.items() if share > 0}
    looks = {str(name): look for name, look in config.looks.items() if look[SHARE] > 0}
    if not _environments:
        for task, (name, look) in product(tasks, looks.items()):
            axes = [f"environment.env.variation.{axis}={level}" for axis, level in axes_of(look).items()]
            own = compose_config("train_embedded", [*overrides, f"task={task}", *axes])
            _environments[str(task), name] = instantiate(own.environment, _convert_="object")
    policy = None
    if driver is not None:
        policy = _policies.get(driver)
        if policy is None:
            import torch

            from vla_runtime.policies.openvla import OpenVLAPolicy

            torch.set_num_threads(1)
            policy = _policies[driver] = OpenVLAPolicy(driver, run_self_test=False)
    driving = instantiate(config.driving)
    driving = type(driving)(**{**vars(driving), "expert_share": config.expert_share})
    make_lessons = instantiate(config.lessons)
    writer = ShardWriter(instantiate(config.size).image)
    first = FIRST_SEED + (round_ * SHARDS_PER_ROUND + number) * SEEDS_PER_SHARD
    rng = np.random.default_rng(first)
    shares = np.array(list(tasks.values())) / sum(tasks.values())
    look_shares = np.array([look[SHARE] for look in looks.values()])
    look_shares /= look_shares.sum()
    won: list[bool] = []
    while len(writer) < config.shard_frames:
        task = str(rng.choice(list(tasks), p=shares))
        simulator = _environments[task, str(rng.choice(list(looks), p=look_shares))].simulator
        won.append(collect(simulator, make_lessons, writer, first + len(won), driving, policy))
    writer.write(path)
    return len(writer), won
