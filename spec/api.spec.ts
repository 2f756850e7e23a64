import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as door from '../lib/index.js';

test('the public surface is the one on record; UPDATE_API=1 npx tsx spec/api.spec.ts records a new one', () => {
  const text = readFileSync('lib/index.ts', 'utf8');
  const lines: string[] = [];
  for (const [, allTypes, names] of text.matchAll(/export( type)? \{([^}]*)\}/g)) {
    for (const name of (names as string).split(',').map((one) => one.trim())) {
      if (name === '') continue;
      const type = allTypes !== undefined || name.startsWith('type ');
      lines.push(`${type ? 'type ' : 'value'} ${name.replace('type ', '')}`);
      if (!type) assert.ok(name in door, name);
    }
  }
  const surface = `${lines.sort().join('\n')}\n`;
  if (process.env.UPDATE_API === '1') writeFileSync('spec/api.txt', surface);
  assert.is(surface, readFileSync('spec/api.txt', 'utf8'));
});

test('every exported symbol of lib has a docblock', () => {
  const files = [...readFileSync('lib/index.ts', 'utf8').matchAll(/from '\.\/([^']+)\.js'/g)].map(
    (match) => `lib/${match[1]}.ts`,
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
