"""The embedded VLA from nothing: collect, clone, let it drive and correct it, average, export. One command, resumable."""

import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Any, final

import numpy as np
from hydra.core.config_store import ConfigStore
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vla_runtime.commands.command_line import run_command
from vla_runtime.config import build_runtime, compose_config
from vla_runtime.errors import ConfigurationError, WorkerLost
from vla_runtime.evaluation.intervals import wilson_interval

FIRST_SCORED_SEED = 2**29  # of episodes that a checkpoint is tried on between rounds
SCORES = "scores.jsonl"
FIRST_SEED = 2**30  # of episodes that are learnt from; runs and benchmarks have smaller ones
SEEDS_PER_SHARD = 1000
SHARDS_PER_ROUND = 10_000
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
FIRST_PORT, PORTS = 29_400, 500  # on this machine, where the training's processes meet
DONE = "done.json"


@dataclass
class TrainEmbeddedSettings:
    """The settings of configs/train_embedded.yaml."""

    out: str = "outputs/embedded"
    seed: int = 0
    workers: int = 2
    tasks: dict[str, float] = field(default_factory=dict)
    first_frames: int = 30_000
    round_frames: int = 10_000
    rounds: int = 6
    first_steps: int = 6000
    round_steps: int = 1500
    last_steps: int = 2500
    batch_size: int = 32
    instructions: int = 4
    recent_weight: float = 3.0
    expert_share: float = 0.3
    shard_frames: int = 1000
    save_every: int = 250
    score_episodes: int = 40
    view: bool = False
    task: Any = None
    robot: Any = None
    environment: Any = None
    lessons: Any = None
    driving: Any = None
    size: Any = None
    rates: Any = None
    weights: Any = None
    chosen: Any = None


ConfigStore.instance().store(name="train_embedded_settings", node=TrainEmbeddedSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return 0
    config = compose_config("train_embedded", [argument for argument in arguments if argument != "--config"])
    if "--config" in arguments:
        print(OmegaConf.to_yaml(config), end="")
        return 0
    if not config.tasks or min(config.tasks.values()) < 0 or sum(config.tasks.values()) <= 0:
        raise ConfigurationError("tasks: expected shares by task, for example tasks.pick=0.5")
    os.environ.update(THREADS)
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    overrides = [argument for argument in arguments if argument != "--config"]
    done = 0
    for round_ in range(config.rounds + 1):
        frames = config.first_frames if round_ == 0 else config.round_frames
        driver = None if round_ == 0 else folder / "checkpoints" / _round(round_ - 1)
        _collect(config, overrides, folder, round_, frames, driver)
        start, done = done, done + (config.first_steps if round_ == 0 else config.round_steps)
        _train(config, folder, _round(round_), (start, done, False))
        _score(config, folder, _round(round_))
    _train(config, folder, "final", (done, done + config.last_steps, True))
    _score(config, folder, "final")
    return 0


def _round(number: int) -> str:
    return f"round_{number:02d}"


def run() -> None:
    """The command's entry point."""
    run_command(main)


@contextmanager
def _pool(workers: int) -> Iterator[Executor]:
    """Processes that work; one alone works in this process."""
    if workers == 1:
        yield _Here()
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _leave_interrupts) as pool:
        try:
            yield pool
        except KeyboardInterrupt:
            _stop_children()
            raise
        except BrokenProcessPool as error:
            raise WorkerLost(
                "a worker process was killed; the same command goes on, workers=1 needs least"
            ) from error


def _leave_interrupts() -> None:
    """Ctrl-C on a terminal reaches workers too, and is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _stop_children() -> None:
    """What they were at is lost, what is on disk stays."""
    for child in active_children():
        child.terminate()


class _Here(Executor):
    """Does the work at once, in this process."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


# ---------------------------------------------------------------------------------------------------- collecting


def _collect(
    config: DictConfig, overrides: list[str], folder: Path, round_: int, frames: int, driver: Path | None
) -> None:
    """Fill a round's folder with shards; those that are there already stay."""
    shards = folder / "frames" / _round(round_)
    shards.mkdir(parents=True, exist_ok=True)
    if (shards / DONE).exists():
        return
    began_s, made, number = time.monotonic(), 0, 0
    wins: list[bool] = []
    with _pool(config.workers) as pool:
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
        json.dumps({"frames": made, "achieved": float(np.mean(wins)), "episodes": len(wins)}) + "\n"
    )


_environments: dict[str, Any] = {}
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
    if not _environments:
        for name in tasks:
            own = compose_config("train_embedded", [*overrides, f"task={name}"])
            _environments[str(name)] = instantiate(own.environment, _convert_="object")
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
    won: list[bool] = []
    while len(writer) < config.shard_frames:
        task = str(rng.choice(list(tasks), p=shares))
        simulator = _environments[task].simulator
        won.append(collect(simulator, make_lessons, writer, first + len(won), driving, policy))
    writer.write(path)
    return len(writer), won


# ------------------------------------------------------------------------------------------------------- scoring


def _score(config: DictConfig, folder: Path, name: str) -> None:
    """Run a checkpoint in the closed loop, with guards, on seeds of its own; a line in scores.jsonl for each task."""
    file = folder / SCORES
    known = file.read_text().splitlines() if file.exists() else []
    if not config.score_episodes or any(json.loads(line)["checkpoint"] == name for line in known):
        return
    checkpoint = folder / "checkpoints" / name
    scores: list[dict[str, Any]] = []
    with _pool(config.workers) as pool:
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


# ------------------------------------------------------------------------------------------------------ training


def _train(config: DictConfig, folder: Path, name: str, stretch: tuple[int, int, bool]) -> None:
    """Train on all frames so far, in as many processes as there are workers, and export the averaged weights."""
    out = folder / "checkpoints" / name
    if out.exists():
        return
    context = get_context("spawn")
    plain: Any = OmegaConf.to_container(config)
    port = FIRST_PORT + os.getpid() % PORTS
    if config.workers == 1:
        _train_process(0, plain, str(folder), stretch, str(out), port)
        return
    processes = [
        context.Process(target=_train_process, args=(rank, plain, str(folder), stretch, str(out), port))
        for rank in range(config.workers)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join()
    except KeyboardInterrupt:
        _stop_children()
        raise
    if any(process.exitcode for process in processes):
        codes = ", ".join(str(process.exitcode) for process in processes)
        raise WorkerLost(
            f"the training's processes ended with exit codes {codes}; expected 0; the same command goes on"
        )


def _train_process(
    rank: int, plain: dict[str, Any], folder: str, stretch: tuple[int, int, bool], out: str, port: int
) -> None:
    """One of the training's processes."""
    if rank or parent_process() is not None:
        _leave_interrupts()
    from vla_runtime.pretraining.batches import Classes
    from vla_runtime.pretraining.session import TrainingSettings, train_stretch
    from vla_runtime.pretraining.trainer import Stretch

    config: Any = OmegaConf.create(plain)
    lessons = instantiate(config.lessons).func
    settings = TrainingSettings(
        Path(folder),
        Classes(lessons.kinds, lessons.colours),
        instantiate(config.size, _convert_="object"),
        instantiate(config.rates),
        instantiate(config.weights),
        config.batch_size,
        config.instructions,
        config.recent_weight,
        config.save_every,
        config.seed,
        config.workers,
    )
    start, stop, last = stretch
    train_stretch(settings, Stretch(start, stop, last), Path(out), rank, port, PrintedProgress(stop))


@final
class PrintedProgress:
    """A line every so many steps."""

    def __init__(self, stop: int, every: int = 50) -> None:
        """Args: stop: the last step; every: steps between two lines."""
        self._stop, self._every = stop, every
        self._window: list[Mapping[str, float]] = []
        self._began_s = time.monotonic()

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        """Take in a step."""
        self._window.append(numbers)
        if step % self._every:
            return
        means = {name: float(np.mean([row[name] for row in self._window])) for name in numbers}
        seconds, self._began_s = time.monotonic() - self._began_s, time.monotonic()
        left_min = (self._stop - step) * seconds / len(self._window) / 60
        self._window.clear()
        print(
            f"step {step} of {self._stop}: loss {means['loss']:.2f}, actions {means['action']:.3f} nats and "
            f"{means['off_bins']:.1f} bins off, gripper {100 * means['gripper']:.1f} %, named thing found "
            f"{100 * means['found']:.0f} %, {left_min:.0f} min left",
            flush=True,
        )
