// Drives the door with the client `storedsafe` of npm, unmodified.
//
// Use: node client.js DEV_JSON, with NODE_PATH where the package is. Writes one line of JSON: how
// many checks passed, and which did not. STEP moves the time step of the one-time password, since
// each is good once.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http2 = require('http2');
const https = require('https');
const { StoredSafe } = require('storedsafe');

const dev = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const door = dev.doors.storedsafe;
const failed = [];
let passed = 0;

function check(name, isRight, shown) {
  if (isRight) passed += 1;
  else failed.push({ check: name, shown: JSON.stringify(shown?.data ?? null).slice(0, 600) });
}

function code(offset) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...door.totp_secret]
    .map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0'))
    .join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + offset));
  const tag = crypto.createHmac('sha1', key).update(step).digest();
  const at = tag[19] & 15;
  return String((tag.readUInt32BE(at) & 0x7fffffff) % 1e6).padStart(6, '0');
}

// Status and body of one request, over either version of HTTP, with the same header fields.
function ask(version, method, path, headers, body) {
  const url = new URL(door.url);
  const ca = fs.readFileSync(dev.ca_file, 'utf8');
  const fields = { accept: '*/*', ...headers };
  if (body !== undefined) fields['content-length'] = Buffer.byteLength(body);
  return new Promise((resolve, reject) => {
    const collect = (stream, status, end) => {
      let text = '';
      stream.setEncoding('utf8');
      stream.on('data', (part) => { text += part; });
      stream.on('end', () => { end(); resolve({ status, data: text }); });
    };
    if (version === 2) {
      const session = http2.connect(url.origin, { ca });
      session.on('error', reject);
      const stream = session.request({ ':method': method, ':path': path, ...fields });
      stream.on('error', reject);
      stream.on('response', (head) => collect(stream, head[':status'], () => session.close()));
      stream.end(body);
      return;
    }
    const options = { ca, method, headers: fields, agent: false, ALPNProtocols: ['http/1.1'] };
    const request = https.request(new URL(path, url), options, (answer) => {
      collect(answer, answer.statusCode, () => {});
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function versions(token, vault) {
  const headers = { 'x-http-token': token };
  const keys = `/api/1.0/transparent/${vault}/keys`;
  const cases = [
    ['LIST', keys],
    ['GET', keys],
    ['GET', `${keys}/payroll`],
    ['GET', `${keys}/nothing`],
    ['GET', '/api/1.0/vault?'],
    ['POST', '/api/1.0/auth/check', '{}'],
    ['POST', `${keys}/payroll`, '{"type":'],
    ['PATCH', keys],
    ['LIST', '/api/1.0/nope'],
  ];
  for (const [method, path, body] of cases) {
    const [one, two] = [await ask(1, method, path, headers, body), await ask(2, method, path, headers, body)];
    const without = (answer) => {
      const shown = JSON.parse(answer.data);
      // What a client adds for the connection's sake is repeated like all else.
      delete shown.HEADERS.Connection;
      delete shown.HEADERS['Content-Length'];
      return JSON.stringify(shown);
    };
    const same = one.status === two.status && without(one) === without(two);
    check(`HTTP/1.1 and HTTP/2: ${method} ${path}`, same, { data: [one, two] });
  }
  const refused = await ask(2, 'LIST', keys, {});
  check('HTTP/2 without a token', refused.status === 403, refused);
}

async function main() {
  const api = new StoredSafe({
    host: door.url.replace('https://', ''),
    apikey: door.apikey,
    options: { ca: fs.readFileSync(dev.ca_file, 'utf8') },
  });
  const wrong = await api.loginTotp(door.username, 'wrong', code(0));
  check('wrong passphrase', wrong.status === 403 && wrong.unauthorized && !api.token, wrong);
  check('one error and one code', wrong.hasErrors && wrong.errors.length === 1, wrong);
  const yubikey = await api.loginYubikey(door.username, door.passphrase, 'c'.repeat(44));
  check('unknown yubikey', yubikey.status === 403 && !api.token, yubikey);
  const login = await api.loginTotp(door.username, door.passphrase, code(Number(process.env.STEP || 0)));
  check('login', login.success && /^[A-Za-z0-9]{36}$/.test(api.token), login);
  check('check', (await api.check()).success);
  const made = await api.createVault({ vaultname: 'JS', policy: 7, description: 'd' });
  check('create vault', made.success && made.data.VAULT[0].groupname === 'JS', made);
  const vault = made.data.VAULT[0].id;
  const listed = await api.listVaults();
  check('list vaults', listed.data.VAULTS.some((one) => one.id === vault), listed);
  check('vault members', (await api.vaultMembers(vault)).data.CALLINFO.vaultmembers.length === 1);

  const headers = { 'X-Http-Token': api.token };
  const call = (method, path, data) => api[method](path, undefined, { headers, data });
  const key = `/transparent/${vault}/keys/payroll`;
  const created = await call('post', key, { type: 'aes256-gcm96' });
  check('create key', created.status === 201, created);
  const again = await call('post', key);
  check('same name', again.status === 400 && again.errors[0] === 'KEY EXISTS', again);
  const sealed = await call('post', `/transparent/${vault}/encrypt/payroll`, { plaintext: 'aGVsbG8=' });
  const ciphertext = sealed.data.CALLINFO.ciphertext;
  check('encrypt', /^storedsafe:v1:/.test(ciphertext), sealed);
  const opened = await call('post', `/transparent/${vault}/decrypt/payroll`, { ciphertext });
  check('decrypt', opened.data.CALLINFO.plaintext === 'aGVsbG8=', opened);
  check('rotate', (await call('post', `${key}/rotate`)).status === 201);
  const keys = await api.request('LIST', `/transparent/${vault}/keys`, headers);
  check('LIST', keys.data.KEYS.length === 1 && keys.data.KEYS[0].key_version === '2', keys);
  await versions(api.token, vault);
  const gone = await api.delete(key, undefined, { headers });
  check('delete key', gone.status === 200 && gone.data.CALLINFO.receipt.length > 0, gone);
  const dead = await call('post', `/transparent/${vault}/decrypt/payroll`, { ciphertext });
  check('unreadable', dead.status === 400 && dead.errors[0] === 'NO SUCH KEY', dead);
  check('delete vault', (await api.deleteVault(vault)).success);
  check('users', (await api.listUsers()).data.CALLINFO.users.length > 0);
  check('status values', (await api.statusValues()).success);
  check('policies', (await api.passwordPolicies()).success);
  check('version', (await api.version()).success);
  check('password', (await api.generatePassword()).success);
  check('templates', (await api.listTemplates()).success);
  check('find', (await api.find('x')).success);
  check('logout', (await api.logout()).success);
  process.stdout.write(`${JSON.stringify({ passed, failed })}\n`);
  process.exitCode = failed.length ? 1 : 0;
}

main();
