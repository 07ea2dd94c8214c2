"""vla-tokenize: what action tokenizers cost on a data set, in tokens and in exactness."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.config_store import ConfigStore
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from vla_runtime.actions.action_ids import ActionIds
from vla_runtime.actions.bin_tokenizer import BinTokenizer
from vla_runtime.actions.bins import Bins
from vla_runtime.actions.fast_search import coarsest_scale, trained
from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.actions.rows import normalized_rows
from vla_runtime.actions.rt2 import RT2Format
from vla_runtime.actions.rt2_tokenizers import RT2TextTokenizer, RT2Tokenizer
from vla_runtime.actions.spectrum import Spectrum
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.actions.token_costs import (
    Motion,
    Rows,
    TokenCosts,
    cost_of_normalising,
    held_out,
    measure,
    read_episodes,
)
from vla_runtime.actions.tokenizer_files import load_text_tokenizer, load_tokenizer
from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.commands.data_sets import (
    SHOWN_UNITS,
    chunk_periods,
    names_of_axes,
    opened,
    statistics_for,
    units_of_axes,
)
from vla_runtime.config import compose_config
from vla_runtime.evaluation.stamp import package_versions
from vla_runtime.interfaces import ActionTokenizer
from vla_runtime.recording.files import writable_folder, write_json

HELP = """\
vla-tokenize: what action tokenizers cost on a data set, in tokens and in exactness.

  vla-tokenize dataset=FOLDER
  vla-tokenize dataset=FOLDER fast=FOLDER text=CHECKPOINT/tokenizer.json

Measured on episodes that nothing was learned from (held_out_share). Errors are those of tokens alone, in physical units:
between the normalised action and what comes back. FAST is shown at the paper's scale, and at the coarsest scales at which no
axis has a larger root mean square error (rms), and no larger worst error either (max), than OpenVLA's bins. Settings: dataset,
statistics, key, gripper, held_out_share, bins, chunk_s, vocabularies, default_scale, fast, text, vocab_size, out.
"""
BASELINE = "OpenVLA"
EQUAL = RMS, RMS_AND_MAX = (" (rms)", " (rms, max)")  # rules of equal error, behind FAST's scale


@dataclass
class TokenizeSettings:
    """The settings of configs/tokenize_dataset.yaml."""

    dataset: str | None = None
    statistics: str | None = None
    key: str | None = None
    gripper: Any = None
    held_out_share: float = 0.2
    bins: int = 256
    chunk_s: float = 1.0
    vocabularies: list[int] = field(default_factory=lambda: [1024, 4096])
    default_scale: float = 10.0
    fast: str | None = None
    text: str | None = None
    vocab_size: int = 32_000
    out: str | None = None


ConfigStore.instance().store(name="tokenize_settings", node=TokenizeSettings)


@dataclass(frozen=True)
class _Task:
    """What is measured on, and what may be learned from."""

    config: Any
    learned: list[Rows]
    motion: Motion
    axes: int
    periods: int


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP, end="")
        return 0
    config = compose_config("tokenize_dataset", arguments)
    with opened(config.dataset) as source:
        folder = writable_folder(output_folder(config.out, "tokenize_dataset"), "out")
        episodes, fps = read_episodes(source), source.fps
        names = names_of_axes(source, episodes[0].shape[1])
    learned, measured = held_out(episodes, config.held_out_share)
    statistics = statistics_for(config, learned, names)
    periods = chunk_periods(config.chunk_s, fps)
    given = load_tokenizer(Path(config.fast)) if config.fast else None
    task = _Task(config, learned, Motion(tuple(measured), statistics, periods, fps), len(names), periods)
    rows = {"normalising alone": cost_of_normalising(task.motion)}
    with Progress(transient=True) as bar:
        step = bar.add_task("measuring", total=None)
        rows |= dict(_measured(task, given, lambda text: bar.update(step, description=text)))
    _show(rows, task, names)
    for line in _verdicts(rows):
        print(line)
    write_json(folder / "result.json", _result(rows, task, names, statistics))
    print(f"results: {folder}")
    return 0


def _measured(
    task: _Task, given: ActionTokenizer | None, tell: Callable[[str], None]
) -> Iterator[tuple[str, TokenCosts]]:
    """Each tokenizer's name and costs."""
    config, motion = task.config, task.motion
    tell(BASELINE)
    openvla = measure(OpenVLATokenizer(config.vocab_size, config.bins), motion)
    yield f"{BASELINE}, {config.bins} bins", openvla
    for name, tokenizer in [*_simple(task), *([("FAST as given", given)] if given else [])]:
        tell(name)
        yield name, measure(tokenizer, motion)
    equal = {
        name: coarsest_scale(task.periods, task.axes, motion, openvla, worst=name == RMS_AND_MAX)
        for name in EQUAL
    }
    for name, scale in {"": config.default_scale, **equal}.items():
        spectrum = Spectrum(task.periods, task.axes, scale)
        for vocabulary in config.vocabularies:
            if vocabulary < len(spectrum.alphabet):
                continue  # the numbers alone need more pieces
            label = f"FAST {scale:.0f}{name}, {vocabulary} pieces"
            tell(label)
            fast = trained(spectrum, task.learned, motion.statistics, vocabulary, config.vocab_size)
            yield label, measure(fast, motion)


def _simple(task: _Task) -> Iterator[tuple[str, ActionTokenizer]]:
    """One token per number, of any kind."""
    config = task.config
    style, ids = RT2Format(task.axes, config.bins), ActionIds.last(config.vocab_size, config.bins)
    yield "RT-2, a token for each number", RT2Tokenizer(style, ids)
    if config.text:
        text = load_text_tokenizer(Path(config.text))
        yield "RT-2, written as text", RT2TextTokenizer(style, text, own_tokens=False)
    rows = normalized_rows(np.concatenate(task.learned), task.motion.statistics)
    edges = np.quantile(rows, np.linspace(0.0, 1.0, config.bins + 1), axis=0)
    yield f"quantile bins, {config.bins}", BinTokenizer(Bins.between(edges.T.tolist()), ids)


def _verdicts(rows: dict[str, TokenCosts]) -> Iterator[str]:
    """How many fewer tokens FAST needs at equal error, in words."""
    baseline = next(costs for name, costs in rows.items() if name.startswith(BASELINE))
    for rule in EQUAL:
        found = {name: costs for name, costs in rows.items() if f"{rule}," in name}
        for name, costs in found.items():
            fewer = baseline.per_second / costs.per_second
            yield f"{name}: {fewer:.2f} times fewer tokens per second of motion, no axis with a larger{rule} error"
        if not found:
            yield f"no FAST with an error as small as OpenVLA's{rule}: the numbers alone need more pieces"


def _show(rows: dict[str, TokenCosts], task: _Task, names: tuple[str, ...]) -> None:
    motion, console = task.motion, Console(width=150)
    baseline = next(costs for name, costs in rows.items() if name.startswith(BASELINE))
    groups = _groups(names)
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{motion.actions} actions, {motion.seconds:.0f} s at {motion.fps:g} Hz, held out; chunks of {task.periods}",
    )
    table.add_column("tokenizer")
    for title in ("ids", "used", "tokens/\naction", "tokens/\nsecond", "longest", "fewer"):
        table.add_column(title, justify="right")
    for unit, _, _ in groups:
        for figure in ("rms", "max", "drift"):
            table.add_column(f"{figure}\n{unit}", justify="right")
    for name, costs in rows.items():
        counts = ("",) * 6
        if costs.tokens:
            fewer = baseline.per_second / costs.per_second
            counts = (
                str(costs.vocabulary),
                str(costs.used),
                f"{costs.per_action:.2f}",
                f"{costs.per_second:.1f}",
                str(costs.longest),
                f"{fewer:.2f}x",
            )
        table.add_row(
            name, *counts, *(cell for _, axes, factor in groups for cell in _errors(costs, axes, factor))
        )
    console.print(table)
    _show_axes(rows, names, console)


def _show_axes(rows: dict[str, TokenCosts], names: tuple[str, ...], console: Console) -> None:
    units = [SHOWN_UNITS.get(unit, (unit, 1.0)) for unit in units_of_axes(names)]
    table = Table(title="rms | max by axis", box=box.SIMPLE_HEAD)
    table.add_column("tokenizer")
    for name, (unit, _) in zip(names, units, strict=True):
        table.add_column(f"{name}\n{unit}", justify="right")
    for label, costs in rows.items():
        cells = (
            f"{rms * factor:.3f} | {worst * factor:.3f}"
            for rms, worst, (_, factor) in zip(costs.rms, costs.worst, units, strict=True)
        )
        table.add_row(label, *cells)
    console.print(table)


def _groups(names: tuple[str, ...]) -> list[tuple[str, list[int], float]]:
    """Axes of equal unit: how the unit is shown, which they are, and the factor to it."""
    units = units_of_axes(names)
    return [
        (SHOWN_UNITS.get(unit, (unit, 1.0))[0], [axis for axis, own in enumerate(units) if own == unit],
         SHOWN_UNITS.get(unit, (unit, 1.0))[1])
        for unit in dict.fromkeys(units)
    ]  # fmt: skip


def _errors(costs: TokenCosts, axes: list[int], factor: float) -> list[str]:
    rms, worst, drift = (np.asarray(part)[axes] * factor for part in (costs.rms, costs.worst, costs.drift))
    return [f"{number:.3f}" for number in (np.sqrt((rms**2).mean()), worst.max(), np.sqrt((drift**2).mean()))]


def _result(
    rows: dict[str, TokenCosts], task: _Task, names: tuple[str, ...], statistics: ActionStatistics
) -> dict[str, Any]:
    return {
        "fps": task.motion.fps,
        "actions": task.motion.actions,
        "chunk_periods": task.periods,
        "axes": list(names),
        "units": list(units_of_axes(names)),
        "statistics": asdict(statistics),
        "tokenizers": {name: asdict(costs) for name, costs in rows.items()},
        "versions": package_versions(),
    }


def run() -> None:
    """Entry point of the console command vla-tokenize."""
    run_command(main)
