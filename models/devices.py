"""Which torch device a name means on this machine."""

from __future__ import annotations

import argparse

import torch


def find_device(wanted: str) -> str:
    """`auto` is CUDA where there is one. Raises ValueError for a device that is not here."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as exc:
        raise ValueError(f"{wanted!r} is no torch device") from exc
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"{wanted!r} is not to be had: torch sees no CUDA device here")
    return wanted


def device_argument(wanted: str) -> str:
    """`find_device` as a type of argparse."""
    try:
        return find_device(wanted)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc
