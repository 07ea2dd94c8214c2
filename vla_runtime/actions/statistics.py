"""Normalisation by a data set's quantiles, as OpenVLA does it: q01 maps to -1 and q99 to 1.

Axes that the mask leaves out (the gripper) pass through unchanged. Formulae: openvla/openvla,
prismatic/vla/datasets/rlds/utils/data_utils.py (normalising) and prismatic/extern/hf/modeling_prismatic.py
(un-normalising).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla_runtime.errors import InvalidStatistics
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, NormalizedAction

EPSILON = 1e-8  # the original's guard against a zero range, part of its formula


@dataclass(frozen=True)
class ActionStatistics:
    """Quantiles of each axis of a data set's actions, in physical units.

    Attributes:
        q01, q99: 1 % and 99 % quantiles.
        mask: Which axes are normalised.
    """

    q01: tuple[float, ...]
    q99: tuple[float, ...]
    mask: tuple[bool, ...]

    def __post_init__(self) -> None:
        """Refuse lengths that differ, quantiles that are not finite, and those in the wrong order."""
        if not len(self.q01) == len(self.q99) == len(self.mask) > 0:
            counts = f"{len(self.q01)} q01, {len(self.q99)} q99, {len(self.mask)} mask"
            raise InvalidStatistics(f"statistics with {counts}: expected equal, non-zero counts")
        for axis, (low, high) in enumerate(zip(self.q01, self.q99, strict=True)):
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise InvalidStatistics(
                    f"statistics of axis {axis}: q01 {low}, q99 {high}; expected finite q01 <= q99"
                )

    @classmethod
    def from_spec(cls, spec: ActionSpec) -> "ActionStatistics":
        """Statistics that map an action spec's bounds to [-1, 1], the gripper left as it is."""
        return cls(spec.low, spec.high, tuple(unit != "opening" for unit in spec.units))

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> "ActionStatistics":
        """From the "action" entry of OpenVLA's dataset_statistics.json; a missing mask means every axis."""
        missing = [key for key in ("q01", "q99") if key not in entry]
        if missing:
            raise InvalidStatistics(
                f"action statistics without {' and '.join(missing)}: found {', '.join(entry) or 'nothing'}"
            )
        q01, q99 = (tuple(float(value) for value in entry[key]) for key in ("q01", "q99"))
        return cls(q01, q99, tuple(bool(flag) for flag in entry.get("mask", [True] * len(q01))))

    @classmethod
    def load(cls, path: Path, key: str | None = None) -> "ActionStatistics":
        """From a dataset_statistics.json.

        Args:
            path: The file: data set names with an "action" entry each.
            key: Which data set; may be left out when there is only one.

        Raises:
            InvalidStatistics: No such file, not JSON, no such key, or several keys and none named.
        """
        try:
            sets = json.loads(path.read_text())
        except OSError as error:
            raise InvalidStatistics(f"statistics file {path}: {error.strerror}") from error
        except ValueError as error:
            raise InvalidStatistics(f"statistics file {path}: not JSON ({error})") from error
        if key is None and len(sets) == 1:
            key = next(iter(sets))
        if key not in sets:
            asked = "no data set named" if key is None else f"no data set {key!r}"
            raise InvalidStatistics(
                f"statistics file {path}: {asked}; expected one of {', '.join(sorted(sets))}"
            )
        return cls.from_mapping(sets[key]["action"])

    def normalize(self, action: Action) -> NormalizedAction:
        """Physical to [-1, 1], clipped; an axis without range becomes 0."""
        self._check_length(action.values)
        return NormalizedAction(tuple(map(self._normalized, action.values, self.q01, self.q99, self.mask)))

    def inverse(self, action: Action) -> NormalizedAction:
        """The exact inverse of `unnormalize`, clipped to [-1, 1].

        `normalize` adds the original's 1e-8 to the range, which would make a motion of 1e-8 of rest: right for what a model is
        trained on, wrong on the way from an expert to a robot.
        """
        self._check_length(action.values)
        numbers = zip(action.values, self.q01, self.q99, self.mask, strict=True)
        return NormalizedAction(
            tuple(
                value
                if not masked
                else 0.0
                if low == high
                else min(max(2.0 * (value - low) / (high - low) - 1.0, -1.0), 1.0)
                for value, low, high, masked in numbers
            )
        )

    def unnormalize(self, action: NormalizedAction) -> Action:
        """[-1, 1] to physical."""
        self._check_length(action.values)
        return Action(
            tuple(
                0.5 * (value + 1.0) * (high - low) + low if masked else value
                for value, low, high, masked in zip(action.values, self.q01, self.q99, self.mask, strict=True)
            )
        )

    @staticmethod
    def _normalized(value: float, low: float, high: float, masked: bool) -> float:  # noqa: FBT001
        if low == high:
            return 0.0
        if not masked:
            return value
        return min(max(2.0 * (value - low) / (high - low + EPSILON) - 1.0, -1.0), 1.0)

    def _check_length(self, values: tuple[float, ...]) -> None:
        if len(values) != len(self.q01):
            raise InvalidStatistics(f"action of {len(values)} numbers, statistics of {len(self.q01)}")
