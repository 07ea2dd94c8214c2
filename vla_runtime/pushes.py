"""Pushes that come and go and lead a robot off its way, so that the way back is seen (Laskey et al. 2017, arXiv 1703.09327)."""

import numpy as np
from numpy.typing import NDArray


def next_push(
    push: NDArray[np.float64], rng: np.random.Generator, share: float, steps: float, size: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The push of the next step: the same again, the end of it, or a new one.

    Args:
        push: Of this step, in the units of `size`; zeros: none.
        rng: Drawn from in each step alike, whether there is a push or not.
        share: Of all steps that are pushed in the long run, 0 to 0.95.
        steps: How long a push lasts, on average [steps].
        size: Standard deviation of a push along each axis, for example x, y, z [m] and yaw [rad].
    """
    draw, direction = rng.random(), rng.standard_normal(len(size))
    if push.any():
        return np.zeros_like(push) if draw < 1.0 / steps else push
    return direction * size if draw < share / (steps * (1.0 - share)) else push
