"""The Lua scripts of the Redis store: each one is a whole transaction.

A script checks first and writes last. The first write of each is a command that Redis refuses
when memory is full (HINCRBY or HSET, not DEL): Redis makes that check before a script's first
write alone, so a script is refused as a whole or runs to its end.

Keys of one tenant, all under one hash tag:
    gpo:{tenant}:index               sorted set of ids, every score 0
    gpo:{tenant}:versions            hash: id -> last version given out; outlives the group
    gpo:{tenant}:tag                 string: the state of all groups, another with every write
    gpo:{tenant}:group:ID            hash: version, head, created_at, updated_at
    gpo:{tenant}:preferences:ID      list of JSON preferences
    gpo:{tenant}:vectors:ID          hash: version, digest, rows, dim, data; expires
    gpo:{tenant}:idempotency:KEY     hash: digest and the group as it was created, or after an
                                     append, then with its preferences counted; expires
    gpo:{tenant}:text:KEY            hash: digest of the embedder, data (redis_texts); expires
"""

from __future__ import annotations

# unpack() is bounded by Lua's stack, hence the slices.
_PUSH = """
local function push(key, first)
  for at = first, #ARGV, 1000 do
    redis.call('RPUSH', key, unpack(ARGV, at, math.min(at + 999, #ARGV)))
  end
end
"""

# KEYS: group, preferences, vectors, versions, tag, index[, idempotency]
# ARGV: id, 'create' | 'put' | 'put-new', version to match or '', now, head, new tag,
#       payload digest, idempotency TTL in ms, preferences…
WRITE = (
    _PUSH
    + """
local group, preferences, vectors, versions, tag, index, seen = unpack(KEYS)
local id, mode, match, now, head, new_tag, digest, ttl = unpack(ARGV, 1, 8)
if seen then
  local old = redis.call('HMGET', seen, 'digest', 'id', 'version', 'head', 'preferences',
                         'created_at')
  if old[1] and (old[1] ~= digest or not old[5]) then return {'key_reused'} end
  if old[1] then return {'replayed', old[2], old[3], old[4], old[5], old[6]} end
end
local current = redis.call('HGET', group, 'version')
if current and mode == 'create' then return {'exists'} end
if current and mode == 'put-new' then return {'not_new', current} end
if match ~= '' and match ~= current then return {'mismatch', current} end

local version = redis.call('HINCRBY', versions, id, 1)
local created = now
if current then created = redis.call('HGET', group, 'created_at') end
redis.call('HSET', group, 'version', version, 'head', head,
           'created_at', created, 'updated_at', now)
redis.call('SET', tag, new_tag)
redis.call('DEL', preferences, vectors)
push(preferences, 9)
redis.call('ZADD', index, 0, id)
if seen then
  redis.call('HSET', seen, 'digest', digest, 'id', id, 'version', version, 'head', head,
             'preferences', '[' .. table.concat(ARGV, ',', 9) .. ']', 'created_at', now)
  redis.call('PEXPIRE', seen, ttl)
end
return {current and 'replaced' or 'created', version, created}
"""
)

# KEYS: group, preferences, vectors, versions, tag[, idempotency]
# ARGV: id, version to match or '', most preferences, most pairs held before or '', now,
#       new tag, payload digest, idempotency TTL in ms, pairs that are added, preferences…
APPEND = (
    _PUSH
    + """
local group, preferences, vectors, versions, tag, seen = unpack(KEYS)
local id, match, most, room, now, new_tag, digest, ttl, more = unpack(ARGV, 1, 9)
if seen then
  local old = redis.call('HMGET', seen, 'digest', 'id', 'version', 'head', 'created_at',
                         'updated_at', 'count', 'tokens')
  if old[1] and (old[1] ~= digest or not old[7]) then return {'key_reused'} end
  if old[1] then return {'replayed', unpack(old, 2, 8)} end
end
local current = redis.call('HGET', group, 'version')
if not current then return {'missing'} end
if match ~= '' and match ~= current then return {'mismatch', current} end
local held = redis.call('LLEN', preferences)
if held + #ARGV - 9 > tonumber(most) then return {'too_many', held} end
local pairs_held = 0
if room ~= '' or seen then
  for _, text in ipairs(redis.call('LRANGE', preferences, 0, -1)) do
    local body = cjson.decode(text)
    pairs_held = pairs_held + (body.options and #body.options or body.chosen and 2 or 1)
  end
  if room ~= '' and pairs_held > tonumber(room) then return {'too_many_pairs', pairs_held} end
end

local version = redis.call('HINCRBY', versions, id, 1)
redis.call('HSET', group, 'version', version, 'updated_at', now)
redis.call('SET', tag, new_tag)
redis.call('DEL', vectors)
push(preferences, 10)
local row = redis.call('HMGET', group, 'version', 'head', 'created_at', 'updated_at')
if seen then
  redis.call('HSET', seen, 'digest', digest, 'id', id, 'version', row[1], 'head', row[2],
             'created_at', row[3], 'updated_at', row[4], 'count', held + #ARGV - 9,
             'tokens', pairs_held + tonumber(more))
  redis.call('PEXPIRE', seen, ttl)
end
return {'appended', row[1], row[2], row[3], row[4], redis.call('LRANGE', preferences, 0, -1)}
"""
)

# KEYS: group, preferences, for each id
READ = """
local found = {}
for at = 1, #KEYS, 2 do
  local row = redis.call('HMGET', KEYS[at], 'version', 'head', 'created_at', 'updated_at')
  if row[1] then
    row[5] = redis.call('LRANGE', KEYS[at + 1], 0, -1)
    found[#found + 1] = row
  else
    found[#found + 1] = false
  end
end
return found
"""

# KEYS: group, for each id
STAMPS = """
local found = {}
for at, key in ipairs(KEYS) do
  found[at] = redis.call('HMGET', key, 'version', 'updated_at')
end
return found
"""

# KEYS: group, preferences, vectors, index, tag
# ARGV: id, version to match or '', new tag
# Gives the preferences back, whose texts have vectors to be forgotten.
# DEL comes first: a group can be deleted when memory is full.
DELETE = """
local group, preferences, vectors, index, tag = unpack(KEYS)
local id, match, new_tag = unpack(ARGV)
local current = redis.call('HGET', group, 'version')
if not current then return {'missing'} end
if match ~= '' and match ~= current then return {'mismatch', current} end
local held = redis.call('LRANGE', preferences, 0, -1)
redis.call('DEL', group, preferences, vectors)
redis.call('ZREM', index, id)
redis.call('SET', tag, new_tag)
return {'deleted', held}
"""

# KEYS: index, tag, the keys of a group and of preferences up to their ids
ROLL = """
local index, tag, group, preferences = unpack(KEYS)
local rows = {redis.call('GET', tag) or ''}
for _, id in ipairs(redis.call('ZRANGE', index, 0, -1)) do
  rows[#rows + 1] = id
  rows[#rows + 1] = redis.call('HGET', group .. id, 'version')
  rows[#rows + 1] = redis.call('LLEN', preferences .. id)
end
return rows
"""

# KEYS: group, vectors
# ARGV: version, digest, rows, dim, data, TTL in ms
PUT_VECTORS = """
local group, vectors = unpack(KEYS)
local version, digest, rows, dim, data, ttl = unpack(ARGV)
if redis.call('HGET', group, 'version') ~= version then return 0 end
redis.call('HSET', vectors, 'version', version, 'digest', digest,
           'rows', rows, 'dim', dim, 'data', data)
redis.call('PEXPIRE', vectors, ttl)
return 1
"""
