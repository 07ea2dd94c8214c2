"""Batches of a training, from any step on and for any number of processes.

A step has `batch_size` examples over all processes: numbers step * batch_size to (step + 1) * batch_size - 1 of the
mixture. They are dealt out in passes of `micro_batch_size` to each process, so that every split of a step holds the
same examples.
"""

import os
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.resource_tracker import ensure_running

from torch.utils.data import DataLoader, Dataset, Sampler

from vla_runtime.errors import ConfigurationError, InvalidExample, VLARuntimeError, WorkerLost
from vla_runtime.finetuning.collator import Batch, Collator
from vla_runtime.finetuning.examples import Example, ExampleSource
from vla_runtime.finetuning.interrupts import SIGNALS
from vla_runtime.finetuning.mixture import Mixture

START = "spawn"  # a forked worker would inherit locks that reading data sets holds in other threads, and hang
PREFETCHED = 4  # [batches] ready per worker


@dataclass(frozen=True)
class Split:
    """How a step is dealt out.

    Attributes:
        batch_size: Examples per step, over all processes.
        micro_batch_size: Examples per process and pass.
        processes: How many.
        rank: Which one this is.
    """

    batch_size: int
    micro_batch_size: int
    processes: int = 1
    rank: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that do not divide. Raises ConfigurationError."""
        together = self.micro_batch_size * self.processes
        if self.micro_batch_size < 1 or self.batch_size < 1 or self.batch_size % together:
            raise ConfigurationError(
                f"recipe.batch_size={self.batch_size}: expected a multiple of recipe.micro_batch_size "
                f"{self.micro_batch_size} times {self.processes} processes"
            )

    @property
    def passes(self) -> int:
        """Passes of each process in a step."""
        return self.batch_size // (self.micro_batch_size * self.processes)

    def numbers(self, step: int) -> list[list[int]]:
        """The examples of this process in a step, by pass."""
        width = self.micro_batch_size
        firsts = [
            step * self.batch_size + (index * self.processes + self.rank) * width
            for index in range(self.passes)
        ]
        return [list(range(first, first + width)) for first in firsts]


@dataclass(frozen=True)
class Refusal:
    """What is wrong with an example, on its way out of a worker: torch would wrap an error in its traceback.

    Attributes:
        reason: In one line.
    """

    reason: str


@dataclass(frozen=True)
class Careful:
    """A collator that passes refusals on instead of raising.

    Attributes:
        collator: Makes batches.
    """

    collator: Collator

    def __call__(self, examples: Sequence[Example | Refusal]) -> Batch | Refusal:
        """A batch, or the first refusal."""
        good = [example for example in examples if isinstance(example, Example)]
        refused = next((example for example in examples if isinstance(example, Refusal)), None)
        if refused is not None:
            return refused
        try:
            return self.collator(good)
        except VLARuntimeError as error:
            return Refusal(str(error))


class MixedExamples(Dataset[Example | Refusal]):
    """The mixture as torch sees it: an example by its number in the whole training."""

    def __init__(self, sources: Sequence[ExampleSource], mixture: Mixture) -> None:
        """Args: sources: in the mixture's order; mixture: which one when."""
        self._sources, self._mixture = sources, mixture

    def __getitem__(self, number: int) -> Example | Refusal:
        """The example of a number, or what is wrong with it."""
        draw = self._mixture.draw(number)
        try:
            return self._sources[draw.source].example(draw.row, number)
        except VLARuntimeError as error:
            return Refusal(str(error))


class Passes(Sampler[list[int]]):
    """The numbers of one process, pass by pass, from a step to another."""

    def __init__(self, split: Split, start: int, stop: int) -> None:
        """Args: split: how steps are dealt out; start: first step; stop: one past the last."""
        self._split, self._start, self._stop = split, start, stop

    def __len__(self) -> int:
        """How many passes."""
        return (self._stop - self._start) * self._split.passes

    def __iter__(self) -> Iterator[list[int]]:
        """Pass by pass."""
        for step in range(self._start, self._stop):
            yield from self._split.numbers(step)


def load_batches(
    examples: MixedExamples, collator: Collator, split: Split, start: int, stop: int, workers: int = 0
) -> Generator[Batch]:
    """The batches of this process from step `start` to `stop`, in order.

    Args:
        examples: By number.
        collator: Makes batches.
        split: How a step is dealt out.
        start: First step.
        stop: One past the last.
        workers: Processes that prepare batches; 0: this one does.

    Raises:
        InvalidExample: An example cannot be read or learnt, in one line.
    """
    loader: DataLoader[Batch | Refusal] = DataLoader(
        examples,  # type: ignore[arg-type]  torch has one type for examples and batches
        batch_sampler=Passes(split, start, stop),
        collate_fn=Careful(collator),
        num_workers=workers,
        multiprocessing_context=START if workers else None,
        prefetch_factor=PREFETCHED if workers else None,
        worker_init_fn=_leave_group if workers else None,
    )
    with _held_signals():
        batches = iter(loader)
    for batch in batches:
        if isinstance(batch, Refusal):
            raise InvalidExample(batch.reason)
        yield batch


@contextmanager
def lost_workers() -> Iterator[None]:
    """Anywhere within, torch may say that a worker was killed. Raises WorkerLost instead, in one line."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):  # torch has no class of its own for it
            raise
        raise WorkerLost(
            f"a process that prepares batches was killed ({str(error).splitlines()[0].rstrip('.')}); expected memory for all "
            "of them, or fewer workers"
        ) from error


# Ctrl-C on a terminal and the end of a time limit reach a whole process group, and a training still needs batches to end
# its step. So its workers start with these signals held back, and then leave the group.


@contextmanager
def _held_signals() -> Iterator[None]:
    """Signals that come now are heard afterwards, and processes started now have them held back."""
    ensure_running()  # multiprocessing's own process would let the signals through again when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_group(_worker: int) -> None:
    """In a worker: what came so far is dropped, and nothing comes from now on but from its parent."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    os.setpgrp()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
