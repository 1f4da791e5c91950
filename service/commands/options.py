"""The options of the commands that talk to a running server. Reads nothing, sends nothing."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

MODULES = {
    "groups": "service.commands.groups",
    "predict": "service.commands.predict",
    "score": "service.commands.score",
    "generate": "service.commands.generate",
    "report": "service.commands.report.command",
    "keys": "service.commands.keys",
    "completion": "service.commands.completion",
}
FORMATS = ("jsonl", "csv")
SHELLS = ("bash", "zsh", "fish")
_BODY = "the body of the request as JSON, - for standard input; options replace its fields"
Subparsers = argparse._SubParsersAction  # argparse has no public name for it


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run one of the commands; its status."""
    command = cast(
        "Callable[[argparse.Namespace, argparse.ArgumentParser], int]",
        importlib.import_module(MODULES[options.command]).run,
    )
    return command(options, parser)


def add_commands(commands: Subparsers[argparse.ArgumentParser]) -> None:
    """Add every command."""
    server = _server()
    _add_groups(commands, server)
    _add_predict(commands, server)
    _add_score(commands, server)
    _add_generate(commands, server)
    _add_report(commands, server)
    _add_keys(commands)
    completion = commands.add_parser(
        "completion",
        help="print a script that completes commands in a shell",
        description='Print a completion script. For bash: eval "$(gpo completion bash)".',
    )
    completion.add_argument("shell", choices=SHELLS)


def _server() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    server = parser.add_argument_group("server")
    server.add_argument(
        "--url", metavar="URL", help="where the service is (GPO_URL, else http://127.0.0.1:8000)"
    )
    server.add_argument("--api-key", metavar="KEY", help="the key to send (GPO_API_KEY)")
    server.add_argument("--json", action="store_true", help="print what the server answers as JSON")
    return parser


def _add_groups(
    commands: Subparsers[argparse.ArgumentParser], server: argparse.ArgumentParser
) -> None:
    groups = commands.add_parser("groups", help="list, read and change the groups of a server")
    actions = groups.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=summary, description=summary, parents=[server])

    listing = add("list", "list the groups in the order of their ids")
    listing.add_argument("--limit", type=int, metavar="N", help="groups on a page")
    listing.add_argument("--cursor", metavar="CURSOR", help="where a page before said to go on")
    listing.add_argument("--all", action="store_true", help="every page; with --json one a line")

    get = add("get", "show one group")
    get.add_argument("id", metavar="ID")
    get.add_argument("--preferences", action="store_true", help="its preferences too")

    put = add("put", "create or replace a group")
    put.add_argument("file", metavar="FILE", help="the group as JSON, - for standard input")
    put.add_argument("--id", metavar="ID", help="instead of the id in the file")
    put.add_argument("--if-match", metavar="VERSION", help="replace this version and no other")
    put.add_argument("--create-only", action="store_true", help="replace nothing")

    append = add("append", "add preferences to a group")
    append.add_argument("id", metavar="ID")
    append.add_argument("file", metavar="FILE", help="a JSON list of preferences, - for stdin")
    append.add_argument("--if-match", metavar="VERSION", help="only to this version")

    _add_import(add("import", "create or replace many groups from JSON Lines or CSV"))
    _add_export(add("export", "write every group as JSON Lines or CSV"))

    delete = add("delete", "remove a group")
    delete.add_argument("id", metavar="ID")
    delete.add_argument("--if-match", metavar="VERSION", help="only at this version")


def _add_keys(commands: Subparsers[argparse.ArgumentParser]) -> None:
    keys = commands.add_parser("keys", help="make keys for the clients of a server")
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    summary = "make a key and print it, with the entry for GPO_API_KEYS that lets it in"
    new = actions.add_parser("new", help=summary, description=summary)
    new.add_argument("tenant", metavar="TENANT", help="whose key; keys of a tenant share its data")
    new.add_argument("--json", action="store_true", help="print both as JSON")


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help=".jsonl or .csv, also .gz; - for stdin")
    parser.add_argument("--format", choices=FORMATS, help="instead of what the name tells")
    parser.add_argument(
        "--on-conflict",
        choices=("update", "skip", "fail"),
        default="update",
        help="for a group that exists with other content (update)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="check all of it first; write nothing if any fails"
    )
    parser.add_argument("--dry-run", action="store_true", help="check all of it, write nothing")
    parser.add_argument(
        "--restart", action="store_true", help="do not go on with an import that was interrupted"
    )


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help=".jsonl or .csv, also .gz; else stdout"
    )
    parser.add_argument("--format", choices=FORMATS, help="instead of what the name tells")
    parser.add_argument(
        "--restart", action="store_true", help="do not go on with an export that was interrupted"
    )


def _asking(
    commands: Subparsers[argparse.ArgumentParser],
    server: argparse.ArgumentParser,
    name: str,
    summary: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary, parents=[server])
    parser.add_argument("file", metavar="FILE", nargs="?", help=_BODY)
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument(
        "-g", "--group", action="append", metavar="ID", help="whose answer; again for more groups"
    )
    whose.add_argument(
        "--preferences", metavar="FILE", help="a JSON list of preferences instead of a group"
    )
    return parser


def _add_predict(
    commands: Subparsers[argparse.ArgumentParser], server: argparse.ArgumentParser
) -> None:
    parser = _asking(commands, server, "predict", "ask how a group answers a question")
    parser.add_argument("-q", "--question", metavar="TEXT")
    parser.add_argument(
        "-o", "--option", action="append", metavar="TEXT", help="again for each option"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        default=None,
        help="also show what each preference of the group did to the answer",
    )


def _add_score(
    commands: Subparsers[argparse.ArgumentParser], server: argparse.ArgumentParser
) -> None:
    parser = _asking(commands, server, "score", "ask how far a group approves of responses")
    parser.add_argument("-p", "--prompt", metavar="TEXT")
    parser.add_argument(
        "-r", "--response", action="append", metavar="TEXT", help="again for each response"
    )


def _add_generate(
    commands: Subparsers[argparse.ArgumentParser], server: argparse.ArgumentParser
) -> None:
    summary = "let an LLM draw answers and show which one a group chooses"
    parser = _asking(commands, server, "generate", summary)
    parser.add_argument("-p", "--prompt", metavar="TEXT")
    parser.add_argument("-n", type=int, metavar="N", help="candidates to draw")
    parser.add_argument("--temperature", type=float, metavar="T")
    parser.add_argument("--top-p", type=float, metavar="P")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of a candidate")
    parser.add_argument("--stop", action="append", metavar="TEXT", help="what ends a candidate")
    parser.add_argument("--seed", type=int, metavar="N")
    parser.add_argument("--steering", choices=("none", "description", "preferences"))
    parser.add_argument("--timeout-s", type=float, metavar="S", help="how long it may take")
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        default=None,
        help="choose among those that came, if some failed",
    )


def _add_report(
    commands: Subparsers[argparse.ArgumentParser], server: argparse.ArgumentParser
) -> None:
    summary = "write a page on a group: its context, predictions beside answers, uncertainty"
    parser = commands.add_parser("report", help=summary, description=summary, parents=[server])
    parser.add_argument("group", metavar="GROUP", help="the id of the group")
    parser.add_argument("--compare", metavar="OTHER", help="a second group beside it")
    parser.add_argument(
        "--questions",
        metavar="FILE",
        help="what to predict, .jsonl or .csv, - for stdin; else the group's own preferences, each "
        "from the others",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="the page (report-GROUP.html; with --json none)"
    )
    parser.add_argument("--png", metavar="FOLDER", type=Path, help="also write pictures here")
    parser.add_argument(
        "--folds",
        metavar="N",
        type=int,
        help="cut the preferences into N parts, 2 or more, and predict each from the others (each "
        "on its own; 20 parts of more than 100)",
    )
