import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';

/** A program in a page, and what the page says it prints. */
export interface Program {
  readonly page: string;
  /** Line of the page on which its code begins, from 1. */
  readonly line: number;
  readonly code: string;
  /** What the ```text fence right after it shows. */
  readonly output: string | undefined;
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly exports: Readonly<Record<string, { readonly default?: string }>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
};

/** Entry points whose programs need nothing that is not installed here, and their sources. */
export const entries = Object.entries(manifest.exports)
  .filter(([name]) =>
    /^\.(\/(events|limits|stores|records|agents|types|streams|testing|testing\/conformance|dashboard|load|process|postgres|redis|sqlite))?$/.test(
      name,
    ),
  )
  .map(
    ([name, { default: file = '' }]) =>
      [name.replace('.', 'rxhive'), file.replace('./dist/', 'lib/')] as const,
  );

/** The programs of a page: fences of `ts` that import from rxhive. */
export function programsIn(page: string, text: string): Program[] {
  const fences = [...text.matchAll(/^```(\w*)[^\n]*\n([\s\S]*?)^```$/gm)];
  return fences.flatMap((fence, i) => {
    const [all, language, code = ''] = fence;
    if (language !== 'ts' || !entries.some(([name]) => code.includes(`from '${name}'`))) return [];
    const line = text.slice(0, fence.index).split('\n').length + 1;
    const next = fences[i + 1];
    const between = next === undefined ? '' : text.slice(fence.index + all.length, next.index);
    const follows = next?.[1] === 'text' && !/^#/m.test(between) && between.trim().split('\n').length <= 2;
    return [{ page, line, code, output: follows ? next?.[2] : undefined }];
  });
}

/** A call with what it prints. */
const shown = /console\.log\(.*\);? *\/\/ (.+)$/;

/** What a program printed: all of it, and what each `console.log` did, by its line in the code. */
interface Printed {
  readonly all: string;
  readonly byLine: ReadonlyMap<number, readonly string[]>;
  /** Set where it failed. */
  readonly error?: string;
}

/** Marks what is printed with the line of the call that printed it. */
const prelude = `import { format } from 'node:util';
const logged = (line) => (...given) => process.stdout.write(\`⟦\${line}⟧\${format(...given)}\\n\`);
`;

/**
 * Compiles programs as they stand in the pages, runs each in a process of its own, and says what differs from what the pages
 * show. A program has to end by itself.
 */
export async function checkPrograms(programs: readonly Program[]): Promise<string[]> {
  const folder = mkdtempSync('spec/.pages-');
  try {
    programs.forEach((program, i) => {
      writeFileSync(join(folder, `page${i}.ts`), importing(program.code, '../../'));
    });
    const config = { extends: '../../tsconfig.json', include: ['*.ts'] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const wrong = compile(folder, programs);
    if (wrong.length > 0) return wrong;
    execFileSync('npm', ['run', '--silent', 'page']); // what a user of the package has
    programs.forEach(({ code }, i) => {
      const marked = code
        .split('\n')
        .map((line, n) => (shown.test(line) ? line.replace('console.log(', `logged(${n + 1})(`) : line));
      writeFileSync(
        join(folder, `page${i}.ts`),
        prelude.replaceAll('\n', ' ') + importing(marked.join('\n'), '../../'),
      );
    });
    // Most of the time of a program would be opening the files of the library and of rxjs.
    const { rxjs, ...others } = manifest.dependencies;
    buildSync({
      entryPoints: programs.map((_, i) => join(folder, `page${i}.ts`)),
      outdir: folder,
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      external: Object.keys({ ...others, ...manifest.peerDependencies }),
    });
    const queue = programs.map(
      (program, i) => async () => differences(program, await run(folder, `page${i}.js`)),
    );
    const found: string[][] = [];
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) found.push(await next());
    };
    await Promise.all([work(), work()]);
    return found.flat();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function importing(code: string, root: string): string {
  return entries.reduce((text, [name, file]) => text.replaceAll(`'${name}'`, `'${root}${file}'`), code);
}

function compile(folder: string, programs: readonly Program[]): string[] {
  try {
    execFileSync('node_modules/.bin/tsc', ['-p', folder], { encoding: 'utf8' });
    return [];
  } catch (error) {
    const said = (error as { stdout?: string }).stdout ?? String(error);
    return said
      .trim()
      .split('\n')
      .map((text) =>
        text.replace(/^\S*page(\d+)\.ts\((\d+),/, (_, i: string, line: string) => {
          const { page, line: from } = programs[Number(i)] as Program;
          return `${page}:${from + Number(line) - 1} (`;
        }),
      );
  }
}

function run(folder: string, file: string): Promise<Printed> {
  return new Promise((resolve) => {
    const options = { cwd: folder, timeout: 20_000, env: { ...process.env, NO_COLOR: '1' } };
    execFile(process.execPath, [file], options, (error, stdout, stderr) => {
      const byLine = new Map<number, string[]>();
      for (const [, line, text = ''] of stdout.matchAll(/⟦(\d+)⟧([^⟦]*)/g)) {
        const known = byLine.get(Number(line)) ?? [];
        byLine.set(Number(line), [...known, text.trim()]);
      }
      const all = stdout.replaceAll(/⟦\d+⟧/g, '');
      const why = error === null ? {} : { error: error.killed === true ? 'it does not end' : stderr };
      resolve({ all, byLine, ...why });
    });
  });
}

/** Outputs a page shows that are not what was printed. */
function differences({ page, line: from, code, output }: Program, { all, byLine, error }: Printed): string[] {
  if (error !== undefined) return [`${page}:${from}: ${error}`];
  const found: string[] = [];
  code.split('\n').forEach((line, i) => {
    const comment = shown.exec(line)?.[1];
    const printed = byLine.get(i + 1) ?? [];
    if (comment === undefined || shows(comment, printed)) return;
    found.push(`${page}:${from + i}: says "${comment}", and it printed "${printed.join('", "')}"`);
  });
  if (output !== undefined && !matches(output.trimEnd(), all.trimEnd(), false))
    found.push(`${page}:${from}: the output shown after it is not what it printed:\n${all}`);
  return found;
}

/** Does a comment show what was printed: one of the outputs of its line, and at most a remark after it? */
function shows(comment: string, printed: readonly string[]): boolean {
  return printed.some((text) => matches(comment, text, true));
}

/** `...` stands for anything. White space is not compared. */
function matches(said: string, printed: string, remark: boolean): boolean {
  const tidy = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();
  const parts = tidy(said)
    .split('...')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  if (!remark) return new RegExp(`^${parts.join('.*')}$`, 's').test(tidy(printed));
  const text = tidy(printed);
  const known = tidy(said);
  if (text !== '' && known.startsWith(text)) return /^$|^[,;:] |^ \(/.test(known.slice(text.length));
  return parts.length > 1 && new RegExp(`^${parts.join('.*')}$`, 's').test(text);
}
