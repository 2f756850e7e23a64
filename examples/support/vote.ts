import type { StandardSchema } from '../../lib/index.js';

/** What somebody says about a draft. */
export interface Vote {
  readonly ok: boolean;
  readonly note?: string;
}

/** Any Standard Schema does: `z.object({ ok: z.boolean(), note: z.string().optional() })` for instance. */
export const vote: StandardSchema<Vote> = {
  '~standard': {
    version: 1,
    vendor: 'example',
    validate: (value) =>
      typeof (value as Vote | undefined)?.ok === 'boolean'
        ? { value: value as Vote }
        : { issues: [{ message: 'say true or false', path: ['ok'] }] },
  },
};
