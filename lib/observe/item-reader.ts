import type { Unsubscribable } from 'rxjs';
import type { TaskNode } from '../graph/node.js';
import { PassedRow } from '../graph/passed-row.js';
import { AskedValues } from '../kernel/asked-values.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { bag, checked, number } from '../kernel/option-rules.js';
import type { ItemsOptions } from '../model/each.js';

const optionRules = bag<ItemsOptions>('{ buffer }', { buffer: number(1, 'whole', 'infinite') });

/** @throws RxhiveError INVALID_OPTION */
export function checkReading({ id, definition }: TaskNode, options: ItemsOptions): ItemsOptions {
  checked(options, 'options of run.items', optionRules);
  if (definition.feeds === true) return options;
  const message = `run.items: "${truncate(id)}" is no flow.each; give one, or read run.values$.`;
  throw new RxhiveError('INVALID_OPTION', message);
}

/**
 * Reads what a `flow.each` comes to, item by item, as a stage that follows would: it takes one when it is asked for one, and
 * what it has not taken holds the stage back. `watch` keeps the run going and is told the end of the stage.
 */
export function readItems<T>(
  node: TaskNode,
  buffer: number | undefined,
  watch: (end: (how: { readonly error?: unknown }) => void) => Unsubscribable,
): AsyncIterator<T> {
  const row = new PassedRow(buffer);
  const extra = node.more();
  extra.readers ??= new Set();
  const { readers } = extra;
  const values = new AskedValues<T>(
    () => {
      const first = row.take();
      if (first === undefined) {
        if (row.done) leave();
        return undefined;
      }
      row.begun(1);
      return { value: first.item as T };
    },
    () => leave(),
  );
  row.onItem = () => values.answer();
  row.onRoom = () => extra.feed?.goOn();
  readers.add(row);
  const watching = watch((how) => {
    row.complete();
    values.finish(how);
  });
  const leave = (): void => {
    readers.delete(row);
    // Where it was the last, the run ends: nothing more begins.
    watching.unsubscribe();
    row.close();
  };
  return values;
}
