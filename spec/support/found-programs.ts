import type { Program, Unit, Work } from './random-program.js';

const idle: Work = {
  takes: 0,
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

/** A decision and a failed quorum make a task impossible, both of them known before it is asked which one was first. */
export const decidedFirst = program({
  kind: 'nested',
  needs: [],
  concurrency: 1,
  units: [
    work({ decides: 'no' }),
    {
      kind: 'quorum',
      needs: [{ on: 0, mode: 'value' }],
      members: [
        { takes: 0, fails: false, adds: true },
        { takes: 0, fails: true, adds: true },
      ],
    },
  ],
});

/** The other way round; who has failed is called again, for a task that it had added and that had not ended. */
export const failedFirst = program(
  work({
    children: [
      { ...idle, ...child, fails: 'always', joined: 'value' },
      { ...idle, ...child, takes: 90 },
    ],
  }),
  work({ takes: 30, decides: 'skips' }),
  work({}, [
    { on: 0, mode: 'value' },
    { on: 1, mode: 'value' },
  ]),
  work({ takes: 60 }, [{ on: 2, mode: 'settled' }]),
);

/** A failure comes before the success of a task whose failure was to be handled. */
export const failedBeforeSuccess = program(
  work({ takes: 30 }),
  work({ children: [{ ...idle, ...child, fails: 'always', joined: 'value' }] }),
  work({}, [
    { on: 0, mode: 'failed' },
    { on: 1, mode: 'value' },
  ]),
  work({ takes: 60 }, [{ on: 2, mode: 'settled' }]),
);

/** A handler of a failure that had added tasks, and is not needed any more. */
export const healedHandler = program(
  { kind: 'nested', needs: [], concurrency: 1, units: [work({ fails: 'always' })] },
  {
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
  },
);
