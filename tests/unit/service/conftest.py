"""Fixtures of the service's unit tests."""

from fixtures.service_app import bench, settings

__all__ = ["bench", "settings"]
