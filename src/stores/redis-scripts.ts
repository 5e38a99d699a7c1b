/**
 * The operations of the Redis store as Lua, one script each: Redis runs a script as a whole, with nothing in between.
 *
 * A shard has five keys in one slot: `shard` (a hash: its line, the number of its last write, its revision floor, what it
 * should hold), `entries` (name → row), `due` (places "dueAt/name" of the living, in order), `names` (names of the
 * living, in order), `log` (names by the number of their last write). A row is "revision write micros due +body", with
 * "-" in place of "+body" for a removed name; `due` is 17 digits that sort as the instant does.
 *
 * **The line** names one unbroken history of a shard. Every script first looks whether the history is still the one:
 * whether the server is the same run as when the line was drawn (a restart or a failover may have lost the last writes),
 * and whether all five keys hold as much as they should (somebody may have deleted or evicted some). If not, it draws a
 * new line, makes the indexes again, and when rows were lost raises the floor to the present millisecond, above every
 * revision that can have been used. Cursors and revisions of another line count for nothing. On a replica whose master has
 * drawn a line this first look fails, because it would have to write. A demoted master refuses reads, too, from then on;
 * until it has copied that line it answers them from its own history, which is as old as its demotion.
 */
import { createHash } from 'node:crypto'

export type RedisScript = { readonly source: string; readonly sha: string }

/** ARGV[1] is the line that the caller knows ('' for none), ARGV[2] the name of a new one should it be needed. */
const beginning = `
if redis.replicate_commands then redis.replicate_commands() end
local shard, entries, due, names, log = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local ms = math.floor(micros / 1000)

local function text(number) return string.format('%.0f', number) end

local function parse(row)
  return string.match(row, '^(%d+) (%d+) (%d+) (%d+) ([+-])')
end

local line, run, sequence, floor, count, living

local function rebuild()
  redis.call('DEL', due, names, log)
  count, living = 0, 0
  for _, name in ipairs(redis.call('HKEYS', entries)) do
    local revision, number, _, place, sign = parse(redis.call('HGET', entries, name))
    if revision then
      count = count + 1
      sequence = math.max(sequence, tonumber(number))
      redis.call('ZADD', log, number, name)
      if sign == '+' then
        living = living + 1
        redis.call('ZADD', due, 0, place .. '/' .. name)
        redis.call('ZADD', names, 0, name)
      end
    else
      redis.call('HDEL', entries, name)
    end
  end
end

local function begin(known, new)
  local kept = redis.call('HMGET', shard, 'line', 'run', 'sequence', 'floor', 'count', 'living')
  line = kept[1]
  sequence, floor = tonumber(kept[3]) or 0, tonumber(kept[4]) or 0
  count, living = tonumber(kept[5]) or 0, tonumber(kept[6]) or 0
  local server = redis.pcall('INFO', 'server')
  run = type(server) == 'string' and string.match(server, 'run_id:(%w+)') or kept[2] or ''
  local rows = redis.call('HLEN', entries)
  local isWhole = line and rows == count and redis.call('ZCARD', log) == count
    and redis.call('ZCARD', names) == living and redis.call('ZCARD', due) == living
  if isWhole and kept[2] == run then return end
  local hasLost = rows < count or (not line and (rows > 0 or known ~= ''))
  if not isWhole then rebuild() end
  if hasLost then floor = math.max(floor, sequence, ms) + 1 end
  line = new
  redis.call('HSET', shard, 'line', line, 'run', run, 'sequence', text(sequence), 'floor', text(floor),
    'count', text(count), 'living', text(living))
end
`

function script(body: string): RedisScript {
  const source = `${beginning}\n${body.trim()}\n`
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}

/** → line, last write */
const look = script(`
begin(ARGV[1], ARGV[2])
return {line, text(sequence)}
`)

/** name → line, floor, row */
const read = script(`
begin(ARGV[1], ARGV[2])
return {line, text(floor), redis.call('HGET', entries, ARGV[3])}
`)

/**
 * name, revision, place, "+body" or "-", latest instant, channel → ms, 'written' | 'other-revision' | 'other-line' |
 * 'late', line. A script that was sent to a frozen server runs when it wakes: by then it is late, and nobody waits.
 */
const write = script(`
local name, revision, place, body = ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
if ms > tonumber(ARGV[7]) then return {text(ms), 'late', ''} end
begin(ARGV[1], ARGV[2])
if line ~= ARGV[1] then return {text(ms), 'other-line', line} end
local old = redis.call('HGET', entries, name)
local oldRevision, _, _, oldPlace, oldSign = floor, 0, 0, '', '-'
if old then oldRevision, _, _, oldPlace, oldSign = parse(old) end
if tonumber(oldRevision) ~= revision then return {text(ms), 'other-revision', line} end
sequence = sequence + 1
local isLiving = string.sub(body, 1, 1) == '+'
redis.call('HSET', entries, name, text(revision + 1) .. ' ' .. text(sequence) .. ' ' .. text(micros) .. ' ' .. place .. ' ' .. body)
redis.call('ZADD', log, text(sequence), name)
if not old then count = count + 1 end
if oldSign == '+' then
  redis.call('ZREM', due, oldPlace .. '/' .. name)
  if not isLiving then
    redis.call('ZREM', names, name)
    living = living - 1
  end
end
if isLiving then
  redis.call('ZADD', due, 0, place .. '/' .. name)
  if oldSign ~= '+' then
    redis.call('ZADD', names, 0, name)
    living = living + 1
  end
end
redis.call('HSET', shard, 'sequence', text(sequence), 'count', text(count), 'living', text(living))
redis.pcall('PUBLISH', ARGV[8], '')
return {text(ms), 'written', line}
`)

/** 'due' or 'name', from, to, limit → line, how many were found, then name and row of each */
const scan = script(`
begin(ARGV[1], ARGV[2])
local isDue = ARGV[3] == 'due'
local found = redis.call('ZRANGEBYLEX', isDue and due or names, ARGV[4], ARGV[5], 'LIMIT', 0, ARGV[6])
local answer = {line, #found}
for _, member in ipairs(found) do
  local name = isDue and string.sub(member, 19) or member
  local row = redis.call('HGET', entries, name)
  if row then
    answer[#answer + 1] = name
    answer[#answer + 1] = row
  end
end
return answer
`)

/** last write seen, limit → line, last write, then name, number of its write, micros and revision of each */
const changes = script(`
begin(ARGV[1], ARGV[2])
local answer = {line, text(sequence)}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', log, '(' .. ARGV[3], '+inf', 'LIMIT', 0, ARGV[4])) do
  local revision, number, at = parse(redis.call('HGET', entries, name))
  for _, value in ipairs({name, number, at, revision}) do answer[#answer + 1] = value end
end
return answer
`)

/**
 * KEYS[1] the clock; the latest answer that the caller has seen → now, in milliseconds. The clock is the server's, plus
 * what it was ever behind itself: after its time was set back, or on another server after a failover. \`at\` is kept to
 * 100 ms, so that most looks write nothing; a full server must still tell the time.
 */
const now: RedisScript = (() => {
  const source = `
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local kept = redis.call('HMGET', KEYS[1], 'at', 'ahead')
local at, ahead = tonumber(kept[1]) or 0, tonumber(kept[2]) or 0
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + ahead
local least = tonumber(ARGV[1])
if now < at then least = math.max(least, at + 100) end
if now < least then
  ahead = ahead + least - now
  now = least
end
if now - at >= 100 or now == least then
  local done = redis.pcall('HSET', KEYS[1], 'at', string.format('%.0f', now), 'ahead', string.format('%.0f', ahead))
  if type(done) == 'table' and done.err then
    local code = string.match(done.err, '^-?(%u+)')
    if code ~= 'OOM' and code ~= 'MISCONF' and code ~= 'NOREPLICAS' then return done end
  end
end
return string.format('%.0f', now)
`
  return { source, sha: createHash('sha1').update(source).digest('hex') }
})()

export const scripts = { look, read, write, scan, changes, now }
