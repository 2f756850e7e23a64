/** What no code caught; a spec that imports this looks that nothing did. */
export const escaped: unknown[] = [];
process.on('unhandledRejection', (error) => escaped.push(error));
process.on('uncaughtException', (error) => escaped.push(error));

/** A turn of the event loop: what escapes has done so by then. */
export const turn = (): Promise<unknown> => new Promise((done) => setImmediate(done));
