/**
 * The text of a stream of texts, once: some streams give pieces, others (those of adapters) the text so far with each value.
 * Which it is shows in most of the values; of the latter the newest is all there is. Undefined: not all values are texts.
 */
export function streamText(values: readonly unknown[]): string | undefined {
  if (!values.every((one) => typeof one === 'string')) return undefined;
  const texts = values as readonly string[];
  let grown = 0;
  for (let i = 1; i < texts.length; i++) {
    const [before, one] = [texts[i - 1] as string, texts[i] as string];
    // Pieces may be equal too, but long ones hardly are.
    if (before !== '' && one.startsWith(before) && (one.length > before.length || one.length > 3)) grown += 1;
  }
  return grown > 0 && grown * 2 >= texts.length - 1 ? texts.at(-1) : texts.join('');
}
