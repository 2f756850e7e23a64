import type { Socket } from 'node:net';

/**
 * Ends this process when the one that started it has gone, also by SIGKILL: its stdin, a pipe that only its parent holds,
 * is closed then. Without it a killed spec leaves processes, which keep the output of the runner open. Keeps nothing alive.
 */
export function endWithParent(): void {
  const stdin = process.stdin as unknown as Socket;
  stdin.once('close', () => process.kill(process.pid, 'SIGKILL'));
  stdin.resume().unref();
}
