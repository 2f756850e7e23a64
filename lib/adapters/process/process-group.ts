import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

/** Ms between looks whether a group that was asked to end is gone. */
const lookMs = 25;
const onWindows = process.platform === 'win32';

/** How a command is started. */
export interface GroupOptions {
  readonly cwd?: string | URL;
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * A command and everything that it starts, as a process group of its own, so that all of it can be ended even where the
 * command itself has died. What leaves the group by itself (`setsid`, daemons) is not reached. On Windows `taskkill /T`
 * ends the tree.
 */
export class ProcessGroup {
  readonly child: ChildProcessWithoutNullStreams;
  #gone: Promise<void> | undefined;

  /** @throws Error of Node for arguments that no command can have */
  constructor(command: string, args: readonly string[], options: GroupOptions) {
    this.child = spawn(command, args, { ...options, detached: !onWindows, windowsHide: true, stdio: 'pipe' });
    this.child.on('error', ignore); // told by those who listen
    if (this.child.pid !== undefined) enlist(this);
  }

  /** Writes all of its stdin. */
  write(input: string | Uint8Array): void {
    if (this.child.pid === undefined) return;
    this.child.stdin.on('error', ignore); // it may exit without having read all
    this.child.stdin.end(input);
  }

  /** Asks all of it to end (SIGTERM), and after `grace` ms ends what is left (SIGKILL). Resolves when it is gone. */
  stop(grace: number): Promise<void> {
    this.#gone ??= this.#end(grace);
    return this.#gone;
  }

  /** Ends all of it at once. */
  kill(): void {
    this.#signal('SIGKILL');
    discharge(this);
  }

  async #end(grace: number): Promise<void> {
    const end = performance.now() + grace;
    let there = this.#signal('SIGTERM');
    while (there && performance.now() < end) {
      await new Promise((done) => setTimeout(done, Math.min(lookMs, grace)));
      there = this.#signal(0);
    }
    if (there) this.#signal('SIGKILL');
    discharge(this);
  }

  /** False: nobody is there any more. */
  #signal(signal: NodeJS.Signals | 0): boolean {
    const { pid } = this.child;
    if (pid === undefined) return false;
    if (onWindows) return endTree(this.child, signal);
    try {
      process.kill(-pid, signal);
      return true;
    } catch (error) {
      return (error as { code?: unknown }).code === 'EPERM'; // some of it runs as somebody else
    }
  }
}

function endTree(child: ChildProcess, signal: NodeJS.Signals | 0): boolean {
  const there = child.exitCode === null && child.signalCode === null;
  if (there && signal !== 0) spawn('taskkill', ['/pid', String(child.pid), '/T', '/F']).on('error', ignore);
  return there;
}

/** Groups that are there. As they are not in the group of this process, a Ctrl-C in its terminal does not reach them. */
const atWork = new Set<ProcessGroup>();
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Ms for all groups to end when a signal ends this process. */
const lastGrace = 1_000;

/** A signal ends this process: what is started now ends at once. */
let ending = false;

function enlist(group: ProcessGroup): void {
  atWork.add(group);
  if (ending) group.kill();
  else if (atWork.size === 1) {
    process.on('exit', killAll);
    for (const signal of signals) process.on(signal, interrupted);
  }
}

function discharge(group: ProcessGroup): void {
  if (atWork.delete(group) && atWork.size === 0 && !ending) leave();
}

function leave(): void {
  process.off('exit', killAll);
  for (const signal of signals) process.off(signal, interrupted);
}

function killAll(): void {
  for (const group of atWork) group.kill();
}

/** This process is about to end by a signal: all groups end first. A program that handles the signal decides itself. */
function interrupted(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  const raise = (): void => {
    killAll();
    leave();
    ending = false;
    process.kill(process.pid, signal);
  };
  if (ending)
    raise(); // who asks twice does not want to wait
  else {
    ending = true;
    Promise.all([...atWork].map((group) => group.stop(lastGrace))).then(raise);
  }
}

function ignore(): void {}
