/** What the workflows of this folder call. Put your own clients here; the marble tests put agents in their place. */
export interface Services {
  /** Asks a language model. */
  ask(prompt: string, signal: AbortSignal): Promise<string>;
  /** Searches, fetches, books, charges: whatever an API does. */
  call(what: string, signal: AbortSignal): Promise<string>;
}

export const services: Services = {
  ask: (prompt) => Promise.reject(new Error(`no model is configured to answer "${prompt.slice(0, 40)}"`)),
  call: (what) => Promise.reject(new Error(`no service is configured for "${what.slice(0, 40)}"`)),
};
