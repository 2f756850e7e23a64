import { useState } from 'preact/hooks';
import { jsonOrText } from '../../kernel/json-or-text.js';
import type { QuestionView, RunView } from '../../views/run-view.js';
import { duration, escapeControl, short, shownValue } from '../../views/text.js';
import { html } from './html.js';

type Act = ((action: string, details?: Record<string, unknown>) => void) | undefined;

/** What waits for people: prompt, context, deadline and, where the page may act, an answer. */
export function Questions({ view, select, act }: { view: RunView; select: (id: string) => void; act: Act }) {
  if (view.questions.size === 0) return html`<p class="empty">Nothing waits for people.</p>`;
  return html`<section class="questions" aria-label="questions">
    ${[...view.questions].map(([id, question]) => html`<${Asked} key=${id} id=${id} view=${view} question=${question} select=${select} act=${act} />`)}
  </section>`;
}

function Asked({
  id,
  view,
  question,
  select,
  act,
}: {
  id: string;
  view: RunView;
  question: QuestionView;
  select: (id: string) => void;
  act: Act;
}) {
  const [text, setText] = useState('');
  const { taskId, prompt, context, deadline, refused, callback } = question;
  const left = deadline === undefined ? undefined : deadline - view.startedAt - view.now;
  const answer = (value: unknown): void => act?.('answer', { questionId: id, value });
  return html`<article class="gauge question" data-question=${id}>
    <h3><button class="link" onClick=${() => select(taskId)}>${short(taskId)}</button> asks</h3>
    <p class="prompt">${prompt === '' ? `It waits for ${callback === true ? 'a program to answer' : 'an answer'}.` : escapeControl(prompt.slice(0, 5_000))}</p>
    ${left !== undefined && html`<p class="hint">${left > 0 ? `${duration(left)} left` : 'its deadline has passed'}</p>`}
    ${context !== undefined && html`<pre>${shownValue(context)}</pre>`}
    ${refused !== undefined && html`<p class="error" role="alert">The answer was refused: ${short(refused, 500)}</p>`}
    ${
      act !== undefined &&
      html`<form
      onSubmit=${(event: Event) => {
        event.preventDefault();
        answer(jsonOrText(text));
      }}
    >
      <label>answer <textarea rows="2" value=${text} placeholder="JSON, or text" onInput=${(event: Event) => setText((event.target as HTMLTextAreaElement).value)}></textarea></label>
      <span class="tools">
        <button type="submit" disabled=${text.trim() === ''}>answer</button>
        <button type="button" onClick=${() => answer(true)}>yes (true)</button>
        <button type="button" onClick=${() => answer(false)}>no (false)</button>
      </span>
    </form>`
    }
  </article>`;
}
