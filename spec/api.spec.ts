import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as main from '../lib/index.js';
import * as testing from '../lib/testing/index.js';

/** Entry points: prefix in api.txt, folder, and what is really exported. */
const doors = [
  ['', 'lib', main],
  ['testing ', 'lib/testing', testing],
] as const;

test('the public surface is the one on record; UPDATE_API=1 npx tsx spec/api.spec.ts records a new one', () => {
  const lines: string[] = [];
  for (const [prefix, folder, door] of doors) {
    const text = readFileSync(`${folder}/index.ts`, 'utf8');
    for (const [, allTypes, names] of text.matchAll(/export( type)? \{([^}]*)\}/g)) {
      for (const name of (names as string).split(',').map((one) => one.trim())) {
        if (name === '') continue;
        const type = allTypes !== undefined || name.startsWith('type ');
        lines.push(`${prefix}${type ? 'type ' : 'value'} ${name.replace('type ', '')}`);
        if (!type) assert.ok(name in door, name);
      }
    }
  }
  const surface = `${lines.sort().join('\n')}\n`;
  if (process.env.UPDATE_API === '1') writeFileSync('spec/api.txt', surface);
  assert.is(surface, readFileSync('spec/api.txt', 'utf8'));
});

test('every exported symbol of lib has a docblock', () => {
  const files = doors.flatMap(([, folder]) =>
    [...readFileSync(`${folder}/index.ts`, 'utf8').matchAll(/from '(\.[^']+)\.js'/g)].map((match) =>
      join(folder, `${match[1]}.ts`),
    ),
  );
  const bare: string[] = [];
  for (const file of files) {
    const lines = readFileSync(file, 'utf8').split('\n');
    lines.forEach((line, i) => {
      if (
        /^export (abstract )?(class|function|interface|type|const) /.test(line) &&
        !/\*\/\s*$/.test(lines[i - 1] ?? '')
      ) {
        bare.push(`${file}:${i + 1}`);
      }
    });
  }
  assert.equal(bare, []);
});

test.run();
