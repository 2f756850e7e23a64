#!/usr/bin/env node
import { visible } from '../kernel/visible.js';
import { answer } from './answer.js';
import { check } from './check.js';
import type { Command } from './command.js';
import { dashboard } from './dashboard.js';
import { fork } from './fork.js';
import { graph } from './graph.js';
import { inspect } from './inspect.js';
import { mcp } from './mcp.js';
import { replay } from './replay.js';
import { report } from './report.js';
import { resume } from './resume.js';
import { run } from './run.js';
import { simulate } from './simulate.js';
import { WrongCall } from './wrong-call.js';

const usage = `rxhive run MODULE [--log FILE] [--store STORE [--run ID]] [--dashboard] [--quiet] [--json]
                                              run a module's default export: a workflow or an orchestrator
rxhive resume STORE [--run ID] [--retry-failed] ...
                                              go on with a run, by default the newest
rxhive fork STORE [--run ID] [--at SEQ] [--state JSON] [--input JSON] [--set GROUP.concurrency=12] ...
                                              a new run from a record of another one
rxhive answer STORE|LOG [QUESTION [VALUE]] [--run ID] [--text] [--json]
                                              what waits for people, with its context; an answer makes the run go on
rxhive check MODULE [--json]                  faults knowable before a token is spent
rxhive graph MODULE|LOG [--format mermaid|dot|svg]
                                              print its graph
rxhive dashboard [LOG] [--port N]             show a log in a browser while it grows; on this machine only
rxhive report LOG [--html FILE [--compare LOG]] [--trace FILE] [--markdown FILE] [--marbles FILE]
                                              a log as one HTML file, a trace for Perfetto, a summary, a marble test
rxhive inspect LOG [--task ID] [--json]       tasks of a recorded run, or all about one
rxhive mcp MODULE [--store STORE]             serve its workflows as tools of an MCP server on stdin and stdout
rxhive replay LOG [--set GROUP.concurrency=12] [--set concurrency=4] [--set TASK.priority=5] [--json]
                                              what that would have changed in a recorded run
rxhive simulate WORKLOAD.json --slots N [--policy critical-path|fifo] [--estimates FILE] [--json]
                                              run a graph of durations in virtual time`;

const commands: Readonly<Record<string, Command>> = {
  answer,
  check,
  dashboard,
  fork,
  graph,
  inspect,
  mcp,
  replay,
  report,
  resume,
  run,
  simulate,
};

async function main(words: readonly string[]): Promise<number> {
  if (words.includes('--help') || words.includes('-h')) {
    console.log(usage);
    return 0;
  }
  const [name, ...rest] = words;
  if (name !== undefined && Object.hasOwn(commands, name)) return (commands[name] as Command)(rest);
  const known = Object.keys(commands).join(', ');
  throw new WrongCall(
    `${name === undefined ? 'give a command' : `unknown command ${name}`}: one of ${known}`,
  );
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: Error) => {
    console.error(`rxhive: ${visible(error.message)}`);
    process.exitCode = error instanceof WrongCall ? 2 : 1;
  },
);
