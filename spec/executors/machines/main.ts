// `npm run test:machines -- [NAME] [--postgres]`: checks of rxhive/bullmq that take too long for the suite, with servers of their own.

const checks: Readonly<Record<string, (isPostgres: boolean) => Promise<boolean>>> = {
  chaos: async (isPostgres) => (await import('./chaos.js')).chaos(isPostgres),
  computes: async (isPostgres) => (await import('./computes.js')).computes(isPostgres),
  values: async (isPostgres) => (await import('./values.js')).valuesOverTakeOvers(isPostgres),
};

const names = process.argv.slice(2).filter((one) => !one.startsWith('-'));
const isPostgres = process.argv.includes('--postgres');
for (const name of names.length === 0 ? ['chaos'] : names) {
  const check = checks[name];
  if (check === undefined) {
    console.error(`no check ${name}; there are ${Object.keys(checks).join(', ')}`);
    process.exit(2);
  }
  console.log(`== ${name}`);
  if (!(await check(isPostgres))) {
    console.log(`NOT MET: ${name}`);
    process.exitCode = 1;
  }
}
