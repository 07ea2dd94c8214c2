"""How long an inference counts in simulated time."""

import json
import math
from pathlib import Path
from typing import Any, Protocol, cast, final

import numpy as np

from vla_runtime.errors import ConfigurationError

LONGEST_S = 60.0
P99_SIGMAS = 2.3263478740408408  # of a normal distribution


class Latency(Protocol):
    """Says how long the next inference takes."""

    def draw_s(self, rng: np.random.Generator, index: int, wall_s: float) -> float:
        """The latency [s] of inference number `index`, which took `wall_s` of wall time here."""
        ...


@final
class FixedLatency:
    """Always the same."""

    def __init__(self, latency_s: float) -> None:
        """Args: latency_s: of each inference [s]."""
        self._latency_s = _checked("latency_s", latency_s)

    def draw_s(self, rng: np.random.Generator, index: int, wall_s: float) -> float:
        """The latency [s]."""
        return self._latency_s


@final
class LognormalLatency:
    """Drawn from a lognormal distribution, with rare spikes."""

    def __init__(self, median_s: float, p99_s: float, spike_share: float = 0.0, spike_s: float = 0.0) -> None:
        """Set the distribution.

        Args:
            median_s: Half of the inferences are faster [s].
            p99_s: 99 % are faster [s].
            spike_share: This share of the inferences takes longer, 0 to 1.
            spike_s: By so much [s].
        """
        _checked("median_s", median_s)
        _checked("p99_s", p99_s)
        _checked("p99_s", p99_s)
        if not 0.0 < median_s <= p99_s:
            raise ConfigurationError(
                f"latency: median_s={median_s}, p99_s={p99_s}: expected 0 < median_s <= p99_s"
            )
        if not isinstance(spike_share, (int, float)) or not 0.0 <= spike_share <= 1.0:  # pyright: ignore[reportUnnecessaryIsInstance] it comes from YAML
            raise ConfigurationError(f"latency.spike_share={spike_share!r}: expected from 0 to 1")
        self._median_s = median_s
        self._sigma = math.log(p99_s / median_s) / P99_SIGMAS
        self._spike_share, self._spike_s = spike_share, _checked("spike_s", spike_s)

    def draw_s(self, rng: np.random.Generator, index: int, wall_s: float) -> float:
        """The latency [s]."""
        usual = self._median_s * math.exp(self._sigma * float(rng.standard_normal()))
        return usual + (self._spike_s if float(rng.random()) < self._spike_share else 0.0)


@final
class TraceLatency:
    """A recorded series, over and over."""

    def __init__(self, file: str | None) -> None:
        """Args: file: JSON list of latencies [s]."""
        if file is None:
            raise ConfigurationError("latency.file is not set: expected a JSON list of seconds")
        try:
            values: Any = json.loads(Path(file).read_text())
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"latency.file={file}: expected a JSON list of seconds ({error})"
            ) from error
        if not isinstance(values, list) or not values:
            raise ConfigurationError(
                f"latency.file={file}: expected a JSON list of seconds that is not empty"
            )
        series = cast(list[object], values)
        self._trace_s = [_checked(f"file {file}[{i}]", value) for i, value in enumerate(series)]

    def draw_s(self, rng: np.random.Generator, index: int, wall_s: float) -> float:
        """The latency [s]."""
        return self._trace_s[index % len(self._trace_s)]


@final
class MeasuredLatency:
    """What it really took here, times a factor. Not repeatable to the bit: wall time never is."""

    def __init__(self, scale: float = 1.0) -> None:
        """Args: scale: 0.25 for a machine that is four times faster."""
        self._scale = _checked("scale", scale)

    def draw_s(self, rng: np.random.Generator, index: int, wall_s: float) -> float:
        """The latency [s]."""
        return self._scale * wall_s


def _checked(name: str, value: object) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not 0.0 <= value <= LONGEST_S  # also refuses NaN
    ):
        raise ConfigurationError(f"latency.{name}={value!r}: expected a number from 0 to {LONGEST_S:g} [s]")
    return float(value)
