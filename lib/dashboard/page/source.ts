import type { WorkflowEvent } from '../../model/event.js';
import type { GroupLimits } from '../../model/limiter.js';
import { RunView } from '../../views/run-view.js';

/** Where the events come from, as the head of the page says it. */
export type Origin = 'live' | 'lost' | 'ended' | 'file' | 'report' | 'none';

/** The runs the page shows, and how it hears of them. */
export class Source {
  view = new RunView();
  /** A second run to compare with. */
  other: RunView | undefined;
  origin: Origin = 'none';
  /** Events the server had to drop for this page. */
  dropped = 0;
  /** How much of the limits is used, as the server sees it; empty for a log. */
  limits: readonly GroupLimits[] = [];
  /** Actions that not every server knows. */
  actions: readonly string[] = [];
  /** May the page act on the run? */
  readonly token: string | undefined;
  problem = '';
  #changed: () => void = () => undefined;

  constructor() {
    this.token = new URLSearchParams(location.hash.slice(1)).get('token') ?? undefined;
  }

  /** Begins to listen; `changed` is called, at most once a frame, when there is something new. */
  begin(changed: () => void): void {
    let asked = false;
    this.#changed = () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        changed();
      });
    };
    const embedded = document.getElementById('log')?.textContent?.trim();
    const second = document.getElementById('other-log')?.textContent?.trim();
    if (second !== undefined && second !== '') this.other = readLines(second).view;
    if (embedded !== undefined && embedded !== '') this.open(embedded, 'report');
    else if (location.protocol.startsWith('http')) this.#listen();
    this.#changed();
  }

  /** Shows a log in place of what is there. */
  open(text: string, origin: Origin): void {
    const { view, bad } = readLines(text);
    this.view = view;
    this.origin = origin;
    this.problem = bad === 0 ? '' : `${bad} lines of the log could not be read.`;
    this.#changed();
  }

  /** Takes a log as the run to compare with. */
  compare(text: string): void {
    this.other = readLines(text).view;
    this.#changed();
  }

  /** Asks the server to do something with the run. @throws Error with the server's words */
  async act(action: string, details: Record<string, unknown> = {}): Promise<void> {
    const answer = await fetch('actions', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.token ?? ''}` },
      body: JSON.stringify({ action, ...details }),
    });
    if (!answer.ok) throw new Error(await answer.text());
    // Another run goes on in place of the one that has ended.
    if (this.origin === 'ended' && (action === 'fork' || action === 'retryFailed')) this.#listen();
  }

  #listen(): void {
    const stream = new EventSource('events');
    stream.onopen = () => {
      this.origin = 'live';
      this.#changed();
    };
    stream.onmessage = (message: MessageEvent<string>) => {
      this.#line(message.data);
    };
    stream.addEventListener('dropped', (message) => {
      this.dropped += Number((message as MessageEvent<string>).data) || 0;
      this.#changed();
    });
    stream.addEventListener('limits', (message) => {
      this.limits = JSON.parse((message as MessageEvent<string>).data) as GroupLimits[];
      this.#changed();
    });
    stream.addEventListener('actions', (message) => {
      this.actions = JSON.parse((message as MessageEvent<string>).data) as string[];
      this.#changed();
    });
    stream.addEventListener('end', () => {
      stream.close();
      this.origin = 'ended';
      this.#changed();
    });
    stream.onerror = () => {
      this.origin = 'lost';
      this.#changed();
    };
  }

  #line(line: string): void {
    try {
      const event = JSON.parse(line) as WorkflowEvent;
      // The next run of an orchestrator, or the same one in its next process, begins the page anew.
      const { view } = this;
      if (
        event.type === 'run' &&
        event.reason === 'started' &&
        (event.runId !== view.runId || event.startedAt !== view.startedAt)
      )
        this.view = new RunView();
      this.view.apply(event);
    } catch {
      this.problem = 'Some events could not be read.';
    }
    this.#changed();
  }
}

function readLines(text: string): { view: RunView; bad: number } {
  const view = new RunView();
  let bad = 0;
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    try {
      view.apply(JSON.parse(line) as WorkflowEvent);
    } catch {
      bad += 1;
    }
  }
  return { view, bad };
}
