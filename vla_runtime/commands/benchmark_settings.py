"""The settings of vla-benchmark; whoever composes its configuration imports this first, in workers too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from vla_runtime.config import EpisodeSettings, compose_config


@dataclass
class BenchmarkSettings(EpisodeSettings):
    """The settings of configs/benchmark.yaml."""

    episodes: int | None = None  # type: ignore[assignment]
    workers: int | None = None
    cases: Any = None
    suite: Any = None
    sequential: bool = False
    films: Any = None
    executor: Any = None


ConfigStore.instance().store(name="benchmark_settings", node=BenchmarkSettings)


def compose_benchmark(overrides: Sequence[str]) -> DictConfig:
    """The configuration of a benchmark. Raises ConfigurationError: in one line."""
    return compose_config("benchmark", overrides)
