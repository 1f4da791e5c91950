"""The command `gpo`: reads arguments, calls what does the work, turns errors into one line.

Exit status: 0 done, 1 the service or a command failed, 2 wrong arguments or settings. What is slow
to load is imported when it is needed.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version

from service.commands import options as commands

# These read their own arguments: what follows the name is handed over unread.
_DELEGATES = {
    "demo": ("service.demo", "run", "show two groups side by side, then leave nothing behind"),
    "train": ("models.train", "main", "meta-train a GPO module on preference files"),
    "evaluate": ("models.evaluate", "main", "measure a checkpoint beside its baselines"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in _DELEGATES:
        module, function, _ = _DELEGATES[arguments[0]]
        sys.exit(getattr(importlib.import_module(module), function)(arguments[1:]))
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command in commands.MODULES:
        sys.exit(commands.run(options, parser))
    sys.exit(_serve(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gpo", description="Answers for groups of people, from a few of their preferences."
    )
    parser.add_argument("--version", action="version", version=f"gpo {version('gpo-serve')}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = subparsers.add_parser(
        "serve",
        help="run the REST service",
        description="Run the REST service. Settings come from GPO_* variables.",
    )
    serve.add_argument("--host", help="address to listen on (GPO_HOST)")
    serve.add_argument("--port", type=int, help="port to listen on, 0 for a free one (GPO_PORT)")
    for name, (_, _, summary) in _DELEGATES.items():
        subparsers.add_parser(name, help=summary, add_help=False)
    commands.add_commands(subparsers)
    return parser


def _serve(options: argparse.Namespace) -> int:
    from service.core.errors import GpoServeError
    from service.settings import SettingsError, load_settings

    given = {"host": options.host, "port": options.port}
    try:
        settings = load_settings(**{k: v for k, v in given.items() if v is not None})
        from service.serve import CannotListen, serve
    except SettingsError as exc:
        return _fail(exc, 2)
    try:
        serve(settings)
    except SettingsError as exc:
        return _fail(exc, 2)
    except (GpoServeError, CannotListen) as exc:
        return _fail(exc, 1)
    except KeyboardInterrupt:
        return 130
    return 0


def _fail(exc: Exception, status: int) -> int:
    line = " ".join(str(exc).split())
    sys.stderr.write(f"gpo: {line}\n")
    return status
