export { McpClient, mcpClient } from './mcp-client.js';
export type { McpClientOptions, McpClientSettings } from './mcp-connect.js';
export type { McpAddress } from './mcp-http.js';
export type { McpCommand } from './mcp-process.js';
export type { McpProgress, McpSdkClient, McpTransport } from './mcp-sdk.js';
export type { McpToolInfo } from './mcp-session.js';
export {
  fromMcpTool,
  fromMcpTools,
  type McpAgent,
  type McpContent,
  type McpOutput,
  McpToolError,
  type McpToolMapping,
} from './mcp-tool.js';
