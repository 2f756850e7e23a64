import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a container, or a part of one, may use and has used; undefined: nothing is said. */
export interface CgroupFacts {
  /** Bytes. */
  readonly memoryLimit: number | undefined;
  /** CPUs at once, as a fraction. */
  readonly cpus: number | undefined;
  /** Ms of CPU time used so far. */
  readonly cpuMs: number | undefined;
}

/** Where the files of control groups are. */
export interface CgroupPlaces {
  /** Where they are mounted. */
  readonly folder: string;
  /** The file that says which group this process is in, as `/proc/self/cgroup` does; undefined: the one at the top. */
  readonly self?: string | undefined;
}

/**
 * Reads version 2 of Linux control groups, and version 1 where there is no such. Of the limits from the group of the
 * process up to the top the smallest counts. Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1.
 */
export function readCgroup(places: CgroupPlaces): CgroupFacts {
  const top = places.folder;
  const own = paths(places.self);
  const two = chain(top, own.get(''));
  const stat = nearest(two, 'cpu.stat');
  if (stat !== undefined) {
    const usage = /^usage_usec (\d+)$/m.exec(stat)?.[1];
    return {
      memoryLimit: least(two.map((folder) => amount(read(folder, 'memory.max')))),
      cpus: least(
        two.map((folder) => {
          const [time, period] = (read(folder, 'cpu.max') ?? '').split(' ');
          return quota(time, period);
        }),
      ),
      cpuMs: usage === undefined ? undefined : Number(usage) / 1_000,
    };
  }
  const memory = chain(join(top, 'memory'), own.get('memory'));
  const cpu = chain(join(top, 'cpu'), own.get('cpu'));
  const used = amount(nearest(chain(join(top, 'cpuacct'), own.get('cpuacct')), 'cpuacct.usage'));
  return {
    memoryLimit: least(memory.map((folder) => amount(read(folder, 'memory.limit_in_bytes')))),
    cpus: least(cpu.map((one) => quota(read(one, 'cpu.cfs_quota_us'), read(one, 'cpu.cfs_period_us')))),
    cpuMs: used === undefined ? undefined : used / 1e6,
  };
}

/** Paths of the groups of this process by controller; version 2 has one, without a name. */
function paths(self: string | undefined): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of (self === undefined ? '' : (readText(self) ?? '')).split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    for (const controller of (controllers ?? '').split(','))
      if (path !== undefined) found.set(controller, path);
  }
  return found;
}

/** The folder of a group and those above it. Within a container its own path may not be there: the top is it then. */
function chain(top: string, path = '/'): string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..');
  return parts.map((_, i) => join(top, ...parts.slice(0, parts.length - i))).concat(top);
}

function read(folder: string, file: string): string | undefined {
  return readText(join(folder, file));
}

function nearest(folders: readonly string[], file: string): string | undefined {
  for (const folder of folders) {
    const text = read(folder, file);
    if (text !== undefined) return text;
  }
  return undefined;
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** A number of a file; undefined for `max` and other words. */
function amount(text: string | undefined): number | undefined {
  const value = Number.parseInt(text ?? '', 10);
  return Number.isFinite(value) && value >= 0 ? value : undefined;
}

/** CPUs from a quota and its period; none where the quota is `max` or -1. */
function quota(time: string | undefined, period: string | undefined): number | undefined {
  const [used, each] = [amount(time), amount(period)];
  return used === undefined || used === 0 || each === undefined || each === 0 ? undefined : used / each;
}

function least(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
