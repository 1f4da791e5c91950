"""Bodies of requests, from JSON files, standard input and options."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class InputError(Exception):
    """What was given cannot be sent; the message says why."""


def read_json(name: str) -> Any:
    """What the file holds, or standard input for `-`. Raises InputError."""
    shown = "standard input" if name == "-" else name
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return json.loads(content)
    except OSError as exc:
        raise InputError(f"{shown} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise InputError(f"{shown} is not JSON: it is not UTF-8") from exc
    except (ValueError, RecursionError) as exc:
        raise InputError(f"{shown} is not JSON: {exc}") from exc


def read_object(name: str) -> dict[str, Any]:
    """The JSON object that the file holds. Raises InputError."""
    found = read_json(name)
    if not isinstance(found, dict):
        raise InputError(f"{name} must hold a JSON object, with the fields of the request")
    return found


def read_preferences(name: str) -> list[Any]:
    """A list of preferences, alone or in an object's `preferences`. Raises InputError."""
    found = read_json(name)
    if isinstance(found, dict):
        found = found.get("preferences")
    if not isinstance(found, list):
        raise InputError(f"{name} must hold a JSON list of preferences")
    return found


def body_of(options: argparse.Namespace, fields: Mapping[str, str]) -> dict[str, Any]:
    """The file's fields with the options' on top; `fields` names the option of each field."""
    body = {} if options.file is None else read_object(options.file)
    if options.group is not None or options.preferences is not None:
        for name in ("group_id", "group_ids", "preferences"):
            body.pop(name, None)
    if options.preferences is not None:
        if options.preferences == options.file == "-":
            raise InputError("standard input cannot be FILE and --preferences both")
        body["preferences"] = read_preferences(options.preferences)
    if options.group is not None:
        one = len(options.group) == 1
        body |= {"group_id": options.group[0]} if one else {"group_ids": options.group}
    given = {field: getattr(options, option) for field, option in fields.items()}
    return body | {field: value for field, value in given.items() if value is not None}
