"""`gpo completion`: a script for a shell, made by shtab from the options."""

from __future__ import annotations

import argparse
import sys

import shtab


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print the script."""
    sys.stdout.write(shtab.complete(parser, options.shell) + "\n")
    return 0
