"""What a simulated step costs, in CPU time and wall time, beside panda-gym in the same run.

Rounds interleave the variants, so that a machine that gets busier or quieter meets them all alike; the median over
rounds is reported. CPU time is that of this process: PyBullet's physics and TinyRenderer run in one thread.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import gymnasium
import numpy as np

from sim.cameras import Camera, Light
from sim.environment import TabletopEnv
from sim.experts import TabletopExpert
from sim.world import World

TASK = "place_in"
WRIST = Camera(on_wrist=True, eye=(0.10, 0.0, -0.09), target=(0.02, 0.0, 0.05), vertical_fov_deg=66.0)
PEER_STEPS_S = 0.04  # [s] simulated by one step of panda-gym: 20 substeps at 500 Hz


@dataclass(frozen=True)
class Sample:
    """The cost of some steps.

    Attributes:
        steps: How many.
        cpu_s, wall_s: Of all of them together [s].
        physics_cpu_s: CPU time inside the bare `stepSimulation` calls they contain [s].
    """

    steps: int
    cpu_s: float
    wall_s: float
    physics_cpu_s: float = 0.0


Variant = Callable[[int, int], Sample]


def own_variants(pixels: int) -> dict[str, Variant]:
    """Our environment without a camera and with several, by name. Args: pixels: image side [px]."""
    front = Camera(width=pixels, height=pixels)
    wrist = Camera(pixels, pixels, WRIST.eye, WRIST.target, WRIST.vertical_fov_deg, on_wrist=True)
    return {
        "state only": _tabletop(cameras={}),
        "front camera": _tabletop(cameras={"front": front}),
        "front camera, background not cached": _tabletop(cameras={"front": front}, cached_background=False),
        "front camera with shadows": _tabletop(cameras={"front": front}, light=Light(shadows=True)),
        "front and wrist camera": _tabletop(cameras={"front": front, "wrist": wrist}),
    }


def peer_variants(pixels: int) -> dict[str, Variant]:
    """panda-gym's PandaPickAndPlace-v3, or nothing where it is not installed. Args: pixels: image side [px]."""
    try:
        import panda_gym  # noqa: F401  # pyright: ignore[reportMissingImports]  the extra "peers"
    except ImportError:
        return {}

    def variant(*, render: bool) -> Variant:
        size: dict[str, Any] = {"render_width": pixels, "render_height": pixels}
        env = gymnasium.make("PandaPickAndPlace-v3", render_mode="rgb_array", **size)

        def run(seed: int, steps: int) -> Sample:
            env.reset(seed=seed)
            env.action_space.seed(seed)
            actions = [env.action_space.sample() for _ in range(steps)]
            with _stopwatch() as spent:
                for action in actions:
                    if env.step(action)[3]:
                        env.reset()
                    if render:
                        env.render()
            return Sample(steps, *spent)

        return run

    return {"panda-gym step": variant(render=False), "panda-gym step and render": variant(render=True)}


def measure(variants: dict[str, Variant], rounds: int, steps: int) -> Iterator[dict[str, Sample]]:
    """One dictionary per round. The first, which warms up caches, is not given."""
    for round_ in range(rounds + 1):
        samples = {name: variant(round_, steps) for name, variant in variants.items()}
        if round_ > 0:
            yield samples


def summary(samples: list[dict[str, Sample]]) -> dict[str, dict[str, float]]:
    """Medians over rounds, per step [ms], and steps per CPU-second."""
    table = {}
    for name in samples[0]:
        own = [round_[name] for round_ in samples]
        cpu_ms = median(sample.cpu_s / sample.steps * 1e3 for sample in own)
        row = {
            "cpu_ms": cpu_ms,
            "wall_ms": median(sample.wall_s / sample.steps * 1e3 for sample in own),
            "steps_per_cpu_s": 1e3 / cpu_ms,
        }
        if own[0].physics_cpu_s:
            row["physics_cpu_ms"] = median(sample.physics_cpu_s / sample.steps * 1e3 for sample in own)
            row["cpu_over_physics"] = median(sample.cpu_s / sample.physics_cpu_s for sample in own)
        table[name] = row
    return table


def _tabletop(**settings: Any) -> Variant:
    env = TabletopEnv(TASK, after_success_s=1e9, **settings)
    expert = TabletopExpert()

    def run(seed: int, steps: int) -> Sample:
        env.reset(seed=seed)
        cpu = wall = physics = 0.0
        for _ in range(steps):
            action = expert.act(env)
            with _timed_physics(env.simulation.world) as inside, _stopwatch() as spent:
                _, _, _, truncated, _ = env.step(action)
            cpu, wall, physics = cpu + spent[0], wall + spent[1], physics + sum(inside)
            if truncated:
                env.reset(seed=seed)
        return Sample(steps, cpu, wall, physics)

    return run


@contextmanager
def _stopwatch() -> Iterator[list[float]]:
    """CPU and wall time of a block [s], filled in at its end."""
    spent: list[float] = []
    cpu, wall = time.process_time(), time.perf_counter()
    yield spent
    spent += [time.process_time() - cpu, time.perf_counter() - wall]


@contextmanager
def _timed_physics(world: World) -> Iterator[list[float]]:
    """CPU times of the calls of `world.step` in a block [s]."""
    inside: list[float] = []

    def step(substeps: int = 1) -> None:
        start = time.process_time()
        World.step(world, substeps)
        inside.append(time.process_time() - start)

    world.step = step  # type: ignore[method-assign]
    try:
        yield inside
    finally:
        del world.step


def compare_images(pixels: int, episodes: int) -> int:
    """How many pixel values differ between cached and uncached background, over whole expert episodes."""
    cameras = {"front": Camera(width=pixels, height=pixels)}
    cached, whole = (TabletopEnv(TASK, cameras=cameras, cached_background=flag) for flag in (True, False))
    expert = TabletopExpert()
    differing = 0
    for seed in range(episodes):
        first, second = cached.reset(seed=seed)[0], whole.reset(seed=seed)[0]
        ended = False
        while not ended:
            differing += int(np.count_nonzero(first["images"]["front"] != second["images"]["front"]))
            action = expert.act(cached)
            first, _, terminated, truncated, _ = cached.step(action)
            second = whole.step(action)[0]
            ended = terminated or truncated
    return differing
