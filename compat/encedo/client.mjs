// Speaks to the door as the known client in JavaScript was recorded to: a body goes out with its
// length, GET and DELETE say `content-type: application/json`, `iat` is five seconds ago, a list asks
// for fifty keys. No package of a registry speaks this protocol; this needs Node alone.
//
// Use: client.mjs DEV_JSON. Writes one line of JSON: how many checks passed, and which did not.
import crypto from "node:crypto";
import fs from "node:fs";
import https from "node:https";

const dev = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const door = dev.doors.encedo;
const ca = fs.readFileSync(dev.ca_file);
const agent = new https.Agent({ ca, keepAlive: true });
let passed = 0;
const failed = [];

function check(name, isRight, shown) {
  if (isRight) passed += 1;
  else failed.push({ check: name, shown: String(JSON.stringify(shown)).slice(0, 600) });
}

function send(method, path, body, token) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = { "content-type": "application/json", "accept-language": "*", "sec-fetch-mode": "cors" };
  if (text !== undefined) headers["content-length"] = Buffer.byteLength(text);
  if (token) headers.authorization = `Bearer ${token}`;
  return new Promise((resolve, reject) => {
    const request = https.request(door.url + path, { method, headers, agent }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => {
        const text = Buffer.concat(parts).toString();
        resolve({ status: response.statusCode, text, headers: response.headers, json: () => JSON.parse(text) });
      });
    });
    request.on("error", reject);
    request.end(text);
  });
}

const PKCS8 = Buffer.from("302e020100300506032b656e04220420", "hex");
const SPKI = Buffer.from("302a300506032b656e032100", "hex");
const privateKey = (raw) => crypto.createPrivateKey({ key: Buffer.concat([PKCS8, raw]), format: "der", type: "pkcs8" });
const publicKey = (raw) => crypto.createPublicKey({ key: Buffer.concat([SPKI, raw]), format: "der", type: "spki" });
const rawOf = (key) => (key.type === "public" ? key : crypto.createPublicKey(key)).export({ format: "der", type: "spki" }).subarray(-32);
const agree = (key, peer) => crypto.diffieHellman({ privateKey: key, publicKey: publicKey(peer) });
const base64 = (text) => Buffer.from(text, "base64");

function message(claims, key) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ ecdh: "x25519", alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${crypto.createHmac("sha256", key).update(text).digest("base64url")}`;
}

const secrets = new Map();
function secretOf(passphrase, eid) {
  const name = `${passphrase} ${eid}`;
  if (!secrets.has(name)) secrets.set(name, crypto.pbkdf2Sync(passphrase, eid, 600000, 32, "sha256"));
  return secrets.get(name);
}

async function login(passphrase, scope) {
  const challenge = (await send("GET", "/api/auth/token")).json();
  const key = privateKey(secretOf(passphrase, challenge.eid));
  const iat = Math.floor(Date.now() / 1000) - 5;
  const claims = {
    jti: challenge.jti, aud: challenge.spk, exp: iat + 305, iat,
    iss: rawOf(key).toString("base64"), scope,
  };
  return send("POST", "/api/auth/token", { auth: message(claims, agree(key, base64(challenge.spk))) });
}

const tokens = new Map();
async function token(scope) {
  if (!tokens.has(scope)) tokens.set(scope, (await login(door.user_passphrase, scope)).json().token);
  return tokens.get(scope);
}
const create = async (type, mode = type) =>
  (await send("POST", "/api/keymgmt/create", { mode, type, label: "k", descr: "SlM6" }, await token("keymgmt:gen"))).json().kid;
const use = async (kid, path, body) =>
  send("POST", `/api/crypto/${path}`, { kid, ...body }, await token(`keymgmt:use:${kid}`));
const get = async (kid) => (await send("GET", `/api/keymgmt/get/${kid}`, undefined, await token(`keymgmt:use:${kid}`))).json();
const remove = async (kid) => send("DELETE", `/api/keymgmt/delete/${kid}`, undefined, await token("keymgmt:del"));

async function checkIn() {
  const check1 = (await send("GET", "/api/system/checkin")).json();
  const checked = (await send("POST", "/checkin", check1)).json();
  const answer = await send("POST", "/api/system/checkin", checked);
  check("check-in", answer.status === 200 && answer.json().status === "OK", answer.text);
}

async function keys() {
  check("wrong password", (await login("wrong", "keymgmt:list")).status === 401);
  const made = {};
  for (const type of ["ED25519", "AES256", "CURVE25519"]) made[type] = await create(type);
  const list = (await send("GET", "/api/keymgmt/list/0/50", undefined, await token("keymgmt:list"))).json();
  check("list", list.listed === Math.min(list.total, 15) && list.list.length === list.listed, list);
  const found = (await send("POST", "/api/keymgmt/search", { descr: "^SlM6" }, await token("keymgmt:list"))).json();
  check("search", found.list.length === 3, found);
  const types = found.list.map((key) => key.type).join(" ");
  check("types", types === "ATT,PKEY,ExDSA,ED25519 ATT,AES256 ATT,PKEY,ECDH,CURVE25519", types);
  return made;
}

async function uses({ ED25519: signer, AES256: cipher, CURVE25519: curve }) {
  const msg = Buffer.from("m").toString("base64");
  const signature = (await use(signer, "exdsa/sign", { msg, alg: "Ed25519" })).json().sign;
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), base64((await get(signer)).pubkey)]);
  const key = crypto.createPublicKey({ key: spki, format: "der", type: "spki" });
  check("sign", crypto.verify(null, Buffer.from("m"), key, base64(signature)));
  check("verify", (await use(signer, "exdsa/verify", { msg, alg: "Ed25519", sign: signature })).status === 200);
  check("verify bad", (await use(signer, "exdsa/verify", { msg: "bg==", alg: "Ed25519", sign: signature })).status === 406);
  const sealed = (await use(cipher, "cipher/encrypt", { msg, alg: "AES256-GCM" })).json();
  const opened = await use(cipher, "cipher/decrypt", { msg: sealed.ciphertext, iv: sealed.iv, tag: sealed.tag, alg: "AES256-GCM" });
  check("cipher", opened.json().plaintext === msg, sealed);
  const own = crypto.generateKeyPairSync("x25519");
  const pubkey = rawOf(own.publicKey).toString("base64");
  const secret = agree(own.privateKey, base64((await get(curve)).pubkey));
  const ecdh = base64((await use(curve, "ecdh", { pubkey })).json().ecdh);
  check("ecdh", ecdh.equals(secret) && ecdh.length === 32);
  const mac = base64((await use(curve, "hmac/hash", { msg, pubkey, alg: "SHA2-256" })).json().mac);
  check("agreed mac", mac.equals(crypto.createHmac("sha256", secret).update("m").digest()));
  const derive = { kid: curve, label: "d", type: "AES256", pubkey };
  const derived = (await send("POST", "/api/keymgmt/derive", derive, await token("keymgmt:derive"))).json().kid;
  const wanted = Buffer.from(crypto.hkdfSync("sha256", secret, Buffer.alloc(0), "encedo-AES256", 32));
  const box = (await use(derived, "cipher/encrypt", { msg, alg: "AES256-CBC" })).json();
  const cbc = crypto.createDecipheriv("aes-256-cbc", wanted, base64(box.iv));
  check("derived", Buffer.concat([cbc.update(base64(box.ciphertext)), cbc.final()]).toString() === "m");
}

async function authenticator() {
  const phone = crypto.generateKeyPairSync("x25519");
  const aid = rawOf(phone.publicKey).toString("base64");
  const epk = rawOf(crypto.generateKeyPairSync("x25519").publicKey).toString("base64");
  const pair = await token("auth:ext:pair");
  const begun = (await send("POST", "/api/auth/ext/init", { epk }, pair)).json();
  const request = JSON.parse(Buffer.from(begun.request.split(".")[1], "base64url"));
  const key = agree(phone.privateKey, base64(begun.eid));
  const reply = message({ jti: request.jti, iss: aid, aud: begun.eid, epk, label: "Pixel 8 (Android)" }, key);
  const pid = crypto.randomBytes(32).toString("base64");
  const paired = await send("POST", "/api/auth/ext/validate", { pid, reply }, pair);
  check("pair", paired.status === 200, paired.text);
  const asked = (await send("POST", "/api/auth/ext/request", { epk, scope: "keymgmt:list", exp: 1 })).json();
  const question = JSON.parse(Buffer.from(asked.authreq.split(".")[1], "base64url"));
  const answer = message({
    aud: begun.eid, jti: question.jti, exp: question.iat + 900, iat: question.iat, pid, iss: aid,
    scope: question.scope[pid],
  }, key);
  const external = (await send("POST", "/api/auth/ext/token", { authreply: answer })).json().token;
  const claims = JSON.parse(Buffer.from(external.split(".")[1], "base64url"));
  check("approve", claims.scope === "keymgmt:list" && Buffer.from(claims.sub, "base64").toString("hex") === paired.json().kid, claims);
  check("list as authenticator", (await send("GET", "/api/keymgmt/list", undefined, external)).status === 200);
  check("unpair", (await remove(paired.json().kid)).status === 200);
  check("unpaired", (await send("GET", "/api/system/status", undefined, external)).status === 401);
}

async function deletes(made) {
  const gone = await remove(made.ED25519);
  check("delete", gone.status === 200 && gone.text === "" && Boolean(gone.headers["x-deletion-receipt"]));
  check("repeat", (await remove(made.ED25519)).status === 406);
  check("use after delete", (await use(made.ED25519, "exdsa/sign", { msg: "", alg: "Ed25519" })).status === 406);
  const preflight = await send("OPTIONS", "/api/keymgmt/list");
  check("preflight", preflight.status === 204 && preflight.headers["access-control-max-age"] === "86400");
}

try {
  await checkIn();
  const made = await keys();
  await uses(made);
  await authenticator();
  await deletes(made);
} catch (error) {
  failed.push({ check: "run", shown: String(error.stack).slice(0, 600) });
}
console.log(JSON.stringify({ passed, failed }));
process.exit(failed.length ? 1 : 0);
