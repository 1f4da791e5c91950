"""Fixtures that more than one kind of test needs."""

from fixtures.redis_server import durable_redis, redis_server, redis_url

__all__ = ["durable_redis", "redis_server", "redis_url"]
