"""Many groups on one way to Redis: a script for each, sent together. Others' commands come between.

Knows no groups beyond their drafts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.adapters.stores import codec
from service.adapters.stores.redis_keys import keys
from service.core.domain import GroupDraft, OnConflict, Written

# KEYS: group, preferences, vectors, versions, tag, index
# ARGV: id, what to do on a conflict, '1' for a dry run, now, head, new tag, preferences…
# HINCRBY comes first of the writes, as in redis_scripts.
PUT = """
local group, preferences, vectors, versions, tag, index = unpack(KEYS)
local id, on_conflict, dry, now, head, new_tag = unpack(ARGV, 1, 6)
local current, stored, created = unpack(
  redis.call('HMGET', group, 'version', 'head', 'created_at'))
if current then
  local same = stored == head and redis.call('LLEN', preferences) == #ARGV - 6
  if same then
    for at, body in ipairs(redis.call('LRANGE', preferences, 0, -1)) do
      if body ~= ARGV[at + 6] then same = false break end
    end
  end
  if same then return {'unchanged', current} end
  if on_conflict == 'skip' then return {'skipped', current} end
  if on_conflict == 'fail' then return {'conflict', current} end
end
local outcome = current and 'updated' or 'created'
if dry == '1' then return {outcome, current or ''} end

local version = redis.call('HINCRBY', versions, id, 1)
redis.call('HSET', group, 'version', version, 'head', head,
           'created_at', created or now, 'updated_at', now)
redis.call('SET', tag, new_tag)
redis.call('DEL', preferences, vectors)
for at = 7, #ARGV, 1000 do
  redis.call('RPUSH', preferences, unpack(ARGV, at, math.min(at + 999, #ARGV)))
end
redis.call('ZADD', index, 0, id)
return {outcome, version}
"""


def calls(
    tenant: str,
    groups: Sequence[tuple[str, GroupDraft]],
    *,
    embedder: str,
    on_conflict: OnConflict,
    dry_run: bool,
) -> list[tuple[list[str], list[Any]]]:
    """Keys and arguments of the script for each group."""
    dry, found = "1" if dry_run else "", []
    for group_id, draft in groups:
        named = keys(tenant, group_id, "group", "preferences", "vectors")
        named += keys(tenant, None, "versions", "tag", "index")
        head = codec.encode_head(draft, embedder=embedder)
        args = [group_id, on_conflict.value, dry, codec.now(), head, codec.new_tag()]
        found.append((named, [*args, *codec.encode_preferences(draft.preferences)]))
    return found


def portions(
    sent: Sequence[tuple[list[str], list[Any]]], *, most: int, most_values: int
) -> list[Sequence[tuple[list[str], list[Any]]]]:
    """The calls in portions of bounded size, so that each is done well within the time limit."""
    found: list[Sequence[tuple[list[str], list[Any]]]] = []
    start = values = 0
    for at, (_, args) in enumerate(sent):
        if at > start and (at - start >= most or values + len(args) > most_values):
            found.append(sent[start:at])
            start, values = at, 0
        values += len(args)
    return [*found, sent[start:]] if sent else []


def outcome(answer: Sequence[Any]) -> tuple[Written, int | None]:
    """What the script said of one group."""
    written, version = answer
    return Written(written.decode()), int(version) if version != b"" else None
