"""One service for the tests that only need some running service."""

from collections.abc import Iterator

import pytest
from fixtures.serve_process import serving


@pytest.fixture(scope="session")
def service_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("service")) as running:
        yield running.url
