"""Processes that work for a command: one thread each, Ctrl-C is the command's to handle, none outlives it."""

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from typing import Any, final

from vla_runtime.errors import WorkerLost

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@contextmanager
def workers(
    count: int,
    start: Callable[..., None] | None = None,
    given: tuple[Any, ...] = (),
    finish: Callable[[], None] | None = None,
) -> Iterator[Executor]:
    """An executor. One worker alone works in this process, as soon as something is submitted.

    Args:
        count: How many.
        start: Called once in each worker, before its first work.
        given: What it is called with.
        finish: Called once in each worker, when there is no more work.

    Raises:
        WorkerLost: A process was killed.
    """
    if count == 1:
        if start is not None:
            start(*given)
        try:
            yield _InThisProcess()
        finally:
            if finish is not None:
                finish()
        return
    with one_thread_each():
        pool = ProcessPoolExecutor(count, get_context("spawn"), _begin, (start, given, finish))
        try:
            yield pool
        except KeyboardInterrupt:
            stop_children()
            raise
        except BrokenProcessPool as error:
            raise WorkerLost(
                "a worker process was killed, perhaps for want of memory; the same command goes on, workers=1 needs least"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes that are started meanwhile compute with one thread: several on few cores would crawl otherwise."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(THREADS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def stop_children() -> None:
    """End all processes of this one: what they were at is lost, what is on disk stays."""
    for child in active_children():
        child.terminate()


def leave_interrupts() -> None:
    """In a child: Ctrl-C on a terminal reaches it too, and is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _begin(
    start: Callable[..., None] | None, given: tuple[Any, ...], finish: Callable[[], None] | None
) -> None:
    leave_interrupts()
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if finish is not None:
        atexit.register(finish)
    if start is not None:
        start(*given)


def _leave_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@final
class _InThisProcess(Executor):
    """Does the work at once."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done
