"""`gpo keys`: makes a key for a tenant. Asks no server and keeps nothing."""

from __future__ import annotations

import argparse
import json
import sys

from service.api_keys import SETTING, ApiKeysError, new_key


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print a new key and its entry; the status."""
    try:
        key, listed = new_key(options.tenant)
    except ApiKeysError as exc:
        sys.stderr.write(f"gpo: {exc}\n")
        return 2
    if options.json:
        shown = {"tenant": listed.tenant, "key": key, "entry": listed.entry}
        sys.stdout.write(json.dumps(shown) + "\n")
        return 0
    sys.stdout.write(f"key    {key}\nentry  {listed.entry}\n")
    if sys.stdout.isatty():
        sys.stderr.write(
            f"The key is shown this once: give it to the client, as GPO_API_KEY.\n"
            f"Add the entry to {SETTING} of the service, and start it again.\n"
        )
    return 0
