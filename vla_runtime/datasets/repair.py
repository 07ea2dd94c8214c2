"""Repair: a data set is put in order, and what is finished but not yet in it is added."""

from dataclasses import replace
from pathlib import Path

from vla_runtime.datasets.index import DatasetIndex
from vla_runtime.datasets.layout import LOCK, STAGING
from vla_runtime.datasets.locks import FileLock
from vla_runtime.datasets.opening import read_index
from vla_runtime.datasets.recovery import Recovered, recover
from vla_runtime.datasets.staged import MANIFEST
from vla_runtime.datasets.totals import bring_statistics_up_to_date
from vla_runtime.datasets.writer import DatasetWriter
from vla_runtime.errors import InvalidDataset


def repair(folder: Path) -> Recovered:
    """Put a data set in order, and add the finished episodes that are still staged.

    Raises:
        InvalidDataset: info.json is missing or damaged, or the version is only read.
        DatasetBusy: Another process writes to it.
    """
    lock = FileLock(folder / LOCK, f"data set {folder}")
    try:
        done = recover(folder, thorough=True)
    finally:
        lock.release()
    changes = [*done.changes, *_add_staged(folder, done.index)]
    bring_statistics_up_to_date(folder)
    return replace(done, index=read_index(folder), changes=tuple(changes))


def _add_staged(folder: Path, index: DatasetIndex) -> list[str]:
    """Add the finished episodes that are still staged."""
    staged = sorted(path.parent for path in (folder / STAGING).glob(f"*/{MANIFEST}"))
    if not staged:
        return []
    changes = []
    with DatasetWriter(folder, index.own_features, int(index.fps)) as writer:
        for path in staged:
            try:
                number = writer.add(path)
                changes.append(f"{STAGING}/{path.name}: finished, added as episode {number}")
            except InvalidDataset as error:
                changes.append(f"{STAGING}/{path.name}: cannot be added ({error})")
    return changes
