import { jsonOrText } from '../../kernel/json-or-text.js';
import { peer } from '../../kernel/peer.js';
import type { A2AClient } from './a2a-call.js';

/** The part of `@a2a-js/sdk/client` that is used. */
interface A2ASdk {
  readonly ClientFactory: new (
    options: object,
  ) => { createFromUrl(url: string, path?: string): Promise<A2AClient> };
  readonly JsonRpcTransportFactory: new (options: object) => object;
  readonly RestTransportFactory: new (options: object) => object;
  readonly DefaultAgentCardResolver: new (options: object) => object;
}

type Fetch = typeof fetch;
type HeadersLike = Readonly<Record<string, string>>;

/** A client for the agent at an address, by JSON-RPC or REST as its card says. Rejects when there is no card. */
export async function connectA2A(
  url: string,
  options: {
    readonly headers?: HeadersLike | (() => HeadersLike | PromiseLike<HeadersLike>);
    readonly card?: string;
  },
): Promise<A2AClient> {
  const sdk = await peer<A2ASdk>('@a2a-js/sdk/client', 'rxhive/a2a', '@a2a-js/sdk');
  const { headers = {}, card } = options;
  const fetchImpl: Fetch = async (address, init = {}) => {
    const own = typeof headers === 'function' ? await headers() : headers;
    const given = init.headers as HeadersLike | undefined;
    const response = await fetch(address, { ...init, headers: { ...own, ...given } });
    if (!response.ok) throw await refusal(response);
    return response;
  };
  const factory = new sdk.ClientFactory({
    transports: [new sdk.JsonRpcTransportFactory({ fetchImpl }), new sdk.RestTransportFactory({ fetchImpl })],
    cardResolver: new sdk.DefaultAgentCardResolver({ fetchImpl }),
  });
  return factory.createFromUrl(url.endsWith('/') ? url : `${url}/`, card);
}

/** The SDK's own errors keep neither status nor headers, which say whether and when to try again. */
async function refusal(response: Response): Promise<Error> {
  const { status, statusText, headers } = response;
  const text = await response.text().catch(() => '');
  const told = jsonOrText(text) as { readonly error?: { readonly message?: unknown } } | null;
  const said = String(told?.error?.message ?? text.slice(0, 500));
  return Object.assign(new Error(said.trim() === '' ? `HTTP ${status} ${statusText}` : said), {
    status,
    headers,
  });
}
