"""One command against a server: opens the client, prints JSON, says errors in sentences.

Status: 0 done, 1 the server refused (if only a group of many) or did not answer, 2 what was given
cannot be sent.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

import httpx
from rich.console import Console

from service.client import (
    ConnectionFailed,
    GPOClient,
    GPOError,
    InvalidRequest,
    Retries,
    TimedOut,
    Unauthorized,
)
from service.commands.bodies import InputError
from service.commands.views import plain

Work = Callable[[GPOClient, Console], int | None]


def run_with_client(options: argparse.Namespace, work: Work) -> int:
    """Run `work` with a client for the server that the options name; its status."""
    try:
        client = GPOClient(
            options.url, api_key=options.api_key, retries=Retries(when_refused=False)
        )
    except ValueError as exc:
        return _say(str(exc), 2)
    try:
        with client:
            status = work(client, Console(highlight=False))
            sys.stdout.flush()
    except InputError as exc:
        return _say(str(exc), 2)
    except GPOError as exc:
        return _say(sentence(exc), 1)
    except BrokenPipeError:
        # What reads the output has left; rich ends the same way. Python would flush, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status or 0


def print_json(response: httpx.Response) -> None:
    """Print what the server sent, byte for byte."""
    sys.stdout.flush()
    sys.stdout.buffer.write(response.content + b"\n")
    sys.stdout.buffer.flush()


def sentence(error: GPOError) -> str:
    """An error for a person: what is wrong, in which field, and what to do."""
    if isinstance(error, ConnectionFailed) and not isinstance(error, TimedOut):
        return f"{error.detail}. Start one with gpo serve, or name another with --url."
    lines = [error.detail]
    if isinstance(error, InvalidRequest) and error.errors:
        lines = [f"{_field(fault.pointer)}: {fault.detail}" for fault in error.errors]
    if isinstance(error, Unauthorized):
        lines.append("Give a key with --api-key or GPO_API_KEY.")
    if error.retry_after_s is not None:
        lines.append(f"Try again in {error.retry_after_s:.0f} s.")
    if error.maybe_done:
        lines.append("It may have been done nevertheless; look before you try again.")
    if error.status is not None and error.status >= 500 and error.request_id:
        lines.append(f"The request id is {error.request_id}.")
    return "\n".join(lines)


def _field(pointer: str) -> str:
    """/preferences/1/distribution as preferences[1].distribution."""
    shown = ""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        shown += f"[{name}]" if name.isdigit() and shown else f".{name}" if shown else name
    return shown or "the body"


def _say(text: str, status: int) -> int:
    for line in text.splitlines() or [""]:
        sys.stderr.write(f"gpo: {plain(line)}\n")
    return status
