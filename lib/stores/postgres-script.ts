import { lease } from '../model/shared-limits.js';

/** The function that answers messages. Its name changes with what it does, so that versions of rxhive do not get in each other's way. */
export const exchangeName = 'limits_exchange_1';

/**
 * Limits in PostgreSQL, by its clock; {@link SharedLimits} says what a message means. `at`: the schema, in quotes.
 *
 * Tables: the clock, the hold and the last start; a row for each process, with its last answer; for each window what is used of
 * it, and its grains by the time of their last part. Each message is one statement, under a lock of its limits.
 */
export function limitsSchema(at: string): string {
  return `select pg_advisory_xact_lock(1920493686);
create schema if not exists ${at};
create table if not exists ${at}.limits_state (name text primary key, last float8 not null, behind float8 not null, hold float8 not null,
  next float8 not null);
create table if not exists ${at}.limits_process (name text not null, id text not null, seq float8 not null, answer text not null,
  told float8 not null, ends float8 not null, held float8 not null, since float8 not null, again boolean not null, tokens float8 not null,
  sizes jsonb not null, primary key (name, id));
create table if not exists ${at}.limits_window (name text not null, kind text not null, used float8 not null, others float8 not null,
  until float8 not null, primary key (name, kind));
create table if not exists ${at}.limits_grain (name text not null, kind text not null, grain float8 not null, at float8 not null,
  amount float8 not null, primary key (name, kind, grain));
create index if not exists limits_grain_at on ${at}.limits_grain (name, kind, at);

create or replace function ${at}.limits_change_1(shared text, w jsonb, moment float8, given float8, change float8, take boolean)
returns void language plpgsql as $body$
declare
  -- Processes are a little ahead; nothing is far ahead.
  v_at constant float8 := least(given, moment + 5000);
  v_grain constant float8 := floor(v_at / (w->>'grain')::float8);
  has float8;
  amounts float8;
begin
  if change = 0 or v_at <= moment - (w->>'size')::float8 then return; end if;
  select g.amount into has from ${at}.limits_grain as g where g.name = shared and g.kind = w->>'name' and g.grain = v_grain;
  if has is null and not take then return; end if;
  has := coalesce(has, 0);
  amounts := greatest(change, 0 - has);
  insert into ${at}.limits_grain as g values (shared, w->>'name', v_grain, v_at, amounts)
    on conflict (name, kind, grain) do update
    set amount = has + amounts, at = case when take then greatest(g.at, excluded.at) else g.at end;
  update ${at}.limits_window as o set used = o.used + amounts where o.name = shared and o.kind = w->>'name';
end $body$;

-- When so much is back that amount fits.
create or replace function ${at}.limits_open_1(shared text, w jsonb, moment float8, missing float8, used float8, strangers float8, till float8)
returns float8 language plpgsql as $body$
declare
  over float8 := used + strangers + missing - (w->>'max')::float8;
  g record;
  leaves float8;
begin
  if over <= 0 then return 0; end if;
  for g in select r.at, r.amount from ${at}.limits_grain as r where r.name = shared and r.kind = w->>'name' order by r.at loop
    leaves := g.at + (w->>'size')::float8;
    if strangers > 0 and till <= leaves then
      over := over - strangers;
      strangers := 0;
      if over <= 0 then return till - moment; end if;
    end if;
    over := over - g.amount;
    if over <= 0 then return leaves - moment; end if;
  end loop;
  if over <= strangers then return till - moment; end if;
  return (w->>'size')::float8;
end $body$;

create or replace function ${at}.${exchangeName}(shared text, m jsonb) returns text language plpgsql as $body$
declare
  sender constant text := m->>'from';
  ask constant jsonb := m->'ask';
  ask_again constant boolean := coalesce((ask->>'again')::boolean, false);
  ask_tokens constant float8 := coalesce((ask->>'tokens')::float8, 0);
  gap constant float8 := (m->>'gap')::float8;
  places constant float8 := (m->>'places')::float8;
  held_here constant float8 := (m->>'held')::float8;
  state ${at}.limits_state;
  mine ${at}.limits_process;
  win ${at}.limits_window;
  moment float8;
  waits_since float8;
  before float8;
  kept_requests float8;
  kept_tokens float8;
  held_all float8;
  windows jsonb;
  w jsonb;
  one jsonb;
  gone float8;
  missing float8;
  need float8;
  kept float8;
  free float8;
  granted float8 := 0;
  wait float8 := 0;
  used_all jsonb := '{}';
  waits boolean;
  result text;
begin
  perform pg_advisory_xact_lock(hashtextextended('rxhive limits ' || shared, 0));
  -- What a crash of the server may lose is less than a second of it.
  perform set_config('synchronous_commit', 'off', true);
  select p.* into mine from ${at}.limits_process as p where p.name = shared and p.id = sender;
  if (m->>'seq')::float8 <= mine.seq then return mine.answer; end if;
  select s.* into state from ${at}.limits_state as s where s.name = shared;
  state.last := coalesce(state.last, 0);
  state.behind := coalesce(state.behind, 0);
  state.hold := coalesce(state.hold, 0);
  state.next := coalesce(state.next, 0);
  moment := floor(extract(epoch from clock_timestamp()) * 1000);
  moment := moment + state.behind;
  if moment < state.last then
    state.behind := state.behind + state.last - moment;
    moment := state.last;
  end if;

  -- Processes: places of others, who waits longer, and the longest that each window is kept.
  waits_since := case when mine.ends > moment and mine.since > 0 then mine.since else moment end;
  select coalesce(sum(p.held), 0), count(*) filter (where p.first),
      coalesce(sum(1) filter (where p.first and not p.again), 0), coalesce(sum(p.tokens) filter (where p.first and not p.again), 0)
    into held_all, before, kept_requests, kept_tokens
    from (select o.*, o.since > 0 and (o.since < waits_since or (o.since = waits_since and o.id collate "C" < sender collate "C")) as first
      from ${at}.limits_process as o where o.name = shared and o.id <> sender and o.ends > moment) as p;
  held_all := held_all + held_here;
  select coalesce(jsonb_agg(x.value || jsonb_build_object('size', greatest((x.value->>'size')::float8, (
      select max((o.sizes->>(x.value->>'name'))::float8) from ${at}.limits_process as o
      where o.name = shared and o.id <> sender and o.ends > moment))) order by x.ordinality), '[]')
    into windows from jsonb_array_elements(m->'windows') with ordinality as x;

  -- Windows: what has left them is gone.
  for w in select value from jsonb_array_elements(windows) loop
    insert into ${at}.limits_window values (shared, w->>'name', 0, 0, 0) on conflict do nothing;
    with old as (
      delete from ${at}.limits_grain as g where g.name = shared and g.kind = w->>'name' and g.at <= moment - (w->>'size')::float8
      returning g.amount
    ) select sum(old.amount) into gone from old;
    if gone is not null then
      update ${at}.limits_window as o set used = o.used - gone where o.name = shared and o.kind = w->>'name';
    end if;
    for one in select value from jsonb_array_elements(m->'changes') loop
      perform ${at}.limits_change_1(shared, w, moment, (one->>'at')::float8,
        (one->>(w->>'kind'))::float8, coalesce((one->>'take')::boolean, false));
    end loop;
    -- What providers say that others use.
    for one in select value from jsonb_array_elements(m->'told') where value->>'name' = w->>'name' loop
      select o.* into win from ${at}.limits_window as o where o.name = shared and o.kind = w->>'name';
      if win.until <= moment then win.others := 0; end if;
      missing := (w->>'max')::float8 - win.used - win.others - least((one->>'left')::float8, (w->>'max')::float8);
      update ${at}.limits_window as o set others = greatest(0, win.others + missing),
          until = case when missing > 0
            then greatest(win.until, moment + least((one->>'ms')::float8, (w->>'size')::float8)) else win.until end
        where o.name = shared and o.kind = w->>'name';
    end loop;
    update ${at}.limits_window as o set others = 0 where o.name = shared and o.kind = w->>'name' and o.until <= moment and o.others <> 0;
  end loop;
  if (m->>'hold')::float8 > 0 then state.hold := greatest(state.hold, moment + (m->>'hold')::float8); end if;

  if ask is not null then
    granted := (ask->>'count')::float8;
    if not ask_again then
      if state.hold > moment then
        granted := 0;
        wait := greatest(wait, state.hold - moment, 1);
      end if;
      for w in select value from jsonb_array_elements(windows) loop
        select o.* into win from ${at}.limits_window as o where o.name = shared and o.kind = w->>'name';
        need := least(case when w->>'kind' = 'requests' then 1 else ask_tokens end, (w->>'max')::float8);
        kept := case when w->>'kind' = 'requests' then kept_requests else kept_tokens end;
        free := (w->>'max')::float8 - win.used - win.others - kept;
        if need > free then
          granted := 0;
          wait := greatest(wait, ${at}.limits_open_1(shared, w, moment, need + kept, win.used, win.others, win.until), 1);
        elsif need > 0 then granted := least(granted, floor(free / need));
        end if;
      end loop;
      if gap > 0 then
        if moment < state.next then
          granted := 0;
          wait := greatest(wait, state.next - moment + before * gap, 1);
        elsif before > 0 then
          granted := 0;
          wait := greatest(wait, before * gap, 1);
        else granted := least(granted, 1);
        end if;
      end if;
    end if;
    if places > 0 then
      free := places - held_all - before;
      if free < 1 then
        granted := 0;
        wait := greatest(wait, least(25 * (before + 1), 250), 1);
      else granted := least(granted, free);
      end if;
    end if;
    if granted > 0 and not ask_again then
      for w in select value from jsonb_array_elements(windows) loop
        perform ${at}.limits_change_1(shared, w, moment, moment,
          granted * case when w->>'kind' = 'requests' then 1 else ask_tokens end, true);
      end loop;
      if gap > 0 then state.next := moment + gap; end if;
    end if;
  end if;

  for w in select value from jsonb_array_elements(windows) loop
    select o.* into win from ${at}.limits_window as o where o.name = shared and o.kind = w->>'name';
    used_all := used_all || jsonb_build_object(w->>'name', win.used + win.others);
  end loop;
  result := jsonb_build_object('now', moment, 'granted', granted, 'wait', ceil(wait), 'hold', greatest(0, state.hold - moment),
    'inUse', held_all + granted, 'used', used_all);
  insert into ${at}.limits_state as s values (shared, moment, state.behind, state.hold, state.next)
    on conflict (name) do update set last = excluded.last, behind = excluded.behind, hold = excluded.hold, next = excluded.next;
  waits := ask is not null and granted = 0;
  insert into ${at}.limits_process as p values (shared, sender, (m->>'seq')::float8, result, moment,
      case when waits or held_here + granted > 0 then moment + ${lease} else 0 end, held_here + granted,
      case when waits then waits_since else 0 end, ask_again, ask_tokens,
      (select coalesce(jsonb_object_agg(value->>'name', value->'size'), '{}') from jsonb_array_elements(m->'windows')))
    on conflict (name, id) do update set seq = excluded.seq, answer = excluded.answer, told = excluded.told, ends = excluded.ends,
      held = excluded.held, since = excluded.since, again = excluded.again, tokens = excluded.tokens, sizes = excluded.sizes;
  delete from ${at}.limits_process as p where p.name = shared and p.ends <= moment and p.told < moment - 3600000;
  return result;
end $body$`;
}
