/** How the search of the site finds and ranks: for the site itself, and for its check. Functions go to the browser as text. */
export const options = {
  searchOptions: {
    fuzzy: 0.2,
    prefix: true,
    boost: { title: 4, text: 2, titles: 1 },
    /** Words that are in every question, and in headings such as "In a thread". */
    processTerm: (term: string): string | null =>
      /^(a|an|and|do|for|how|i|in|my|of|on|the|to|with)$/i.test(term) ? null : term.toLowerCase(),
    /** Pages that explain come before lists of names, and reasons last. */
    boostDocument: (id: string): number => {
      if (/\/(start|guides|concepts|coming-from)\//.test(id)) return 1;
      if (/\/reference\//.test(id)) return 0.25;
      return /\/(decisions|benchmarks|features)/.test(id) ? 0.1 : 0.6;
    },
  },
};
