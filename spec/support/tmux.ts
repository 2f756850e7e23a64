import { execFileSync, spawnSync } from 'node:child_process';

/** Is there a tmux? `.ci/tmux` sees to it in the gate. */
export const hasTmux = spawnSync('tmux', ['-V']).status === 0;

/** A terminal that somebody could look at: tmux, with a server of its own. */
export class Tmux {
  readonly #socket: string;

  /** Runs `command` of the shell in it; what it leaves on the screen stays there. */
  constructor(socket: string, columns: number, rows: number, command: string) {
    this.#socket = socket;
    const size = ['-x', String(columns), '-y', String(rows)];
    const lasting = `${command}; ${this.#name} wait-for -S done; exec sleep 1000`;
    this.#call('-f', '/dev/null', 'new-session', '-d', ...size, lasting);
  }

  get #name(): string {
    return `tmux -L ${this.#socket}`;
  }

  /** The rows of the screen, below those that were scrolled out of it. */
  rows(): string[] {
    return this.#call('capture-pane', '-p', '-S', '-', '-E', '-').trimEnd().split('\n');
  }

  /** The same with wrapped lines in one; `screen`: without those that were scrolled out. */
  lines(screen = false): string[] {
    const text = this.#call('capture-pane', '-p', '-J', ...(screen ? [] : ['-S', '-', '-E', '-']));
    return text
      .trimEnd()
      .split('\n')
      .map((line) => line.trimEnd());
  }

  resize(columns: number): void {
    this.#call('resize-window', '-x', String(columns));
  }

  /** Returns when the command has ended. */
  ended(): void {
    this.#call('wait-for', 'done');
  }

  close(): void {
    spawnSync('tmux', ['-L', this.#socket, 'kill-server']);
  }

  #call(...words: string[]): string {
    return execFileSync('tmux', ['-L', this.#socket, ...words], { encoding: 'utf8', timeout: 60_000 });
  }
}
