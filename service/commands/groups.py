"""`gpo groups`: the groups of a running server."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from rich.console import Console

from service.client import GPOClient, GroupPage
from service.commands import exporting, importing, views
from service.commands.bodies import InputError, read_object, read_preferences
from service.commands.session import print_json, run_with_client
from service.remote import groups
from service.remote.answers import Group
from service.remote.call import Call


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run one action; its status."""

    def work(client: GPOClient, console: Console) -> int | None:
        if options.action == "import":
            return importing.run(client, options)
        if options.action == "export":
            return exporting.run(client, options)
        if options.action == "list":
            _list(client, console, options)
        elif options.action == "delete":
            client.fetch(groups.delete(options.id, if_match=options.if_match))
        else:
            call = _call(options)
            response = client.fetch(call)
            if options.json:
                print_json(response)
            else:
                views.show(console, views.group(call.read(response)))
        return None

    return run_with_client(options, work)


def _list(client: GPOClient, console: Console, options: argparse.Namespace) -> None:
    def pages() -> Iterator[GroupPage]:
        cursor = options.cursor
        while True:
            call = groups.page(limit=options.limit, cursor=cursor)
            response = client.fetch(call)
            if options.json:
                print_json(response)
            page = call.read(response)
            yield page
            cursor = page.next_cursor
            if not (options.all and page.has_more and cursor):
                return

    if options.json:
        for _ in pages():
            pass
    else:
        views.show(console, views.groups(pages()))


def _call(options: argparse.Namespace) -> Call[Group]:
    if options.action == "get":
        return groups.get(options.id, preferences=options.preferences)
    if options.action == "append":
        preferences = read_preferences(options.file)
        return groups.append(options.id, preferences, if_match=options.if_match)
    body = read_object(options.file)
    group_id = options.id if options.id is not None else body.get("id")
    if not isinstance(group_id, str) or not group_id:
        raise InputError(f"{options.file} has no id; give one with --id")
    body["id"] = group_id
    return groups.put_body(
        group_id, body, if_match=options.if_match, create_only=options.create_only
    )
