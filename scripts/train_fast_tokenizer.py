"""Train a FAST tokenizer on a data set's actions: cosines over a chunk, then byte-pair encoding.

python scripts/train_fast_tokenizer.py dataset=FOLDER out=fast
python scripts/train_fast_tokenizer.py dataset=FOLDER scale=127 vocabulary=4096 out=fast

In out: action_tokenizer.json, tokenizer.json (the pieces, in Hugging Face's format) and dataset_statistics.json, with which
actions must be normalised before they are encoded. `vla-tokenize fast=...` measures it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from rich.console import Console

from vla_runtime.actions.fast_search import trained
from vla_runtime.actions.spectrum import Spectrum
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.actions.token_costs import Motion, measure, read_episodes
from vla_runtime.actions.tokenizer_files import save_tokenizer
from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.commands.data_sets import chunk_periods, names_of_axes, opened, statistics_for
from vla_runtime.config import compose_config
from vla_runtime.recording.files import write_json


@dataclass
class FASTSettings:
    """The settings of configs/train_fast_tokenizer.yaml."""

    dataset: str | None = None
    statistics: str | None = None
    key: str | None = None
    gripper: Any = None
    chunk_s: float = 1.0
    scale: float = 10.0
    vocabulary: int = 1024
    vocab_size: int = 32_000
    out: str | None = None


ConfigStore.instance().store(name="fast_settings", node=FASTSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("train_fast_tokenizer", arguments)
    with opened(config.dataset) as source:
        episodes, fps = read_episodes(source), source.fps
        names = names_of_axes(source, episodes[0].shape[1])
    statistics = statistics_for(config, episodes, names)
    spectrum = Spectrum(chunk_periods(config.chunk_s, fps), len(names), config.scale)
    with Console().status("learning pieces"):
        tokenizer = trained(spectrum, episodes, statistics, config.vocabulary, config.vocab_size)
        costs = measure(tokenizer, Motion(tuple(episodes), statistics, spectrum.periods, fps))
    folder = output_folder(config.out, "train_fast_tokenizer")
    save_tokenizer(tokenizer, folder)
    key = config.key or Path(config.dataset).resolve().name
    write_json(folder / "dataset_statistics.json", {key: {"action": _entry(statistics)}})
    print(
        f"{costs.vocabulary} pieces, {costs.per_second:.1f} tokens per second of motion (of the data it learned from)"
    )
    print(f"tokenizer: {folder}")
    return 0


def _entry(statistics: ActionStatistics) -> dict[str, list[Any]]:
    return {name: list(getattr(statistics, name)) for name in ("q01", "q99", "mask")}


if __name__ == "__main__":
    run_command(main)
