"""Fingerprints of an episode: equal hashes mean equal states, or equal pixels, at every step."""

import struct
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


class Trace:
    """A running hash over states and one over images."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._state = blake2b(digest_size=16)
        self._images = blake2b(digest_size=16)

    def add_state(self, numbers: Iterable[float]) -> None:
        """Take in a state as its exact 64-bit floats."""
        values = tuple(numbers)
        self._state.update(struct.pack(f"<{len(values)}d", *values))

    def add_image(self, image: NDArray[np.uint8]) -> None:
        """Take in an image, shape and pixels."""
        self._images.update(repr(image.shape).encode())
        self._images.update(np.ascontiguousarray(image).data)

    @property
    def state_hash(self) -> str:
        """32 hexadecimal digits over all states so far."""
        return self._state.hexdigest()

    @property
    def image_hash(self) -> str:
        """32 hexadecimal digits over all images so far."""
        return self._images.hexdigest()
