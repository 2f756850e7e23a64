export type { AskedQuestion, FlowToolOptions, JsonSchema } from '../flow-tool.js';
export type { OfferOptions } from '../offer.js';
export { asMcpTool, type McpToolOptions } from './as-mcp-tool.js';
export { McpClient, mcpClient } from './mcp-client.js';
export type { McpClientOptions, McpClientSettings } from './mcp-connect.js';
export type { McpAddress } from './mcp-http.js';
export type { McpCommand } from './mcp-process.js';
export type { McpToolResult } from './mcp-result.js';
export type { McpProgress, McpSdkClient, McpTransport } from './mcp-sdk.js';
export { type McpSdkServer, type McpServerOptions, mcpServer } from './mcp-server.js';
export type { McpToolInfo } from './mcp-session.js';
export { mcpThoughts } from './mcp-thoughts.js';
export {
  fromMcpTool,
  fromMcpTools,
  type McpAgent,
  type McpContent,
  type McpOutput,
  McpToolError,
  type McpToolMapping,
} from './mcp-tool.js';
export type { McpCallExtra, McpTool } from './served-tool.js';
