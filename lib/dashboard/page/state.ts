import { useMemo, useState } from 'preact/hooks';
import { type Change, StateReplay, valueAt } from '../../views/changes.js';
import type { RunView } from '../../views/run-view.js';
import { duration, escapeControl, short, shownValue } from '../../views/text.js';
import { html } from './html.js';

/** The shared state after any commit, what that commit changed, and who made it. */
export function StateDiff({
  view,
  select,
  act,
}: {
  view: RunView;
  select: (id: string) => void;
  /** Where a run can be forked. */
  act: ((action: string, details?: Record<string, unknown>) => void) | undefined;
}) {
  const [picked, setPicked] = useState<number>();
  const replay = useMemo(() => new StateReplay(), [view.runId]);
  const { commits, initialState } = view;
  if (commits.length === 0) return html`<p class="empty">No task has changed the state.</p>`;
  const at = Math.min(picked ?? commits.length, commits.length);
  const before = replay.at(initialState, commits, Math.max(0, at - 1));
  const after = replay.at(initialState, commits, at);
  const commit = commits[at - 1];
  return html`<section class="state" aria-label="state">
    <div class="tools">
      <label class="slider">commit <input type="range" min="0" max=${commits.length} value=${at} onInput=${(event: Event) => setPicked(Number((event.target as HTMLInputElement).value))} /></label>
      <output>${at} of ${commits.length}</output>
      ${picked !== undefined && html`<button onClick=${() => setPicked(undefined)}>newest</button>`}
    </div>
    ${
      commit === undefined
        ? html`<p class="hint">The initial state.</p>`
        : html`<p>Commit ${commit.commit} by <button class="link author" onClick=${() => select(commit.taskId)}>${short(commit.taskId)}</button> at ${duration(commit.at)}</p>
        <table class="diff"><thead><tr><th>path</th><th>before</th><th>after</th></tr></thead><tbody>
          ${commit.changes.map((change) => html`<tr class=${change.op}><th scope="row">${pathOf(change)}</th><td><pre>${value(before, change)}</pre></td><td><pre>${value(after, change)}</pre></td></tr>`)}
        </tbody></table>
        ${act !== undefined && html`<div class="tools"><button class="fork" onClick=${() => act('fork', { runId: view.runId, taskId: commit.taskId })}>go on from here in another run</button></div>`}
        <p class="hint">In a program: <code>flow.fork(store, '${short(view.runId, 40)}', { at: SEQ, runId: 'another' })</code>, where SEQ is the record of "${short(commit.taskId, 40)}".</p>`
    }
    <h3>State</h3>
    <pre class="whole">${shownValue(after)}</pre>
  </section>`;
}

/** A place as people write it; the inner levels of a collection are left out. */
function pathOf({ path }: Change): string {
  const root = path.indexOf('root');
  const named = path.map(String);
  if (root >= 0 && path.length >= root + 5 && named[root + 4]?.startsWith(':') === true)
    named.splice(root, 5, named[root + 4]?.slice(1) ?? '');
  return named.length === 0 ? '(all)' : escapeControl(named.join('.'));
}

function value(state: unknown, { path }: Change): string {
  const found = valueAt(state, path);
  return found === undefined ? '–' : shownValue(found, 2_000);
}
