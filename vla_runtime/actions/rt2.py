"""RT-2's actions: eight numbers, written like text.

`1 128 91 241 5 101 127 217` is: go on or end the episode, then the changes of position along x, y, z and of rotation about
x, y, z, then the gripper; each from 0 to 255, in uniform bins. Source: Brohan et al. 2023, RT-2, arXiv:2307.15818, section
3.2, which gives the order "terminate, position x y z, rotation x y z, gripper extension". Its printed example has only seven
numbers; the one of the project's web page has eight. Rotations here mean what the normalised action means by them (roll,
pitch, yaw in this runtime).

The paper does not say which number ends an episode. The data it was trained on has one-hot vectors, [1, 0, 0] to end and
[0, 1, 0] to go on, whose position is the token in RT-1: so 0 ends, and 1, as in the example, goes on. Both can be set.
"""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_runtime.actions.bins import Bins, checked_rows
from vla_runtime.errors import ConfigurationError, InvalidTokens

WRITTEN = re.compile(
    r"(0|[1-9]\d*)( (0|[1-9]\d*))*"
)  # one space between, no leading zeros: one way to write it


@dataclass(frozen=True)
class RT2Format:
    """How an action is written as numbers and text.

    Attributes:
        axes: Numbers of an action.
        bins: Of each axis, over [-1, 1]; a number stands for the centre of its bin.
        end: The first number when the episode ends with this action.
        go_on: The first number otherwise.
    """

    axes: int = 7
    bins: int = 256
    end: int = 0
    go_on: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be told apart."""
        if self.end == self.go_on or not all(0 <= number < self.bins for number in (self.end, self.go_on)):
            raise ConfigurationError(
                f"end {self.end}, go_on {self.go_on}: expected two different numbers below {self.bins}"
            )
        if self.axes < 1:
            raise ConfigurationError(f"axes {self.axes}: expected 1 or more")

    def numbers(self, values: ArrayLike, *, ends: bool = False) -> NDArray[np.int64]:
        """The numbers of a normalised action.

        Args:
            values: Shape (axes,); clipped to [-1, 1].
            ends: Whether the episode ends with it.

        Returns:
            Shape (1 + axes,).
        """
        row = checked_rows(values, self.axes)
        if row.ndim != 1:
            raise InvalidTokens(f"values of shape {row.shape}: expected ({self.axes},), one action")
        return np.concatenate([[self.end if ends else self.go_on], self._bins.numbers(row)])

    def values(self, numbers: ArrayLike) -> NDArray[np.float64]:
        """The normalised action of numbers, shape (axes,). Raises InvalidTokens for a wrong count or number."""
        found = np.asarray(numbers, dtype=np.int64)
        self.ends(found)
        return self._bins.values(found[1:])

    def ends(self, numbers: ArrayLike) -> bool:
        """Whether the episode ends with this action. Raises InvalidTokens."""
        found = np.asarray(numbers, dtype=np.int64)
        if found.shape != (1 + self.axes,):
            raise InvalidTokens(
                f"{found.size} numbers: expected {1 + self.axes}, terminate and {self.axes} axes"
            )
        if found[0] not in (self.end, self.go_on):
            raise InvalidTokens(
                f"terminate is {found[0]}: expected {self.end} to end or {self.go_on} to go on"
            )
        return bool(found[0] == self.end)

    def write(self, numbers: ArrayLike) -> str:
        """Numbers as text, such as "1 128 91 241 5 101 127 217"."""
        return " ".join(str(number) for number in np.asarray(numbers, dtype=np.int64).tolist())

    def read(self, text: str) -> NDArray[np.int64]:
        """Numbers of a text. Raises InvalidTokens for anything that `write` does not write."""
        if not WRITTEN.fullmatch(text):
            raise InvalidTokens(
                f"{text!r} is no action: expected {1 + self.axes} numbers with one space between"
            )
        numbers = [int(number) for number in text.split(" ")]
        if max(numbers) >= self.bins:
            raise InvalidTokens(f"{max(numbers)} in {text!r}: expected numbers from 0 to {self.bins - 1}")
        return np.asarray(numbers, dtype=np.int64)

    @cached_property
    def _bins(self) -> Bins:
        return Bins.uniform(self.bins, self.axes)
