import { Writable } from 'node:stream';
import { asMcpTool } from '../adapters/mcp/as-mcp-tool.js';
import { type McpTransport, mcpSdk } from '../adapters/mcp/mcp-sdk.js';
import { mcpServer } from '../adapters/mcp/mcp-server.js';
import { onAbort } from '../kernel/abort.js';
import { RxhiveError } from '../kernel/errors.js';
import { command } from './command.js';
import { exitCodes } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { loadAll, type Runnable } from './load.js';
import { text } from './option.js';
import { ownStdout } from './output.js';
import { WrongCall } from './wrong-call.js';

/**
 * `rxhive mcp MODULE`: serves the workflows and orchestrators that a module exports as tools of an MCP server on stdin and
 * stdout, until stdin ends. The default export is called like its workflow, others like their export. With a
 * store, runs that ask people wait there for clients that cannot.
 */
export const mcp = command({
  name: 'mcp',
  help: 'serves the workflows of a module as tools of an MCP server on stdin and stdout',
  words: [{ name: 'MODULE', missing: 'give the module to load, for example: rxhive mcp flow.js' }],
  options: {
    store: text('STORE', 'where runs wait that ask people, for clients that cannot'),
  },
  does: ({ words: [module], values, out }) =>
    interruptible(out, ({ signal }) => serve(module, values, signal)),
});

async function serve(
  module: string,
  values: { readonly store: string | undefined },
  signal: AbortSignal,
): Promise<number> {
  const own = ownStdout();
  const stdout = new Writable({ write: (chunk: Buffer, _, done) => void own.write(chunk, done) });
  const found = await loadAll(module);
  const tools = await Promise.all([...found].map(([name, one]) => toolOf(name, one, values.store)));
  const server = await mcpServer(tools).catch((error: Error) => {
    throw error instanceof RxhiveError ? new WrongCall(error.message) : error;
  });
  const { StdioServerTransport } = await mcpSdk<{
    readonly StdioServerTransport: new (stdin: NodeJS.ReadStream, stdout: Writable) => McpTransport;
  }>('server/stdio.js');
  await server.connect(new StdioServerTransport(process.stdin, stdout));
  console.error(`rxhive mcp: ${tools.map(({ info }) => info.name).join(', ')}`);
  await new Promise<void>((resolve) => {
    process.stdin.once('end', resolve).once('close', resolve).once('error', resolve);
    // Nobody reads the answers any more.
    for (const stream of [stdout, process.stdout]) stream.on('error', () => resolve());
    onAbort(signal, () => resolve());
  });
  // What still runs is cancelled; what the module keeps open does not keep a server without a client.
  await server.close();
  setTimeout(() => process.exit(0), lastMs).unref();
  return signal.aborted ? exitCodes.cancelled : exitCodes.succeeded;
}

/** Ms that cancelled runs have to tidy up. */
const lastMs = 1_000;

async function toolOf(name: string, one: Runnable, store: string | undefined): ReturnType<typeof asMcpTool> {
  try {
    return await asMcpTool(one, {
      ...(name !== 'default' && { name }),
      ...(store !== undefined && { run: { store } }),
    });
  } catch (error) {
    throw error instanceof RxhiveError ? new WrongCall(error.message) : error;
  }
}
