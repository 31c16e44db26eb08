// Drives the door with the signers that the vendor wrote for browsers, `@dfns/sdk-browser`,
// unmodified and in a real Chromium, whose authenticator is the virtual one of its own test
// interface. Requests go through `@dfns/sdk`, unmodified as well.
//
// By hand, against `lethe serve --dev --set door.native.realm=dev-dfns`, so that the native token is
// of this organization: npm ci --prefix compat/dfns/browser, then
// node compat/dfns/browser/passkeys.js DATA/dev.json
// The browser is `chromium`, or what CHROMIUM names. Writes one line of JSON: how many checks
// passed, and which did not.
'use strict';
const crypto = require('crypto');
const { spawn } = require('child_process');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');
const esbuild = require('esbuild');
const { DfnsApiClient, DfnsError } = require('@dfns/sdk');

const dev = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const door = dev.doors.dfns;
const failed = [];
let passed = 0;

function check(name, isRight, shown) {
  if (isRight) passed += 1;
  else failed.push({ check: name, shown: JSON.stringify(shown ?? null).slice(0, 600) });
}

async function refused(name, status, words, call) {
  try {
    check(name, false, await call());
  } catch (error) {
    const isRight = error instanceof DfnsError && error.httpStatus === status && words.test(error.message);
    check(name, isRight, { status: error.httpStatus, message: error.message, stack: error.stack });
  }
}

/** A Chromium that is spoken to over two pipes, one JSON text after the other. */
class Browser {
  constructor() {
    this.profile = fs.mkdtempSync(path.join(os.tmpdir(), 'lethe-passkeys-'));
    const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--remote-debugging-pipe',
      `--user-data-dir=${this.profile}`, 'about:blank'];
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'];
    this.child = spawn(process.env.CHROMIUM ?? 'chromium', flags, { stdio });
    this.waiting = new Map();
    this.next = 0;
    let rest = Buffer.alloc(0);
    this.child.stdio[4].on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
        const said = JSON.parse(rest.subarray(0, end).toString());
        rest = rest.subarray(end + 1);
        const { resolve, reject } = this.waiting.get(said.id) ?? {};
        this.waiting.delete(said.id);
        if (said.error) reject?.(new Error(JSON.stringify(said.error)));
        else resolve?.(said.result);
      }
    });
  }

  send(method, params = {}) {
    const id = (this.next += 1);
    const request = { id, method, params, sessionId: this.session };
    this.child.stdio[3].write(JSON.stringify(request) + '\0');
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  /** Opens a page; what comes after is about it. */
  async open(url) {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    this.session = sessionId;
    await this.send('Page.enable');
    await this.send('Page.navigate', { url });
    for (let ready = false; !ready; ) {
      ready = await this.run('return document.readyState === "complete" && !!window.dfns');
    }
  }

  /** The value of a function body in the page. */
  async run(body) {
    const expression = `(async () => { ${body} })()`;
    const said = await this.send('Runtime.evaluate',
      { expression, awaitPromise: true, returnByValue: true });
    if (said.exceptionDetails) throw new Error(said.exceptionDetails.exception?.description);
    return said.result.value;
  }

  close() {
    this.child.kill();
    this.child.on('exit', () => fs.rmSync(this.profile, { recursive: true, force: true }));
  }
}

/** A page of http://localhost that has the vendor's signers. */
async function page() {
  const entry = `
    import { WebAuthnSigner, BrowserKeySigner } from '@dfns/sdk-browser';
    window.dfns = {
      passkey: new WebAuthnSigner({ relyingParty: { id: 'localhost', name: 'Lethe' } }),
      BrowserKeySigner,
    };`;
  const built = await esbuild.build({
    stdin: { contents: entry, resolveDir: __dirname }, bundle: true, write: false,
    platform: 'browser', format: 'iife', define: { global: 'window', 'process.env.NODE_ENV': '""' },
  });
  const script = built.outputFiles[0].text;
  const server = http.createServer((request, response) => {
    const isScript = request.url === '/signers.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? script : '<!doctype html><script src="/signers.js"></script>');
  });
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  return { server, url: `http://localhost:${server.address().port}/` };
}

const client = (authToken, signer) =>
  new DfnsApiClient({ baseUrl: door.http_url, authToken: authToken ?? '', signer });

/** The service account of dev.json, whose key is in this process. */
function admin() {
  const key = crypto.createPrivateKey(door.private_key_pem);
  const text = (bytes) => Buffer.from(bytes).toString('base64url');
  return client(door.auth_token, {
    async sign({ challenge }) {
      const data = Buffer.from(JSON.stringify({ type: 'key.get', challenge }));
      return {
        kind: 'Key',
        credentialAssertion: { credId: door.credential_id, clientData: text(data),
          signature: text(crypto.sign(undefined, data, key)) },
      };
    },
  });
}

async function lethe(name, body) {
  const response = await fetch(`${door.http_url}/lethe/${name}`, {
    method: 'POST', body: JSON.stringify(body),
    headers: { authorization: `Bearer ${dev.doors.native.token}`, 'content-type': 'application/json' },
  });
  return response.json();
}

async function main(browser, url) {
  await browser.open(url);
  await browser.send('WebAuthn.enable');
  const options = { protocol: 'ctap2', transport: 'internal', hasResidentKey: true,
    hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
  const { authenticatorId } = await browser.send('WebAuthn.addVirtualAuthenticator', { options });
  const passkey = {
    sign: (challenge) => browser.run(`return dfns.passkey.sign(${JSON.stringify(challenge)})`),
    create: (challenge) => browser.run(`return dfns.passkey.create(${JSON.stringify(challenge)})`),
  };
  const orgId = door.org_id;
  const dfns = admin();
  const logIn = async (username) => {
    const challenge = await client().auth.createLoginChallenge({ body: { orgId, username } });
    const firstFactor = await passkey.sign(challenge);
    const body = { challengeIdentifier: challenge.challengeIdentifier, firstFactor };
    return { challenge, firstFactor, token: (await client().auth.login({ body })).token };
  };

  // An end user, registered by a service account, with a passkey.
  const email = `ann-${Date.now()}@example.com`;
  const begun = await dfns.auth.createDelegatedRegistrationChallenge({ body: { email, kind: 'EndUser' } });
  const created = await passkey.create(begun);
  check('the browser makes a passkey', created.credentialKind === 'Fido2', created);
  const done = await client(begun.temporaryAuthenticationToken)
    .auth.register({ body: { firstFactorCredential: created } });
  check('registered', done.credential.kind === 'Fido2' && done.user.id === begun.user.id, done);
  const session = await logIn(email);
  check('the passkey is offered', session.challenge.allowCredentials.webauthn[0]?.id
    === created.credentialInfo.credId, session.challenge);
  check('the authenticator says whose it is', Buffer.from(
    session.firstFactor.credentialAssertion.userHandle, 'base64url').toString() === begun.user.id);
  const ann = client(session.token, passkey);
  const key = await dfns.keys.createKey({ body: { scheme: 'EdDSA', curve: 'ed25519', delegateTo: begun.user.id } });
  for (let round = 1; round <= 3; round += 1) {
    const message = crypto.randomBytes(32);
    const { signature } = await ann.keys.generateSignature({
      keyId: key.id, body: { kind: 'Message', message: '0x' + message.toString('hex') } });
    const raw = Buffer.from(signature.r.slice(2) + signature.s.slice(2), 'hex');
    const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(key.publicKey, 'hex')]);
    const publicKey = crypto.createPublicKey({ key: spki, format: 'der', type: 'spki' });
    check(`signature ${round} by a passkey`, crypto.verify(undefined, message, publicKey, raw), signature);
  }
  const named = await logIn(undefined);
  const listed = await client(named.token, passkey).auth.listUserCredentials();
  check('a login without a name', listed.items.length === 1 && listed.items[0].origin === url.slice(0, -1), listed);

  // An employee, registered with a code, who deletes a key; the receipt is checked elsewhere.
  const bob = `bob-${Date.now()}@example.com`;
  const user = await dfns.auth.createUser({ body: { email: bob, kind: 'CustomerEmployee' } });
  const { code } = await lethe('codes', { username: bob, kind: 'Registration' });
  const challenge = await client().auth.createRegistrationChallenge({ body: { orgId, username: bob, registrationCode: code } });
  const second = await passkey.create(challenge);
  await client(challenge.temporaryAuthenticationToken).auth.register({ body: { firstFactorCredential: second } });
  const full = (await dfns.permissions.listPermissions()).items[0].id;
  await dfns.permissions.createAssignment({ permissionId: full, body: { identityId: user.userId } });
  const { token } = await logIn(bob);
  const employee = client(token, passkey);
  const deleted = await employee.keys.deleteKey({ keyId: key.id });
  check('deleted by a passkey', deleted.status === 'Archived' && !!deleted.dateDeleted, deleted);
  await refused('gone', 404, /key not found/, () => employee.keys.deleteKey({ keyId: key.id }));

  // What the authenticator did not verify, and what somebody altered.
  await browser.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  const unverified = { sign: async (asked) => passkey.sign({ ...asked, userVerification: 'discouraged' }) };
  const create = (as) => as.keys.createKey({ body: { scheme: 'EdDSA', curve: 'ed25519' } });
  const no = /does not have a credential/;
  await refused('the user was not verified', 401, no, () => create(client(token, unverified)));
  await browser.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true });
  const altered = { sign: async (asked) => {
    const answer = await passkey.sign(asked);
    const data = JSON.parse(Buffer.from(answer.credentialAssertion.clientData, 'base64url'));
    answer.credentialAssertion.clientData = Buffer.from(JSON.stringify({ ...data, more: 1 })).toString('base64url');
    return answer;
  } };
  await refused('altered client data', 401, no, () => create(client(token, altered)));
  const old = await passkey.sign({ challenge: 'an old one', userVerification: 'required', allowCredentials:
    { webauthn: [{ type: 'public-key', id: second.credentialInfo.credId }] } });
  await refused('another challenge', 401, no, () => create(client(token, { sign: async () => old })));
  check('and still good', (await create(employee)).status === 'Active');

  // A key of the browser itself.
  const asked = await employee.auth.createUserCredentialChallenge({ body: { kind: 'Key' } });
  const made = await browser.run(`
    const keyPair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
    dfns.key = new dfns.BrowserKeySigner({ keyPair });
    return dfns.key.create(${JSON.stringify(asked)})`);
  await employee.auth.createUserCredential({ body: { ...made, credentialName: 'web key', challengeIdentifier: asked.challengeIdentifier } });
  const byKey = { sign: (one) => browser.run(`return dfns.key.sign(${JSON.stringify(one)})`) };
  check('a key of the browser signs', (await create(client(token, byKey))).status === 'Active');
}

(async () => {
  const browser = new Browser();
  const { server, url } = await page();
  try {
    await main(browser, url);
  } catch (error) {
    failed.push({ check: 'no error', shown: String(error.stack ?? error) });
  }
  browser.close();
  server.close();
  console.log(JSON.stringify({ passed, failed }));
  process.exitCode = failed.length ? 1 : 0;
})();
