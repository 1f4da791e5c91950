"""Runs the application in uvicorn: binds, loads, says where it listens, stops on a signal.

Knows no routes. What it prints goes to standard output; uvicorn's log goes to standard error.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import re
import signal
import socket
import sys
from contextlib import ExitStack
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.core.contexts import embedder_label
from service.core.domain import EmbedderIdentity
from service.settings import Settings, SettingsError
from service.wiring import Parts, build_readiness, open_parts

_GRACE_S = 20
_BANKS = {
    "own": "your own groups, without the released figures",
    "both": "your own groups and the released figures",
    "none": "none: nothing is expected of a group beforehand",
}
_LANGUAGES = {"en": "English"}
_PASSWORD = re.compile(r"(://[^/@\s,]*?:)[^/\s,]+@")


class CannotListen(Exception):
    """The address cannot be bound."""


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises SettingsError, CannotListen, GpoServeError."""
    _check_exposure(settings)
    with _bind(settings.host, settings.port) as listener:
        asyncio.run(_serve(settings, listener))


class _Server(uvicorn.Server):
    """Says where it listens as soon as it does, and tells the application when it stops."""

    def __init__(self, app: FastAPI, config: uvicorn.Config, announcement: str) -> None:
        super().__init__(config)
        self._app = app
        self._announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then announce."""
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(self._announcement + "\n")
            sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does: what still runs after the grace is cancelled."""
        self._app.state.stopping = True
        await super().shutdown(sockets)


async def _serve(settings: Settings, listener: socket.socket) -> None:
    async with open_parts(settings) as parts:
        app = create_app(settings, parts)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        down = [
            f"  not ready  {name}: {component.reason}"
            for name, component in (await build_readiness(parts).run()).items()
            if not component.ok
        ]
        said = "\n".join([*_announcement(settings, listener, parts), *down])
        server = _Server(app, config, said)
        # What is loaded stays: without this the collector looks through a million objects of
        # torch and transformers again and again, for 0.3 s each time.
        gc.collect()
        gc.freeze()
        # uvicorn raises a signal again once it has shut down; that must not kill the process.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _ignore)
        await server.serve(sockets=[listener])


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the signal has been served."""


def _check_exposure(settings: Settings) -> None:
    """Without keys, only this machine may reach the service. Raises SettingsError."""
    if settings.allow_no_auth or _is_loopback(settings.host):
        return
    raise SettingsError(
        f"GPO_HOST={settings.host} can be reached from other machines, and no client needs a key; "
        "set GPO_ALLOW_NO_AUTH=1 if something in front of the service keeps strangers out"
    )


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
    ]


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
