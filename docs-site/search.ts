/** How the search of the site finds and ranks: for the site itself, and for its check. */
export const options = {
  searchOptions: {
    fuzzy: 0.2,
    prefix: true,
    boost: { title: 4, text: 2, titles: 1 },
    /** Pages that explain come before lists of names, and reasons last. Self-contained: it is sent to the browser as text. */
    boostDocument: (id: string): number => {
      if (/\/(start|guides|concepts|coming-from)\//.test(id)) return 1;
      if (/\/reference\//.test(id)) return 0.25;
      return /\/(decisions|benchmarks|features)/.test(id) ? 0.1 : 0.6;
    },
  },
};
