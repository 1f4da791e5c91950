"""`gpo score`: how far a group approves of responses."""

from __future__ import annotations

import argparse

from rich.console import Console

from service.client import GPOClient
from service.commands import views
from service.commands.bodies import body_of
from service.commands.session import print_json, run_with_client
from service.remote import asking


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Ask and show; the status."""

    def work(client: GPOClient, console: Console) -> None:
        body = body_of(options, {"prompt": "prompt", "responses": "response"})
        call = asking.score_body(body)
        response = client.fetch(call)
        if options.json:
            print_json(response)
            return
        scored = call.read(response).scores
        parts = (views.scores(each, body["prompt"], body["responses"]) for each in scored)
        views.show(console, *parts)

    return run_with_client(options, work)
