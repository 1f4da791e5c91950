"""`gpo predict`: how a group answers questions."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from service.client import GPOClient, TooLarge
from service.commands import views
from service.commands.bodies import body_of
from service.commands.explanation import explanation
from service.commands.session import print_json, run_with_client
from service.commands.views import plain
from service.remote import asking


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Ask and show; the status."""

    def work(client: GPOClient, console: Console) -> None:
        body = body_of(options, {"question": "question", "options": "option", "explain": "explain"})
        call = asking.predict_body(body)
        try:
            response = client.fetch(call)
        except TooLarge as exc:
            if not _only_the_explanation(exc):
                raise
            sys.stderr.write(f"gpo: without an explanation: {plain(exc.errors[0].detail)}\n")
            call = asking.predict_body({**body, "explain": False})
            response = client.fetch(call)
        if options.json:
            print_json(response)
        else:
            predictions = call.read(response).predictions
            for each in predictions:
                views.show(console, views.prediction(each))
                if each.explanation is not None:
                    views.show(console, explanation(each))

    return run_with_client(options, work)


def _only_the_explanation(refused: TooLarge) -> bool:
    """Whether the service would answer without it."""
    return bool(refused.errors) and all(each.pointer == "/explain" for each in refused.errors)
