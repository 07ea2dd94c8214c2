"""vla-collect: demonstrations of the scripted expert, in parallel processes, as a LeRobotDataset."""

import gc
import os
import shutil
import tempfile
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vla_runtime.commands.command_line import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    output_folder,
    run_command,
    user_message,
)
from vla_runtime.commands.workers import workers
from vla_runtime.config import EpisodeSettings, build_runtime, choices, compose_config
from vla_runtime.datasets import DatasetWriter, Feature, VideoCodec
from vla_runtime.datasets.layout import INFO
from vla_runtime.datasets.notes import read_notes
from vla_runtime.datasets.repair import repair
from vla_runtime.errors import ConfigurationError, VLARuntimeError
from vla_runtime.evaluation.collection import Attempt, CollectionLog
from vla_runtime.evaluation.intervals import wilson_interval
from vla_runtime.evaluation.rollout import Runtime, rollout
from vla_runtime.recording.files import writable_folder
from vla_runtime.recording.lerobot import StagingRecorder

LARGEST_SEED = 2**31 - 1
WORKPLACE = ".collecting"  # in the data set's folder: episodes that nobody has decided about yet
AHEAD = 2  # [episodes] that each worker may be ahead of the data set
HELP = """\
vla-collect: demonstrations of the scripted expert, in parallel processes, as a LeRobotDataset.

  vla-collect task=place_in episodes=200 out=data/place_in
  vla-collect task=pick environment.env.instructions_per_scene=3 episodes=300 out=data/pick
  vla-collect policy=dagger policy.driver.checkpoint=FOLDER episodes=100 out=data/round_1

Every frame's action is what the expert would do there. By default it is pushed off its way now and then (policy.noise), so that
its way back is seen; with policy=dagger the policy that is being trained drives, and the expert takes over now and then.

Settings (key=value, in any order):
  policy=demonstrator  {policy}
  task=place_in        {task}
  environment=...      {environment}
  guards=simulation    {guards}
  out=DIR              the data set; one that is there is gone on with
  episodes=20          how many the data set shall have
  seed=0               of the first attempt; each attempt has the next one
  workers=null         processes; null: one per core
  only_success=true    episodes without success are left out
  give_up_after=50     attempts in a row without an episode to keep

Every other setting of every part:  vla-collect --config  prints them all.

Episodes are kept in the order of their seeds, so the data set is the same whatever the number of workers. Ctrl-C and a kill lose no
finished episode: the same command goes on.
Exit code: 0 when the data set has as many episodes as asked, 1 when it gave up, 2 when something was refused, 130 on Ctrl-C.
"""


@dataclass
class CollectSettings(EpisodeSettings):
    """The settings of configs/collect_demos.yaml."""

    episodes: int = 20
    workers: int | None = None
    only_success: bool = True
    give_up_after: int = 50
    codec: str = "libx264"
    group: int = 2


ConfigStore.instance().store(name="collect_settings", node=CollectSettings)


@dataclass(frozen=True)
class Staged:
    """What a worker made of a seed.

    Attributes:
        attempt: How it went.
        folder: Of the staged episode; None when it crashed.
        features: Of the episode's frames.
    """

    attempt: Attempt
    folder: Path | None
    features: Mapping[str, Feature]


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        groups = {group: ", ".join(choices(group)) for group in ("policy", "task", "environment", "guards")}
        print(HELP.format(**groups), end="")
        return 0
    config = compose_config("collect_demos", [argument for argument in arguments if argument != "--config"])
    _check(config)
    if "--config" in arguments:
        print(OmegaConf.to_yaml(config), end="")
        return 0
    config.workers = config.workers or os.cpu_count() or 1
    folder = writable_folder(output_folder(config.out, "collect_demos"), "out")
    console = Console()
    with Collection(config, folder, console) as collection:
        try:
            done = collection.run()
        except KeyboardInterrupt:
            console.print("[yellow]interrupted[/yellow]: the same command goes on")
            return EXIT_INTERRUPTED
        finally:
            collection.summarise()
    return 0 if done else EXIT_FAILED


def _check(config: DictConfig) -> None:
    for name, low, high in (
        ("seed", 0, LARGEST_SEED),
        ("episodes", 1, 10_000_000),
        ("workers", 1, 1024),
        ("give_up_after", 1, 1_000_000),
        ("holds_before_stop", 1, 1000),
    ):
        if config[name] is not None and not low <= config[name] <= high:
            raise ConfigurationError(f"{name}={config[name]}: expected a whole number from {low} to {high}")
    if not config.environment.env.cameras:
        raise ConfigurationError("environment.env.cameras is empty: expected at least one camera to record")


class Collection:
    """Attempts in parallel, decided about in the order of their seeds."""

    def __init__(self, config: DictConfig, folder: Path, console: Console) -> None:
        """Go on with what is there. Raises ConfigurationError when it was collected with other settings."""
        self._config, self._folder, self._console = config, folder, console
        plain = OmegaConf.to_container(config)
        assert isinstance(plain, dict)
        self._log = CollectionLog(folder, {str(name): value for name, value in plain.items()})
        self._writer: DatasetWriter | None = None
        self._workplace = folder / WORKPLACE

    def __enter__(self) -> "Collection":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Bring the data set's statistics up to date, and remove what nobody decided about."""
        shutil.rmtree(self._workplace, ignore_errors=True)
        if self._writer is not None:
            self._writer.close()

    def run(self) -> bool:
        """Collect. Whether the data set has as many episodes as were asked for."""
        self._reconcile()
        shutil.rmtree(self._workplace, ignore_errors=True)
        given = (OmegaConf.to_container(self._config), self._workplace)
        count = int(self._config.workers)
        with (
            workers(count, _start_worker, given, _forget_worker) as pool,
            self._progress() as (bar, task),
        ):
            return self._run(pool, bar, task)

    def _run(self, pool: Executor, bar: Progress, task: Any) -> bool:
        pending: deque[Future[Staged]] = deque()
        seed = self._log.next_seed
        seed = self._config.seed if seed is None else seed
        in_vain = 0
        while self._log.kept < self._config.episodes:
            ahead = AHEAD * self._config.workers if self._config.workers > 1 else 1
            while len(pending) < ahead and seed <= LARGEST_SEED:
                pending.append(pool.submit(_attempt, seed))
                seed += 1
            kept = self._decide(pending.popleft().result())
            bar.update(task, completed=self._log.kept, description=self._tally())
            in_vain = 0 if kept else in_vain + 1
            if in_vain >= self._config.give_up_after:
                self._console.print(
                    f"[red]gave up[/red]: {in_vain} attempts in a row without an episode to keep"
                )
                return False
        return True

    def _decide(self, staged: Staged) -> bool:
        """Keep an episode or leave it out, and write down which."""
        attempt, number = staged.attempt, None
        if staged.folder is not None and (attempt.success or not self._config.only_success):
            if self._writer is None:
                fps, robot = int(self._config.environment.control_hz), self._config.chosen.robot
                self._writer = DatasetWriter(self._folder, staged.features, fps, robot)
            number = self._writer.add(staged.folder)
        elif staged.folder is not None:
            shutil.rmtree(staged.folder, ignore_errors=True)
        self._log.add(Attempt(**{**vars(attempt), "episode_index": number}))
        if attempt.error:
            self._console.print(f"  seed {attempt.seed}: [red]crashed[/red] ({escape(attempt.error)})")
        elif not self._console.is_terminal and number is not None and (number + 1) % 10 == 0:
            self._console.print(f"  {number + 1} of {self._config.episodes} episodes, {self._tally()}")
        return number is not None

    def _reconcile(self) -> None:
        """An episode that reached the data set just before a kill is in its notes, but not yet in the log."""
        if not (self._folder / INFO).exists():
            return
        episodes = len(repair(self._folder).index.episodes)
        logged = {attempt.seed for attempt in self._log.attempts}
        for number, note in sorted(read_notes(self._folder).items()):
            seed, success, frames = int(note["seed"]), bool(note["success"]), int(note["frames"])
            if self._log.kept <= number < episodes and seed not in logged:
                self._log.add(Attempt(seed, "finished", success, frames, episode_index=number))

    # -------------------------------------------------------------------------------------------------- showing

    def _tally(self) -> str:
        attempts = self._log.attempts
        crashed = sum(attempt.status == "crashed" for attempt in attempts)
        return f"{sum(a.success for a in attempts)} successes of {len(attempts) - crashed}" + (
            f", {crashed} crashed" if crashed else ""
        )

    @contextmanager
    def _progress(self) -> Iterator[tuple[Progress, Any]]:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
        bar = Progress(
            *columns,
            TextColumn("[dim]episodes[/dim]"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        with bar:
            yield bar, bar.add_task(self._tally(), total=self._config.episodes, completed=self._log.kept)

    def summarise(self) -> None:
        """What there is now."""
        finished = [attempt for attempt in self._log.attempts if attempt.status == "finished"]
        if not finished:
            return
        successes = sum(attempt.success for attempt in finished)
        low, high = wilson_interval(successes, len(finished))
        frames = sum(attempt.steps for attempt in finished if attempt.episode_index is not None)
        self._console.print(
            f"{self._log.kept} episodes with {frames} frames; {successes} of {len(finished)} attempts were successes "
            f"(95 % interval {100 * low:.0f} to {100 * high:.0f} %)",
            highlight=False,
            soft_wrap=True,
        )
        self._console.print(f"data set: {escape(str(self._folder))}", highlight=False, soft_wrap=True)


# --------------------------------------------------------------------------------------------------- in a worker

_worker: "_Worker | None" = None


def _start_worker(settings: dict[str, Any], workplace: Path) -> None:
    """What builds a runtime once."""
    global _worker
    _worker = _Worker(OmegaConf.create(settings), workplace)


def _forget_worker() -> None:
    """Let go of Ruckig's objects before the interpreter ends: its bindings complain of what is left then."""
    global _worker
    if _worker is not None:
        _worker.close()
    _worker = None
    gc.collect()


def _attempt(seed: int) -> Staged:
    assert _worker is not None
    return _worker.attempt(seed)


class _Worker:
    """Runs whole episodes and stages them."""

    def __init__(self, config: DictConfig, workplace: Path) -> None:
        self._config, self._workplace = config, workplace
        self._runtime: Runtime | None = None

    def close(self) -> None:
        """Let go of the environment."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.environment.close()

    def _built(self) -> Runtime:
        if self._runtime is None:
            try:
                self._runtime = build_runtime(self._config)
            except Exception as error:
                refused = user_message(error)
                if refused is None:
                    raise
                raise VLARuntimeError(refused) from None
        return self._runtime

    def attempt(self, seed: int) -> Staged:
        """The episode of a seed. A crash is an attempt of its own kind; what the user must change is raised."""
        runtime = self._built()
        video = VideoCodec(self._config.codec, self._config.group)
        recorder = StagingRecorder(
            self._workplace, runtime.environment.action_spec, runtime.description, video
        )
        try:
            with tempfile.TemporaryDirectory() as folder:
                result = rollout(runtime, seed, Path(folder) / "episode", [recorder])
        except Exception as error:
            refused = user_message(error)
            if refused is not None:  # what it came from would not reach the parent
                raise VLARuntimeError(refused) from None
            reason = f"{type(error).__name__}: {error}"
            traceback.print_exc()
            return Staged(Attempt(seed, "crashed", error=reason), None, {})
        success, stage = bool(result["success_at_end"]), result.get("stage")
        attempt = Attempt(seed, "finished", success, result["steps"], stage)
        features = recorder.features if recorder.staged is not None else {}
        return Staged(attempt, recorder.staged, features)


def run() -> None:
    """Entry point of the console command vla-collect."""
    run_command(main)
