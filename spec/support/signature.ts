/** The declaration of `name` in a file of declarations, as one line without comments; all of a function that is overloaded. */
export function signatureOf(declarations: string, name: string): string | undefined {
  const text = declarations.replaceAll(/\/\*[\s\S]*?\*\//g, '');
  const starts = new RegExp(
    `^(?:export )?(?:declare )?(?:abstract )?(?:function|class|interface|type|const|enum) ${name}\\b`,
    'gm',
  );
  const found = [...text.matchAll(starts)].map(({ index, 0: start }) =>
    text.slice(index, endOf(text, index, /class|interface|enum/.test(start.replace(name, '')))),
  );
  return found.length === 0
    ? undefined
    : found
        .map((one) =>
          one
            .replace(/^(export )?(declare )?/, '')
            .replaceAll(/^ *(#private|private .*);$/gm, '')
            .replaceAll(/\s+/g, ' ')
            .trim(),
        )
        .join(' ');
}

/** Where a declaration ends: behind the brace that closes it, or its semicolon. */
function endOf(text: string, from: number, braces: boolean): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const sign = text[at] as string;
    if (sign === "'" || sign === '"' || sign === '`') at = text.indexOf(sign, at + 1);
    else if ('{(['.includes(sign)) depth += 1;
    else if ('})]'.includes(sign)) {
      depth -= 1;
      if (braces && depth === 0 && sign === '}') return at + 1;
    } else if (!braces && depth === 0 && sign === ';') return at + 1;
  }
  return text.length;
}
