"""Files that are either whole or absent."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from vla_runtime.errors import RecordingFailed


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that the file holds either its old or its new content, whatever happens."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w") as file:
            json.dump(content, file, indent=2, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RecordingFailed(f"{path}: {error.strerror}") from error


def writable_folder(path: Path, setting: str) -> Path:
    """Make a folder and make sure that files can be written to it.

    Args:
        path: The folder.
        setting: How the user named it, for the error.

    Raises:
        RecordingFailed: It cannot be made, or not be written to.
    """
    probe = path / ".probe.partial"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise RecordingFailed(
            f"{setting}={path}: {error.strerror}; expected a folder that can be written to"
        ) from error
    return path


def remove_leftovers(folder: Path) -> None:
    """Remove what a run that was killed left half-written in a folder."""
    for leftover in folder.glob(".*.partial"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@final
class EpisodeFolder:
    """A folder whose files appear together, once an episode is whole.

    Recorders write to `staging`, a hidden folder that `publish` turns into the episode's folder and `discard` removes.
    """

    def __init__(self, path: Path) -> None:
        """Args: path: the episode's folder. If it exists, its files are replaced once the episode is whole."""
        self.path = path
        self.staging = path / ".episode.partial" if path.is_dir() else path.parent / f".{path.name}.partial"
        shutil.rmtree(self.staging, ignore_errors=True)
        try:
            self.staging.mkdir(parents=True)
        except OSError as error:
            raise RecordingFailed(f"{self.staging}: {error.strerror}") from error

    def publish(self, result: Mapping[str, Any]) -> None:
        """Put the episode's files in place: a new folder at once, an existing one file by file, result.json last."""
        write_json(self.staging / "result.json", result)
        try:
            if self.path.is_dir():
                (self.path / "result.json").unlink(missing_ok=True)
                for file in sorted(self.staging.iterdir(), key=lambda file: file.name == "result.json"):
                    file.replace(self.path / file.name)
            else:
                self.staging.rename(self.path)
        except OSError as error:
            raise RecordingFailed(f"{self.path}: {error.strerror}") from error
        self.discard()

    def discard(self) -> None:
        """Remove what is not published. May be called twice."""
        shutil.rmtree(self.staging, ignore_errors=True)
