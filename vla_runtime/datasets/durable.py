"""Files that are whole and on the disk, or absent: a temporary name, fsync, rename, fsync of the folder."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vla_runtime.errors import RecordingFailed


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what was written there takes its place, unless something went wrong.

    Raises:
        RecordingFailed: The file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        sync_file(partial)
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RecordingFailed(f"{path}: {error.strerror or error}") from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON; the file holds either its old or its new content, whatever happens."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=4, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text; the file holds either its old or its new content."""
    with replacing(path) as partial:
        partial.write_text(text)


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table; equal tables give equal bytes."""
    with replacing(path) as partial:
        pq.write_table(table, partial, compression="snappy", use_dictionary=True)


def place(source: Path, target: Path) -> None:
    """Give a finished file a second name, without copying where the file system can: whole at once, or absent."""
    with replacing(target) as partial:
        partial.unlink(missing_ok=True)
        try:
            os.link(source, partial)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, partial)


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    sync_file(path)
