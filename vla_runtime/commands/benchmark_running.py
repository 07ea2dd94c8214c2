"""The episodes of a benchmark: played by workers, written down in order."""

import gc
import sys
import tempfile
import time
import traceback
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

from vla_runtime.commands.benchmark_progress import Tally, progress
from vla_runtime.commands.benchmark_settings import compose_benchmark
from vla_runtime.commands.command_line import user_message
from vla_runtime.config import build_runtime
from vla_runtime.errors import VLARuntimeError
from vla_runtime.evaluation.film import Film, FilmWatch, write_film
from vla_runtime.evaluation.motion import MotionWatch
from vla_runtime.evaluation.results_log import ResultsLog, TimingsLog
from vla_runtime.evaluation.rollout import Runtime, rollout
from vla_runtime.evaluation.suites import Case, decided

AHEAD = 2  # [episodes] that each worker may be ahead of what is written down
FILMS = "films"  # folder of videos
KEPT = (
    "seed", "success_at_end", "success_once", "stage", "target", "first_lifted", "wrong_target", "drops", "chance_level",
    "steps", "simulated_s", "ended_by", "end_reason", "interventions", "state_hash", "image_hash",
)  # fmt: skip
TIMED = ("stage_ms", "observation_age_ms")


@dataclass(frozen=True)
class Job:
    """An episode to be played.

    Attributes:
        case: Its name.
        seed: Of the episode.
        overrides: Settings of the command and of the case.
        filmed: The outcomes of which a video is wanted: True of a success, False of a failure.
    """

    case: str
    seed: int
    overrides: tuple[str, ...]
    filmed: frozenset[bool] = frozenset()


@dataclass(frozen=True)
class Played:
    """What a worker gives back.

    Attributes:
        result: For results.jsonl.
        timing: For timings.jsonl; None when the episode crashed.
        film: Where one was wanted.
        refused: What the user must change, in one line; nothing else counts then.
    """

    result: Mapping[str, Any]
    timing: Mapping[str, Any] | None = None
    film: Film | None = None
    refused: str | None = None


def run_cases(
    logs: tuple[ResultsLog, TimingsLog],
    cases: Mapping[str, Case],
    overrides: Sequence[str],
    config: DictConfig,
    folder: Path,
    console: Console,
) -> None:
    """Play every episode that is not there yet.

    The order in which results are written does not depend on the number of workers, nor does it at which episode a case is
    decided: what was on its way then is dropped.
    """
    log, timings = logs
    todo = deque(
        (name, seed)
        for name, case in cases.items()
        for seed in range(config.seed, config.seed + case.episodes)
        if not log.has(name, seed)
    )
    total = sum(case.episodes for case in cases.values())
    executor = instantiate(config.executor)
    count = executor.capacity(config.workers)
    over = {name for name, case in cases.items() if config.sequential and decided(case, log.of(name))}
    films = _Films(log, cases, config.films)
    pending: deque[tuple[Job, Future[Played]]] = deque()
    with (
        executor.open(min(count, max(len(todo), 1)), forget) as pool,
        progress(console, total) as (bar, shown),
    ):
        tally = Tally(log, cases, console, len(todo))
        bar.update(shown, completed=total - len(todo), description=str(tally))
        while todo or pending:
            while todo and len(pending) < (AHEAD * count if count > 1 else 1):
                name, seed = todo.popleft()
                if name not in over:
                    job = Job(name, seed, (*overrides, *cases[name].overrides), films.wanted(name))
                    pending.append((job, pool.submit(play, job)))
            if not pending:
                break
            job, future = pending.popleft()
            played = future.result()
            if played.refused is not None:
                raise VLARuntimeError(played.refused)
            if job.case in over:
                continue
            won = bool(played.result.get("success_at_end"))
            if played.film is not None and won in films.wanted(job.case):
                write_film(film_path(folder, job.case, job.seed), played.film)
            if played.timing is not None:
                timings.add(job.case, job.seed, played.timing)
            log.add(job.case, played.result)
            films.count(job.case, played.result)
            tally.add(job.case, played.result)
            bar.update(shown, advance=1, description=str(tally))
            if config.sequential and decided(cases[job.case], log.of(job.case)):
                over.add(job.case)
                done = len(log.of(job.case))
                console.print(f"  {job.case}: decided after {done} episodes", highlight=False)


@final
class _Films:
    """Which episodes are still wanted as videos: the first failures and successes of each case."""

    def __init__(self, log: ResultsLog, cases: Mapping[str, Case], wished: Any) -> None:
        self._wished = {False: int(wished.failures), True: int(wished.successes)}
        self._made: Counter[tuple[str, bool]] = Counter()
        for name in cases:
            for result in log.of(name):
                self.count(name, result)

    def count(self, case: str, result: Mapping[str, Any]) -> None:
        """Take in an episode."""
        if result["status"] == "finished":
            self._made[case, bool(result["success_at_end"])] += 1

    def wanted(self, case: str) -> frozenset[bool]:
        """The outcomes of which videos are missing."""
        return frozenset(kind for kind in (False, True) if self._made[case, kind] < self._wished[kind])


def film_path(folder: Path, case: str, seed: int) -> Path:
    """Of the video of an episode, without suffix."""
    return folder / FILMS / f"{case}_{seed:06d}"


# ------------------------------------------------------------------------------------------------------ in a worker


_built: tuple[tuple[str, ...], Runtime, float] | None = None


def play(job: Job) -> Played:
    """The episode of a seed. A crash is a result of its own kind."""
    began_s = time.perf_counter()
    try:
        runtime, control_hz = _runtime(job.overrides)
        motion, camera = MotionWatch(control_hz), FilmWatch(control_hz)
        with tempfile.TemporaryDirectory() as folder:
            watchers = [motion, camera] if job.filmed else [motion]
            result = rollout(runtime, job.seed, Path(folder) / "episode", watchers)
        film = camera.developed() if bool(result["success_at_end"]) in job.filmed else None
    except Exception as error:
        refused = user_message(error)
        if refused is not None:
            return Played({}, refused=refused)
        traceback.print_exc()
        return Played({"status": "crashed", "seed": job.seed, "error": f"{type(error).__name__}: {error}"})
    kept = {
        "status": "finished",
        **{name: result[name] for name in KEPT if name in result},
        "instruction": motion.instruction,
        **motion.told(),
        "checksum": result["policy_details"].get("checksum"),
    }
    timed = {name: result[name] for name in TIMED if name in result}
    return Played(kept, {"wall_s": round(time.perf_counter() - began_s, 3), **timed}, film)


def _runtime(overrides: tuple[str, ...]) -> tuple[Runtime, float]:
    global _built
    if _built is None or _built[0] != overrides:
        forget()
        config = compose_benchmark(overrides)
        _built = (overrides, build_runtime(config), float(config.environment.control_hz))
        if "torch" in sys.modules:  # sums depend on the number of threads, and results must not
            sys.modules["torch"].set_num_threads(1)
    return _built[1], _built[2]


def forget() -> None:
    """Close what was built, and let go of Ruckig's objects before the interpreter ends."""
    global _built
    if _built is not None:
        _built[1].environment.close()
    _built = None
    gc.collect()
