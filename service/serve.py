"""Runs the application in uvicorn: binds, loads, says where it listens, stops on a signal.

Knows no routes. What it prints goes to standard output, the log to standard error.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import logging
import re
import signal
import socket
import sys
import time
from contextlib import ExitStack
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service import logs
from service.api.drain import Drain
from service.api.malformed import HEAD_BYTES, http_protocol
from service.app import create_app
from service.core.contexts import embedder_label
from service.core.domain import EmbedderIdentity
from service.settings import Settings, SettingsError
from service.wiring import Parts, build_readiness, open_parts

_TICK_S = 0.05
_FLUSH_S = 2
_BANKS = {
    "own": "your own groups, without the released figures",
    "both": "your own groups and the released figures",
    "none": "none: nothing is expected of a group beforehand",
}
_LANGUAGES = {"en": "English"}
_LOG = logging.getLogger(__name__)
_PASSWORD = re.compile(r"(://[^/@\s,]*?:)[^/\s,]+@")


class CannotListen(Exception):
    """The address cannot be bound."""


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises SettingsError, CannotListen, GpoServeError."""
    _check_exposure(settings)
    logs.configure(level=settings.log_level, style=settings.log_format)
    with _bind(settings.host, settings.port) as listener:
        asyncio.run(_serve(settings, listener))
    # Python looks through every object once more as it ends; torch's took it 2 to 5 s.
    gc.freeze()


class _Server(uvicorn.Server):
    """Says where it listens as soon as it does; listens on while it drains, then stops."""

    def __init__(
        self, app: FastAPI, config: uvicorn.Config, announcement: str, settings: Settings
    ) -> None:
        super().__init__(config)
        self._app = app
        self._drain: Drain = app.state.drain
        self._announcement = announcement
        self._settings = settings
        self._at_once = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then announce."""
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(self._announcement + "\n")
            sys.stdout.flush()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the drain, the next one ends it."""
        self._at_once = self.should_exit
        self._drain.begin()
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for what runs, cancel what runs too long, then close as uvicorn does."""
        await self._drained()
        self._app.state.stopping = True
        if self._drain.running:
            _LOG.warning("stopping with %d requests unfinished", self._drain.running)
            for task in self.server_state.tasks:
                task.cancel()
        # Answers are on their way now; closing waits for those to leave, and not for long.
        await super().shutdown(sockets)

    async def _drained(self) -> None:
        """Return when nothing runs, the time is up, or a second signal came."""
        now = time.monotonic()
        earliest, latest = now + self._settings.drain_delay_s, now + self._settings.drain_s
        while not self._at_once and now < latest and (now < earliest or self._drain.running):
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()


async def _serve(settings: Settings, listener: socket.socket) -> None:
    async with open_parts(settings) as parts:
        logs.adopt_libraries()
        app = create_app(settings, parts)
        config = uvicorn.Config(
            app,
            http=http_protocol(max_head_bytes=_head_bytes(settings)),
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            h11_max_incomplete_event_size=_head_bytes(settings),
            timeout_graceful_shutdown=_FLUSH_S,
        )
        down = [
            f"  not ready  {name}: {component.reason}"
            for name, component in (await build_readiness(parts).run()).items()
            if not component.ok
        ]
        said = "\n".join([*_announcement(settings, listener, parts), *down])
        server = _Server(app, config, said, settings)
        # What is loaded stays: without this the collector looks through a million objects of
        # torch and transformers again and again, for 0.3 s each time.
        gc.collect()
        gc.freeze()
        # uvicorn puts these back when it has shut down: a late signal must not kill the process
        # while the parts close.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, server.handle_exit)
        await server.serve(sockets=[listener])


def _check_exposure(settings: Settings) -> None:
    """Without keys, only this machine may reach the service. Raises SettingsError."""
    if settings.keys or settings.allow_no_auth or _is_loopback(settings.host):
        return
    raise SettingsError(
        f"GPO_HOST={settings.host} can be reached from other machines, and no client needs a key; "
        "set GPO_API_KEYS (gpo keys new TENANT makes a key), or GPO_ALLOW_NO_AUTH=1 if something "
        "in front of the service keeps strangers out"
    )


def _head_bytes(settings: Settings) -> int:
    """Where uvicorn hangs up on a head that does not end: above all that the edge answers."""
    return max(HEAD_BYTES, int(settings.max_head_kb * 4_000))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bind(host: str, port: int) -> socket.socket:
    with ExitStack() as undo:
        try:
            # With the protocol named: asyncio sets TCP_NODELAY only on sockets that say TCP, and
            # without it each answer on a kept connection waits 40 ms for the client's ACK.
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = undo.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError as exc:
            raise CannotListen(f"cannot listen on {host} port {port}: {exc.strerror}") from exc
        undo.pop_all()
        return listener


def _announcement(settings: Settings, listener: socket.socket, parts: Parts) -> list[str]:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    source = settings.generator_url or settings.model or str(settings.bundled_model)
    generator = f"{settings.generator}: {parts.generator.model} from {_without_passwords(source)}"
    return [
        f"gpo-serve listens on http://{shown}:{port} (documentation at /docs)",
        f"  store      {_without_passwords(settings.store_url)}",
        f"  generator  {generator}",
        f"  scorer     {parts.scorer.model} from {settings.checkpoint}",
        *_prior(settings, parts),
        f"  embedder   {embedder_label(parts.embedder.identity)} ({settings.embedder})",
        *([] if settings.bank == "released" else [f"  bank       {_BANKS[settings.bank]}"]),
        *_languages(parts.embedder.identity),
        *_keys(settings),
    ]


def _keys(settings: Settings) -> list[str]:
    if not settings.keys:
        return []
    tenants = len({key.tenant for key in settings.keys})
    keys = len(settings.keys)
    who = f"{tenants} tenant{'s' * (tenants != 1)}"
    return [f"  keys       {keys} key{'s' * (keys != 1)} for {who}; every request needs one"]


def _prior(settings: Settings, parts: Parts) -> list[str]:
    if settings.prior == "bank":
        return []
    pooled = "alone" if settings.prior == "llm" else "with the bank's similar questions"
    return [f"  prior      new questions are put to {parts.generator.model}, {pooled}"]


def _languages(identity: EmbedderIdentity) -> list[str]:
    if not identity.languages:
        return []
    read = ", ".join(_LANGUAGES.get(code, code) for code in identity.languages)
    return [f"  note       the embedder reads {read}; see GPO_EMBEDDER for other languages"]


def _without_passwords(urls: str) -> str:
    return _PASSWORD.sub(r"\1***@", urls)
