"""Fixtures and options that more than one kind of test needs."""

import os
import signal

from fixtures.no_skips import (
    pytest_addoption,
    pytest_make_collect_report,
    pytest_runtest_makereport,
)
from fixtures.redis_server import durable_redis, redis_server, redis_url
from fixtures.vllm_server import vllm_server
from hypothesis import settings

__all__ = [
    "durable_redis",
    "pytest_addoption",
    "pytest_make_collect_report",
    "pytest_runtest_makereport",
    "redis_server",
    "redis_url",
    "vllm_server",
]

# A busy machine is not a slow function; CI tries the same examples every time.
settings.register_profile("project", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("project")

# A shell ignores SIGINT for what it starts in the background, and so would every process that the
# tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
