/** An event as a stream of server-sent events has it, without its id: no value can begin another field or event. */
export function eventText(data: string, event?: string): string {
  const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`);
  return event === undefined ? lines.join('') : `event: ${event}\n${lines.join('')}`;
}

/** What keeps a connection open that proxies would close for its silence; clients pass over it. */
export const comment = ':\n\n';
