import { createRequire } from 'node:module';
import { answer } from './answer.js';
import { check } from './check.js';
import type { Command } from './command.js';
import { dashboard } from './dashboard.js';
import { exitCodeHelp, exitCodes } from './exit-code.js';
import { fork } from './fork.js';
import { graph } from './graph.js';
import { inspect } from './inspect.js';
import { mcp } from './mcp.js';
import { codeOf, type Output } from './output.js';
import { replay } from './replay.js';
import { report } from './report.js';
import { resume } from './resume.js';
import { run } from './run.js';
import { runs } from './runs.js';
import { simulate } from './simulate.js';
import { worker } from './worker.js';
import { WrongCall } from './wrong-call.js';

/** In the order in which help tells them. */
const commands: readonly Command[] = [
  run,
  resume,
  runs,
  fork,
  answer,
  check,
  graph,
  dashboard,
  report,
  inspect,
  replay,
  simulate,
  mcp,
  worker,
];

/** Errors that say that what was given cannot be used; nothing was started. */
const wrongGiven: readonly unknown[] = ['INVALID_INPUT', 'INVALID_OPTION'];

/** Does what the words say; resolves with the exit code, also for what fails. */
export async function main(words: readonly string[], out: Output): Promise<number> {
  try {
    return await called(words, out);
  } catch (error) {
    out.failed(error);
    const isWrong = error instanceof WrongCall || wrongGiven.includes(codeOf(error));
    return isWrong ? exitCodes.wrongCall : exitCodes.failed;
  }
}

async function called(words: readonly string[], out: Output): Promise<number> {
  const [name, ...rest] = words;
  if (name === '--version' || name === '-v') return told(out, version());
  if (name === '--help' || name === '-h') return told(out, usage());
  if (name === 'help') {
    const [about, extra] = rest;
    if (extra !== undefined)
      throw new WrongCall(`there is no use for ${JSON.stringify(extra)}; rxhive help VERB`);
    return told(out, about === undefined ? usage() : manual(commandOf(about)));
  }
  const command = commandOf(name);
  const end = rest.indexOf('--');
  const options = end < 0 ? rest : rest.slice(0, end);
  if (options.includes('--help') || options.includes('-h')) return told(out, manual(command));
  return command.run(rest, out);
}

function commandOf(name: string | undefined): Command {
  const found = commands.find((one) => one.name === name);
  if (found !== undefined) return found;
  const known = commands.map((one) => one.name).join(', ');
  throw new WrongCall(
    `${name === undefined ? 'give a command' : `unknown command ${name}`}: one of ${known}; rxhive help explains them`,
  );
}

function told(out: Output, text: string): number {
  out.answer(
    () => ({ text }),
    () => text,
  );
  return exitCodes.succeeded;
}

function manual({ manual }: Command): string {
  return `${manual}\n\n${exitCodeHelp}`;
}

function usage(): string {
  const widest = Math.max(...commands.map((one) => one.usage.length));
  const lines = commands.map((one) => `  ${one.usage.padEnd(widest)}  ${one.help}`);
  return [
    'rxhive VERB [words] [options]',
    '',
    ...lines,
    '',
    '  rxhive help VERB, rxhive VERB --help: the options of one; rxhive --version',
    '',
    exitCodeHelp,
  ].join('\n');
}

function version(): string {
  // By its name: where this code is in a package that was built is not said.
  return createRequire(import.meta.url)('rxhive/package.json').version as string;
}
