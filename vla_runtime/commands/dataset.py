"""vla-dataset: look a data set over, put it in order, say what is in it, merge several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from vla_runtime.commands.command_line import EXIT_FAILED, run_command
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError

HELP = """\
vla-dataset: look a LeRobotDataset over, put it in order, say what is in it, merge several.

  vla-dataset info FOLDER
  vla-dataset verify FOLDER             reads every file; deep=true decodes every picture too
  vla-dataset repair FOLDER             the index anew from the files, staged episodes added; nothing finished is lost
  vla-dataset merge FOLDER FOLDER out=NEW    skip_damaged=true leaves damaged episodes out

Exit code: 0 when all is well, 1 when verify found something, 2 when something was refused.
"""
SHOWN = 20  # [lines] of a list


@dataclass
class DatasetSettings:
    """The settings of configs/dataset.yaml."""

    deep: bool = False
    skip_damaged: bool = False
    out: str | None = None


ConfigStore.instance().store(name="dataset_settings", node=DatasetSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or "-h" in arguments or not arguments:
        print(HELP, end="")
        return 0
    action, rest = arguments[0], arguments[1:]
    if action not in ACTIONS:
        raise ConfigurationError(f"vla-dataset {action}: expected one of {', '.join(ACTIONS)}")
    settings = [
        argument for argument in rest if argument.partition("=")[0] in DatasetSettings.__annotations__
    ]
    folders = [Path(argument).expanduser() for argument in rest if argument not in settings]
    if not folders or (len(folders) > 1 and action != "merge"):
        raise ConfigurationError(
            f"vla-dataset {action}: {len(folders)} folders; expected {'some' if action == 'merge' else 'one'}"
        )
    return ACTIONS[action](folders, compose_config("dataset", settings), Console())


def _info(folders: Sequence[Path], config: Any, console: Console) -> int:
    from vla_runtime.datasets.opening import read_index
    from vla_runtime.datasets.reader import LeRobotDataset

    dataset = LeRobotDataset(read_index(folders[0]))
    index, seconds = dataset.index, len(dataset) / dataset.fps
    size = sum(path.stat().st_size for path in folders[0].rglob("*") if path.is_file())
    rows = {
        "folder": folders[0],
        "version": index.version,
        "robot": index.robot_type,
        "episodes": len(index.episodes),
        "frames": f"{len(dataset)} ({seconds:.0f} s at {dataset.fps:g} Hz)",
        "size": f"{size / 1e6:.1f} MB ({size / 1024 / max(1, len(dataset)):.1f} KiB a frame)",
    }
    successes = [note["success"] for note in dataset.notes() if "success" in note]
    if successes:
        rows["success"] = f"{sum(successes)} of {len(successes)} episodes"
    for name, value in rows.items():
        console.print(f"{name}: {value}", markup=False, highlight=False, soft_wrap=True)
    _list(
        console,
        "features",
        [f"{name}: {node.dtype} {list(node.shape)}" for name, node in dataset.features.items()],
    )
    _list(console, f"instructions ({len(dataset.tasks)})", dataset.tasks)
    return 0


def _verify(folders: Sequence[Path], config: Any, console: Console) -> int:
    from vla_runtime.datasets.verify import verify

    with _Bar(console, "reading files") as bar:
        found = verify(folders[0], deep=config.deep, progress=bar.show)
    _list(console, "notes", found.notes)
    _list(console, "wrong", found.wrong)
    verdict = (
        "all well" if not found.wrong else f"{len(found.wrong)} things wrong; vla-dataset repair may help"
    )
    console.print(
        f"{found.episodes} episodes, {found.frames} frames, {found.data_files} data files, {found.videos} videos: {verdict}",
        highlight=False,
        soft_wrap=True,
    )
    return EXIT_FAILED if found.wrong else 0


def _repair(folders: Sequence[Path], config: Any, console: Console) -> int:
    from vla_runtime.datasets.repair import repair

    done = repair(folders[0])
    for change in done.changes:
        console.print(f"  {change}", markup=False, highlight=False, soft_wrap=True)
    what = f"{len(done.changes)} changes" if done.changes else "nothing to do"
    console.print(f"{len(done.index.episodes)} episodes, {done.index.frames} frames: {what}", highlight=False)
    return 0


def _merge(folders: Sequence[Path], config: Any, console: Console) -> int:
    from vla_runtime.datasets.merge import merge

    if config.out is None:
        raise ConfigurationError("vla-dataset merge: out is missing; expected out=NEW_FOLDER")
    target = Path(config.out).expanduser()
    with _Bar(console, "copying episodes") as bar:
        done = merge(folders, target, skip_damaged=config.skip_damaged, progress=bar.show)
    _list(console, "left out", done.left_out)
    console.print(f"{target}: {done.episodes} episodes", markup=False, highlight=False, soft_wrap=True)
    return 0


ACTIONS: dict[str, Callable[[Sequence[Path], Any, Console], int]] = {
    "info": _info,
    "verify": _verify,
    "repair": _repair,
    "merge": _merge,
}


def _list(console: Console, title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    console.print(f"{title}:", highlight=False)
    for line in lines[:SHOWN]:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if len(lines) > SHOWN:
        console.print(f"  and {len(lines) - SHOWN} more", highlight=False)


class _Bar:
    """A progress bar where there is a terminal."""

    def __init__(self, console: Console, what: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task(what, total=None)

    def __enter__(self) -> "_Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)


def run() -> None:
    """Entry point of the console command vla-dataset."""
    run_command(main)
