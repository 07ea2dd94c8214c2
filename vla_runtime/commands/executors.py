"""Where the episodes of a benchmark are played: in processes of this machine, or on a Ray cluster.

An executor has `capacity(asked)`, how many episodes it plays at once, and `open(count, finish)`, a context that gives a
`concurrent.futures.Executor`. What is played where makes no difference to a result.
"""

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any, final

from vla_runtime.commands.workers import THREADS, workers
from vla_runtime.errors import ConfigurationError

KNOCK_S = 5.0  # [s]


@final
class Processes:
    """Processes of this machine."""

    def capacity(self, asked: int | None) -> int:
        """So many as were asked for, otherwise one per core."""
        return asked or os.cpu_count() or 1

    def open(self, count: int, finish: Callable[[], None]) -> AbstractContextManager[Executor]:
        """Start them. Args: count: how many; finish: called in each at its end. Raises WorkerLost: one was killed."""
        return workers(count, finish=finish)


@final
class RayCluster:
    """Workers wherever Ray has some. An episode whose worker is lost is played again, by another one."""

    def __init__(self, address: str | None = None) -> None:
        """Args: address: of a running cluster, "auto" for the one of this machine; None: one is started here, and ended."""
        self._address = address
        self._ray: Any = None

    def capacity(self, asked: int | None) -> int:
        """So many as were asked for, otherwise one per core of the cluster. Connects to it.

        Raises:
            ConfigurationError: Ray is not installed, or there is no cluster at the address.
        """
        self._connect(asked)
        return asked or max(int(self._ray.cluster_resources().get("CPU", 1)), 1)

    @contextmanager
    def open(self, count: int, finish: Callable[[], None]) -> Iterator[Executor]:
        """Give work to the cluster; its workers end with it, not with the command."""
        self._connect(count)
        try:
            yield _Submitter(self._ray)
        finally:
            self._ray.shutdown()

    def _connect(self, count: int | None) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigurationError("executor=ray needs Ray: pip install 'vla-runtime[ray]'") from error
        self._ray = ray
        if ray.is_initialized():
            return
        self._check_address()
        own = {} if self._address else {"num_cpus": count or os.cpu_count(), "include_dashboard": False}
        try:
            ray.init(self._address, log_to_driver=False, runtime_env={"env_vars": THREADS}, **own)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise self._nothing_there() from error

    def _check_address(self) -> None:
        """Knock at the door: Ray itself would try for minutes, and then end the process."""
        if self._address is None or self._address == "auto":
            return
        host, _, port = self._address.removeprefix("ray://").rpartition(":")
        try:
            socket.create_connection((host, int(port)), KNOCK_S).close()
        except (OSError, ValueError) as error:
            raise self._nothing_there() from error

    def _nothing_there(self) -> ConfigurationError:
        return ConfigurationError(
            f"executor.address={self._address}: no Ray cluster there; expected one that was started with: ray start --head"
        )


@final
class _Submitter(Executor):
    """Ray tasks as futures."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._remote: dict[Any, Any] = {}

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if fn not in self._remote:
            self._remote[fn] = self._ray.remote(max_retries=-1, num_cpus=1)(fn)
        return self._remote[fn].remote(*args, **kwargs).future()
