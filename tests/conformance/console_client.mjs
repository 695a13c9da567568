// An MCP client for a console, of the TypeScript SDK: `node console_client.mjs URL [TOOL [JSON]]`.
//
// Without TOOL it lists the tools. It authorizes itself: prints where the user has to go, and waits for them on a loopback
// port; a second time for a tool that needs more than they have allowed so far. With TOKEN in the environment it uses that
// instead. ERA=legacy speaks the protocol of 2025.
import { once } from "node:events";
import { createServer } from "node:http";
import { argv, env, exit, stderr, stdout } from "node:process";
import { randomUUID } from "node:crypto";
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";

const [url, tool, given = "{}"] = argv.slice(2);
if (!url) {
  stderr.write("usage: node console_client.mjs URL [TOOL [JSON]]\n");
  exit(2);
}

const listener = createServer().listen(0, "127.0.0.1");
await once(listener, "listening");

class Consent {
  redirectUrl = `http://127.0.0.1:${listener.address().port}/callback`;
  clientMetadata = { client_name: "Console client", redirect_uris: [this.redirectUrl], token_endpoint_auth_method: "none" };
  #kept = {};
  #state = randomUUID();

  state = () => this.#state;
  clientInformation = () => this.#kept.client;
  saveClientInformation = (client) => void (this.#kept.client = client);
  tokens = () => this.#kept.tokens;
  saveTokens = (tokens) => void (this.#kept.tokens = tokens);
  codeVerifier = () => this.#kept.verifier;
  saveCodeVerifier = (verifier) => void (this.#kept.verifier = verifier);
  discoveryState = () => this.#kept.discovery;
  saveDiscoveryState = (discovery) => void (this.#kept.discovery = discovery);
  redirectToAuthorization = (where) => void stderr.write(`Open in a browser: ${where}\n`);

  async answer() {
    const [request, response] = await once(listener, "request");
    response.setHeader("connection", "close").end("You can close this page.\n");
    const { searchParams } = new URL(request.url, this.redirectUrl);
    if (searchParams.get("state") !== this.#state) throw new Error("this is not the answer to our request");
    return searchParams;
  }
}

const consent = new Consent();
const authProvider = env.TOKEN ? { token: async () => env.TOKEN } : consent;
let latest;
const transport = () => (latest = new StreamableHTTPClientTransport(new URL(url), { authProvider }));
const client = () =>
  new Client({ name: "console", version: "1" }, { versionNegotiation: { mode: env.ERA === "legacy" ? "legacy" : "auto" } });

async function onceAllowed(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof UnauthorizedError) || env.TOKEN) throw error;
    await latest.finishAuth(await consent.answer());
    return attempt();
  }
}

async function connected() {
  const one = client();
  await one.connect(transport());
  return one;
}

const mcp = await onceAllowed(connected);
stderr.write(`Connected, protocol ${mcp.getNegotiatedProtocolVersion()}\n`);
if (tool) {
  const { content, isError } = await onceAllowed(() => mcp.callTool({ name: tool, arguments: JSON.parse(given) }));
  for (const part of content) stdout.write(`${part.text ?? JSON.stringify(part)}\n`);
  process.exitCode = isError ? 1 : 0;
} else {
  for (const { name, title } of (await mcp.listTools()).tools) stdout.write(`${name}: ${title}\n`);
}
await mcp.close();
listener.close();
