"""Between arrays of shape (rows, n) and columns of a table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from vla_runtime.datasets.features import DEFAULTS, Feature


def arrow_array(feature: Feature, values: list[Any]) -> pa.Array:
    """Values as a column.

    Args:
        feature: What they are.
        values: Texts, or arrays of shape (n,).
    """
    if feature.dtype == "string":
        return pa.array(values, pa.string())
    flat = pa.array(np.concatenate(values) if values else np.empty(0, feature.dtype))
    return flat if feature.shape == (1,) else pa.FixedSizeListArray.from_arrays(flat, feature.shape[0])


def as_matrix(column: pa.ChunkedArray, feature: Feature) -> np.ndarray:
    """A column's numbers, shape (rows, n)."""
    array = column.combine_chunks()
    flat = array if feature.shape == (1,) else array.flatten()
    return flat.to_numpy(zero_copy_only=False).reshape(-1, feature.shape[0])


def default_columns(number: int, start: int, frames: int, fps: int, task: int) -> dict[str, np.ndarray]:
    """The columns that every data set has, for one episode."""
    steps = np.arange(frames)
    return {
        "timestamp": (steps / fps).astype(np.float32),
        "frame_index": steps,
        "episode_index": np.full(frames, number),
        "index": start + steps,
        "task_index": np.full(frames, task),
    }


def with_defaults(rows: pa.Table, columns: Mapping[str, np.ndarray]) -> pa.Table:
    """A table of an episode with the columns that every data set has behind its own."""
    for name, values in columns.items():
        rows = rows.append_column(name, pa.array(values, DEFAULTS[name].arrow_type()))
    return rows.replace_schema_metadata(None).combine_chunks()
