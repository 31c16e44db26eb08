// Drives the KMS tools of the npm package ncloud-mcp-server, as they are, against a Lethe server:
// through the protocol that the tools speak, over a connection in memory.
//
// Usage: node mcp_tools.mjs NODE_MODULES DEV_JSON
//
// Prints one line `ok N` with the number of tool calls, or fails.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [, , nodeModules, devJson] = process.argv;
const load = (path) => import(pathToFileURL(join(resolve(nodeModules), path)).href);
const { NcloudClient } = await load("ncloud-mcp-server/dist/client/ncloud-client.js");
const { registerKmsTools } = await load("ncloud-mcp-server/dist/tools/security-kms.js");
const sdk = "@modelcontextprotocol/sdk/dist/esm";
const { McpServer } = await load(`${sdk}/server/mcp.js`);
const { Client } = await load(`${sdk}/client/index.js`);
const { InMemoryTransport } = await load(`${sdk}/inMemory.js`);

const door = JSON.parse(readFileSync(devJson, "utf8")).doors.ncloud;
const server = new McpServer({ name: "ncloud", version: "1" });
registerKmsTools(
  server,
  new NcloudClient({
    accessKey: door.access_key,
    secretKey: door.secret_key,
    baseUrl: door.http_url,
  }),
);
const client = new Client({ name: "compat", version: "1" });
const [ours, theirs] = InMemoryTransport.createLinkedPair();
await Promise.all([server.connect(theirs), client.connect(ours)]);

let calls = 0;

function fail(what) {
  console.error(`failed: ${what}`);
  process.exit(1);
}

async function call(name, parameters) {
  calls += 1;
  return client.callTool({ name: `ncloud_kms_${name}`, arguments: parameters });
}

/** What the tool tells; it must have succeeded. */
async function tell(name, parameters) {
  const result = await call(name, parameters);
  const text = result.content[0].text;
  if (result.isError) fail(`${name}: ${text}`);
  return text;
}

/** What the tool tells, which must say so. */
async function expect(name, parameters, ...parts) {
  const text = await tell(name, parameters);
  for (const part of parts) {
    if (!text.includes(part)) fail(`${name}: no ${part} in ${text}`);
  }
  return text;
}

/** The tool must be refused, for a reason that says so. */
async function refused(name, parameters, part) {
  const result = await call(name, parameters);
  const text = result.content[0].text;
  if (!result.isError || !text.includes(part)) fail(`${name}: not refused with ${part}: ${text}`);
}

const member = (text, name) => {
  const found = new RegExp(`"${name}":\\s*"([^"]+)"`).exec(text);
  return found ? found[1] : fail(`no ${name} in ${text}`);
};

const plaintext = Buffer.from("hello").toString("base64");
const basic = { protectionType: "BASIC" };

const made = await tell("create_key", { keyName: "mcp-key", keyType: "AES256", ...basic });
const key = { keyTag: member(made, "keyTag") };
await expect("get_key_info", key, "mcp-key", "ENABLE");
await expect("get_key_list", { pageNo: 1, pageSize: 200 }, key.keyTag, "totalCount");
const ciphertext = member(await tell("encrypt", { ...key, plaintext }), "ciphertext");
await expect("decrypt", { ...key, ciphertext }, plaintext);
await expect("rotate_key", key, "2");
await expect("reencrypt", { ...key, ciphertext }, "ncpkms:v2:");
await expect("create_custom_key", { ...key, requestPlainKey: true, bits: 256 }, "plaintext");
await expect("get_key_version_list", key, "versionList");
await expect("disable_key_version", { ...key, version: 1 }, "DISABLE");
await refused("decrypt", { ...key, ciphertext }, "UNPROCESSABLE_ENTITY");
await expect("enable_key_version", { ...key, version: 1 }, "ENABLE");
await expect("disable_key", key, "DISABLE");
await refused("encrypt", { ...key, plaintext }, "UNPROCESSABLE_ENTITY");
await expect("enable_key", key, "ENABLE");
await expect("enable_auto_rotation", key, "nextRotationDate");
await expect("disable_auto_rotation", key, "false");
await tell("create_token_generator", key);
await expect("get_token_generator", key, "ACTIVE");
await tell("delete_token_generator", { ...key, confirm: true });

const pair = member(
  await tell("create_key", { keyName: "mcp-signer", keyType: "ECDSA", ...basic }),
  "keyTag",
);
const signer = { keyTag: pair, data: plaintext };
const signature = member(await tell("sign", signer), "signature");
await expect("verify", { ...signer, signature }, "true");

await refused("delete_key", { ...key, confirm: true }, "UNPROCESSABLE_ENTITY");
await expect("request_key_deletion", key, "REVOKE");
await expect("cancel_key_deletion", key, "DISABLE");
await expect("request_key_deletion", key, "REVOKE");
await tell("delete_key", { ...key, confirm: true });
await refused("decrypt", { ...key, ciphertext }, "NOT_FOUND");
await refused("get_key_info", key, "NOT_FOUND");

console.log(`ok ${calls}`);
process.exit(0);
