import type { Program, Unit, Work } from './random-program.js';

const idle: Work = {
  takes: 0,
  waits: 'working',
  uses: 0,
  fails: 0,
  writes: [],
  serializable: false,
  decides: 'nothing',
  asks: false,
  says: 0,
  oneByOne: false,
  skips: false,
  children: [],
};

const child = { how: 'closure', joined: 'no', after: 'no' } as const;

function work(part: Partial<Work>, needs: Unit['needs'] = []): Unit {
  return {
    kind: 'work',
    needs,
    work: { ...idle, ...part },
    hears: [],
    handler: [],
    compensates: false,
    cleans: false,
  };
}

function program(...units: readonly Unit[]): Program {
  return {
    concurrency: 4,
    people: 'wait',
    durability: 'sync',
    latency: 0,
    keep: undefined,
    units,
    outside: [],
  };
}

function nested(...units: readonly Unit[]): Unit {
  return { kind: 'nested', needs: [], concurrency: 4, units };
}

const both = [
  { on: 0, mode: 'value' },
  { on: 1, mode: 'value' },
] as const;

/** A decision and a failed quorum make a task impossible, both of them known before it is asked which one was first. */
export const decidedFirst = program(
  nested(work({ decides: 'no' }), {
    kind: 'quorum',
    needs: [{ on: 0, mode: 'value' }],
    members: [
      { takes: 0, fails: false, adds: true },
      { takes: 0, fails: true, adds: true },
    ],
  }),
);

/** The same with the success of a task whose failure was to be handled. */
export const successFirst = program(
  nested(work({}), {
    kind: 'quorum',
    needs: [{ on: 0, mode: 'failed' }],
    members: [
      { takes: 9, fails: false, adds: true },
      { takes: 9, fails: true, adds: true },
    ],
  }),
);

/** The decision comes before the failure; in a run that goes on, after it: attempts that have failed count. */
export const decidedOrFailed = program(
  nested(work({ takes: 8, decides: 'skips' }), work({ fails: 'always' }), work({}, both)),
);

/** The failure comes first; who has failed is called again, for a task that it had added and that had not ended. */
export const failedFirst = program(
  nested(
    work({
      children: [
        { ...idle, ...child, fails: 'always', joined: 'value' },
        { ...idle, ...child, takes: 90 },
      ],
    }),
    work({ takes: 30, decides: 'skips' }),
    work({}, both),
    work({ takes: 60 }, [{ on: 2, mode: 'optional' }]),
  ),
);

/** A handler of a failure that had added tasks, and is not needed any more. */
export const healedHandler = program(nested(work({ fails: 'always' })), {
  kind: 'each',
  needs: [{ on: 0, mode: 'failed' }],
  items: [
    {
      ...idle,
      fails: 1,
      children: [
        { ...idle, ...child, joined: 'value' },
        { ...idle, ...child, fails: 1, after: 'value' },
      ],
    },
    idle,
  ],
  keyed: false,
  retry: true,
});
