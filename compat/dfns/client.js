// Drives the door with the client of npm, `@dfns/sdk` and `@dfns/sdk-keysigner`, unmodified. What
// the server signs is verified by libraries of others: noble-curves, scure-starknet, ethers.
//
// Use: node client.js DEV_JSON, with NODE_PATH where the packages are. Writes one line of JSON: how
// many checks passed, and which did not.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');
const { DfnsApiClient, DfnsDelegatedApiClient, DfnsError } = require('@dfns/sdk');
const { AsymmetricKeySigner } = require('@dfns/sdk-keysigner');
const older = require('dfns-sdk-0.8.3');
const ethers = require('ethers');

const dev = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const door = dev.doors.dfns;
const failed = [];
let passed = 0;

function check(name, isRight, shown) {
  if (isRight) passed += 1;
  else failed.push({ check: name, shown: JSON.stringify(shown ?? null).slice(0, 600) });
}

// Packages of today are modules that `require` does not load.
const load = (name) =>
  import(pathToFileURL(path.join(process.env.NODE_PATH, name)).href);

const bytes = (hex) => Uint8Array.from(Buffer.from(hex.replace(/^0x/, ''), 'hex'));
const hex = (raw) => Buffer.from(raw).toString('hex');
const big = (raw) => BigInt('0x' + hex(raw));
const word = (number) => bytes(number.toString(16).padStart(64, '0'));
const sha256 = (...parts) => crypto.createHash('sha256').update(Buffer.concat(parts)).digest();
const halves = (signature) => bytes(signature.r + signature.s.slice(2));
const is64 = (text) => /^0x[0-9a-f]{64}$/.test(text);

async function refused(name, status, words, call) {
  try {
    const answer = await call();
    check(name, false, answer);
  } catch (error) {
    const isRight = error instanceof DfnsError && error.httpStatus === status && words.test(error.message);
    check(name, isRight, { status: error.httpStatus, message: error.message, stack: error.stack });
    return error;
  }
}

const clientOf = (token, credId, privateKey, more = {}, Client = DfnsApiClient) =>
  new Client({
    baseUrl: door.http_url,
    authToken: token,
    signer: new AsymmetricKeySigner({ credId, privateKey }),
    ...more,
  });

const hash = hex(sha256(Buffer.from('hash')));
const address = '0x' + '11'.repeat(20);

async function main() {
  const { secp256k1, schnorr } = await load('@noble/curves/secp256k1.js');
  const { ed25519 } = await load('@noble/curves/ed25519.js');
  const starknet = await load('@scure/starknet/index.js');
  const raw = { prehash: false };
  const dfns = clientOf(door.auth_token, door.credential_id, door.private_key_pem);
  const create = (body, client = dfns) => client.keys.createKey({ body });
  const sign = (key, body) => dfns.keys.generateSignature({ keyId: key.id, body });
  const ids = [];

  // Keys of every kind.
  const kinds = {
    ECDSA: ['secp256k1', 66], EdDSA: ['ed25519', 64], Schnorr: ['secp256k1', 66], DH: ['secp256k1', 66],
  };
  const keys = {};
  for (const [scheme, [curve, length]] of Object.entries(kinds)) {
    const key = await create({ scheme, curve, name: `${scheme} é` });
    keys[scheme] = key;
    ids.push(key.id);
    check(`create ${scheme}`, /^key-[0-9a-v]{5}-[0-9a-v]{5}-[0-9a-v]{16}$/.test(key.id)
      && key.publicKey.length === length && /^[0-9a-f]+$/.test(key.publicKey)
      && key.status === 'Active' && key.custodial && !('masterKey' in key)
      && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(key.dateCreated), key);
  }
  const stark = await create({ scheme: 'ECDSA', curve: 'stark' });
  check('create stark', stark.publicKey.length === 66 && !('name' in stark), stark);
  await refused('no such pair', 400, /curve/, () => create({ scheme: 'Schnorr', curve: 'ed25519' }));
  await refused('unknown member', 400, /colour/, () => create({ scheme: 'DH', curve: 'secp256k1', colour: 1 }));

  // ECDSA, with recovery.
  const { ECDSA: ecdsa, EdDSA: eddsa, Schnorr: taproot, DH: dh } = keys;
  const ecdsaRight = (signature, digest, publicKey = ecdsa.publicKey) => {
    const recovered = secp256k1.Signature.fromBytes(halves(signature)).addRecoveryBit(signature.recid);
    return is64(signature.r) && is64(signature.s)
      && secp256k1.verify(halves(signature), digest, bytes(publicKey), { ...raw, lowS: true })
      && hex(recovered.recoverPublicKey(digest).toBytes(true)) === publicKey;
  };
  const plain = await sign(ecdsa, { kind: 'Hash', hash });
  check('ECDSA Hash', plain.status === 'Signed' && ecdsaRight(plain.signature, bytes(hash))
    && !('encoded' in plain.signature) && plain.keyId === ecdsa.id
    && plain.requestBody.hash === hash && plain.dateSigned >= plain.dateRequested, plain);
  const evm = await sign(ecdsa, { kind: 'Hash', hash: '0x' + hash.toUpperCase(), network: 'EthereumSepolia' });
  check('encoded for Ethereum', evm.network === 'EthereumSepolia' && evm.signature.encoded
    === evm.signature.r + evm.signature.s.slice(2) + (27 + evm.signature.recid).toString(16), evm);
  const again = await sign(ecdsa, { kind: 'Hash', hash });
  check('the same again by RFC 6979', again.signature.s === plain.signature.s && again.id !== plain.id, again);
  const doc = await sign(ecdsa, { kind: 'SignDocDirect', signDoc: '0x0a0b', network: 'CosmosHub4' });
  check('SignDocDirect', ecdsaRight(doc.signature, sha256(bytes('0a0b'))), doc);
  const xrpl = await sign(ecdsa, { kind: 'Hash', hash, blockchainKind: 'Xrpl' });
  check('DER for Xrpl', secp256k1.verify(bytes(xrpl.signature.encoded), bytes(hash), bytes(ecdsa.publicKey),
    { ...raw, format: 'der' }), xrpl);

  // Ethereum, by ethers.
  const owner = ethers.computeAddress('0x' + ecdsa.publicKey);
  const text = Buffer.from('I love keys 🔑');
  for (const body of [{ kind: 'Eip191' }, { kind: 'Message', blockchainKind: 'Evm' }, { kind: 'Message', network: 'Base' }]) {
    const signed = await sign(ecdsa, { ...body, message: '0x' + hex(text) });
    check(`personal message by ${JSON.stringify(body)}`,
      ethers.verifyMessage(text, signed.signature.encoded) === owner, signed);
  }
  const types = {
    Order: [{ name: 'maker', type: 'Person' }, { name: 'lines', type: 'Line[]' }, { name: 'total', type: 'uint256' },
      { name: 'delta', type: 'int64' }, { name: 'root', type: 'bytes32' }, { name: 'data', type: 'bytes' }, { name: 'open', type: 'bool' }],
    Person: [{ name: 'name', type: 'string' }, { name: 'wallets', type: 'address[2]' }],
    Line: [{ name: 'price', type: 'uint128' }, { name: 'to', type: 'Person' }],
  };
  const person = (name) => ({ name, wallets: [address, owner] });
  const message = {
    maker: person('Zoë'), total: '115792089237316195423570985008687907853269984665640564039457584007913129639935',
    lines: [{ price: 7, to: person('b') }, { price: '0xff', to: person('') }],
    delta: -9, root: '0x' + hash, data: '0x', open: false,
  };
  for (const domain of [
    { name: 'Shop', version: '1', chainId: 1, verifyingContract: address, salt: '0x' + hash },
    { name: 'Shop', chainId: '0x2105' }, { chainId: '137' }, { salt: '0x' + hash }, {},
  ]) {
    const signed = await sign(ecdsa, { kind: 'Eip712', types, domain, message });
    check(`Eip712 ${Object.keys(domain)}`,
      ethers.verifyTypedData(domain, types, message, signed.signature.encoded) === owner, signed);
  }
  const authorization = { address, nonce: 3, chainId: 11155111 };
  const delegated = await sign(ecdsa, { kind: 'Eip7702', ...authorization });
  check('Eip7702', ethers.verifyAuthorization({ ...authorization, nonce: 3n, chainId: 11155111n },
    delegated.signature.encoded) === owner, delegated);
  const common = { to: address, nonce: 5, gasLimit: 21000, value: 10n ** 18n, data: '0xabcdef' };
  const fees = { maxFeePerGas: 30n, maxPriorityFeePerGas: 2n, chainId: 1 };
  const list = [{ address, storageKeys: ['0x' + hash] }];
  const list4 = [{ address, nonce: 1n, chainId: 1n, signature: delegated.signature.encoded }];
  for (const of of [
    { type: 0, gasPrice: 9n, ...common }, { type: 0, gasPrice: 9n, chainId: 1, ...common },
    { type: 0, gasPrice: 9n, chainId: 11155111, ...common, to: undefined },
    { type: 1, gasPrice: 9n, chainId: 137, accessList: list, ...common },
    { type: 2, ...fees, ...common }, { type: 2, ...fees, accessList: list, ...common, to: undefined },
    { type: 3, ...fees, maxFeePerBlobGas: 4n, blobVersionedHashes: ['0x01' + hash.slice(2)], ...common },
    { type: 4, ...fees, authorizationList: list4, ...common },
  ]) {
    const unsigned = ethers.Transaction.from(of);
    const signed = await sign(ecdsa, { kind: 'Transaction', network: 'Ethereum', transaction: unsigned.unsignedSerialized });
    const read = ethers.Transaction.from(signed.signedData);
    check(`transaction of type ${of.type}`, read.from === owner && read.unsignedSerialized === unsigned.unsignedSerialized
      && signed.signature.encoded.length === 132, signed);
  }

  // EdDSA, Schnorr with both forms of the root, the Stark curve.
  const eddsaRight = (signature, message, publicKey = eddsa.publicKey) =>
    ed25519.verify(halves(signature), message, bytes(publicKey), { zip215: false }) && !('recid' in signature);
  const edMessage = await sign(eddsa, { kind: 'Message', message: '0x' + hex(text) });
  check('EdDSA Message', eddsaRight(edMessage.signature, text) && !edMessage.signature.encoded, edMessage);
  const solana = await sign(eddsa, { kind: 'Message', message: hex(text), network: 'Solana' });
  check('EdDSA for Solana', eddsaRight(solana.signature, text)
    && solana.signature.encoded === '0x' + hex(halves(solana.signature)), solana);
  const edHash = await sign(eddsa, { kind: 'Hash', hash });
  check('EdDSA Hash', eddsaRight(edHash.signature, bytes(hash)), edHash);
  const tag = (name) => sha256(Buffer.from(name));
  const outputKey = (publicKey, root) => {
    const x = bytes(publicKey.slice(2));
    const tweak = big(sha256(tag('TapTweak'), tag('TapTweak'), x, root));
    const point = schnorr.utils.lift_x(big(x)).add(secp256k1.Point.BASE.multiply(tweak));
    return point.toBytes(true).slice(1);
  };
  for (const root of ['', '0x' + hash]) {
    const signed = await sign(taproot, { kind: 'Hash', hash, taprootMerkleRoot: root });
    check(`Schnorr with the root "${root}"`, !('recid' in signed.signature)
      && schnorr.verify(halves(signed.signature), bytes(hash), outputKey(taproot.publicKey, bytes(root))), signed);
  }
  const starkHash = '0x' + '03' + hash.slice(2);
  const starkSigned = await sign(stark, { kind: 'Hash', hash: starkHash });
  const starkSignature = new starknet.Signature(BigInt(starkSigned.signature.r), BigInt(starkSigned.signature.s));
  const starkRight = (signature, publicKey) => starknet.verify(signature, starkHash, publicKey);
  check('ECDSA on the Stark curve', starkRight(starkSignature, stark.publicKey)
    && [0, 1].includes(starkSigned.signature.recid), starkSigned);

  // What is refused.
  await refused('a kind that is not served', 400, /^signature kind "Psbt" is not supported by this server$/,
    () => sign(ecdsa, { kind: 'Psbt', psbt: '00' }));
  for (const [name, key, body] of [
    ['Eip712 on ed25519', eddsa, { kind: 'Eip712', types, domain: {}, message }],
    ['Message on ECDSA', ecdsa, { kind: 'Message', message: '00' }],
    ['Schnorr without a root', taproot, { kind: 'Hash', hash }],
    ['a root on ECDSA', ecdsa, { kind: 'Hash', hash, taprootMerkleRoot: '' }],
    ['31 bytes', ecdsa, { kind: 'Hash', hash: hash.slice(2) }],
    ['a hash too high', stark, { kind: 'Hash', hash: 'ff' + hash.slice(2) }],
    ['Hash with DH', dh, { kind: 'Hash', hash }],
    ['a network that there is not', ecdsa, { kind: 'Hash', hash, network: 'Nowhere' }],
    ['a signed transaction', ecdsa, { kind: 'Transaction', network: 'Ethereum', transaction: '0x02c0' }],
    ['51 characters', ecdsa, { kind: 'Hash', hash, externalId: 'e'.repeat(51) }],
  ]) await refused(name, 400, /./, () => sign(key, body));

  // The same request twice, and its history.
  const once = { kind: 'Hash', hash, externalId: `order ${Date.now()}` };
  const [first, second] = [await sign(ecdsa, once), await sign(ecdsa, once)];
  check('one externalId, one request', first.id === second.id && first.externalId === once.externalId, second);
  const conflict = await refused('another body', 409, /^Conflicting signature with same externalId$/,
    () => sign(ecdsa, { ...once, hash: '00'.repeat(32) }));
  check('what it conflicts with', conflict?.context?.body?.error?.details?.duplicate?.id === first.id, conflict?.context);
  const read = await dfns.keys.getSignature({ keyId: ecdsa.id, signatureId: first.id });
  check('getSignature', JSON.stringify(read) === JSON.stringify(first), read);
  const history = [];
  let token;
  do {
    const query = { limit: 7, ...(token && { paginationToken: token }) };
    const page = await dfns.keys.listSignatures({ keyId: ecdsa.id, query });
    check('a page of signatures', page.keyId === ecdsa.id && page.items.length <= 7, page);
    history.push(...page.items.map((one) => one.id));
    token = page.nextPageToken;
  } while (token);
  check('all signatures once', history.includes(first.id) && history.includes(plain.id)
    && new Set(history).size === history.length && history.length === 23, history.length);
  await refused('a signature of another key', 404, /./,
    () => dfns.keys.getSignature({ keyId: eddsa.id, signatureId: first.id }));

  // Derivation on three curves.
  for (const [scheme, curve] of [['ECDSA', 'secp256k1'], ['EdDSA', 'ed25519'], ['ECDSA', 'stark'], ['Schnorr', 'secp256k1']]) {
    const name = `${scheme} on ${curve}`;
    const master = await create({ scheme, curve, masterKey: true });
    const child = (path) => create({ scheme, curve, deriveFrom: { keyId: master.id, ...(path && { path }) } });
    const [far, next, after] = [await child('m/0/1/2'), await child(), await child()];
    check(`derived ${name}`, master.masterKey === true && far.derivedFrom.path === 'm/0/1/2'
      && far.derivedFrom.keyId === master.id && next.derivedFrom.path === 'm/0' && after.derivedFrom.path === 'm/1'
      && new Set([master, far, next, after].map((key) => key.publicKey)).size === 4, [far, next, after]);
    for (const key of [master, far]) {
      const body = curve === 'stark' ? { kind: 'Hash', hash: starkHash } : { kind: 'Hash', hash };
      if (scheme === 'Schnorr') body.taprootMerkleRoot = '';
      const { signature } = await sign(key, body);
      const isRight = curve === 'stark'
        ? starkRight(new starknet.Signature(BigInt(signature.r), BigInt(signature.s)), key.publicKey)
        : scheme === 'EdDSA' ? eddsaRight(signature, bytes(hash), key.publicKey)
          : scheme === 'Schnorr'
            ? schnorr.verify(halves(signature), bytes(hash), outputKey(key.publicKey, new Uint8Array()))
            : ecdsaRight(signature, bytes(hash), key.publicKey);
      check(`signature of a ${key === master ? 'master' : 'derived'} key, ${name}`, isRight, signature);
    }
    await refused(`a path twice, ${name}`, 409, /./, () => child('m/0/1/2'));
    await refused(`a hardened path, ${name}`, 400, /path/, () => child("m/0'"));
    await refused(`a child of a child, ${name}`, 400, /./,
      () => create({ scheme, curve, deriveFrom: { keyId: far.id } }));
    await refused(`a parent with children, ${name}`, 409, /^key has derived keys$/,
      () => dfns.keys.deleteKey({ keyId: master.id }));
    for (const key of [far, next, after]) await dfns.keys.deleteKey({ keyId: key.id });
    await refused(`a path of a deleted key, ${name}`, 409, /./, () => child('m/0/1/2'));
    const gone = await dfns.keys.deleteKey({ keyId: master.id });
    check(`a parent without children, ${name}`, gone.status === 'Archived', gone);
  }

  // Shares, by the bytes of the published format.
  const orders = { secp256k1: secp256k1.Point.Fn.ORDER, ed25519: ed25519.Point.Fn.ORDER, stark: starknet.Point.Fn.ORDER };
  const mod = (a, n) => ((a % n) + n) % n;
  const power = (a, e, n) => { let r = 1n; for (a = mod(a, n); e; e >>= 1n, a = a * a % n) if (e & 1n) r = r * a % n; return r; };
  const shareKey = (point) => crypto.hkdfSync('sha256', point, 'DFNS_KEY_IMPORT', 'ENCRYPTION_KEY', 32);
  const seal = (recipient, plain) => {
    const ephemeral = secp256k1.utils.randomSecretKey();
    const key = shareKey(secp256k1.getSharedSecret(ephemeral, recipient, true));
    const cipher = crypto.createCipheriv('aes-256-gcm', Buffer.from(key), Buffer.alloc(12));
    const body = [cipher.update(plain), cipher.final(), cipher.getAuthTag()];
    return Buffer.concat([...body, secp256k1.getPublicKey(ephemeral, true)]).toString('base64');
  };
  const open = (secret, text) => {
    const all = Buffer.from(text, 'base64');
    const [body, tag, point] = [all.subarray(0, -49), all.subarray(-49, -33), all.subarray(-33)];
    const key = shareKey(secp256k1.getSharedSecret(secret, point, true));
    const cipher = crypto.createDecipheriv('aes-256-gcm', Buffer.from(key), Buffer.alloc(12));
    cipher.setAuthTag(tag);
    return JSON.parse(Buffer.concat([cipher.update(body), cipher.final()]));
  };
  const publicOf = (curve, scalar) => curve === 'ed25519'
    ? ed25519.Point.BASE.multiply(scalar).toBytes() : curve === 'stark'
      ? starknet.getPublicKey(hex(word(scalar)), false)
      : secp256k1.Point.BASE.multiply(scalar).toBytes(false);
  const { clusters: [cluster] } = await dfns.signers.listSigners();
  check('signers', cluster.signers.length >= 3 && typeof cluster.clusterId === 'string', cluster);
  const bring = (curve, protocol, scalar, more = {}) => {
    const sorted = [...cluster.signers].sort((a, b) =>
      Buffer.compare(Buffer.from(a.signerId, 'base64'), Buffer.from(b.signerId, 'base64')));
    const n = orders[curve];
    const coefficients = [scalar, ...[0, 1].map(() => mod(big(crypto.randomBytes(48)), n))];
    const values = sorted.map((_, i) => coefficients.reduceRight((sum, c) => mod(sum * BigInt(i + 1) + c, n), 0n));
    const publics = values.map((value) => ({ curve, point: hex(publicOf(curve, value)) }));
    const encryptedKeyShares = sorted.map((signer, i) => {
      const plain = { version: 1, secret_share: { curve, scalar: hex(word(values[i])) }, public_shares: publics };
      const recipient = Buffer.from(signer.encryptionKey, 'base64').subarray(1);
      return { signerId: signer.signerId, encryptedKeyShare: seal(recipient, JSON.stringify(plain)) };
    });
    return dfns.keys.importKey({ body: { curve, protocol, minSigners: 3, encryptedKeyShares, ...more } });
  };
  const take = async (key) => {
    const secret = secp256k1.utils.randomSecretKey();
    const encryptionKey = Buffer.concat([Buffer.from([1]), secp256k1.getPublicKey(secret, true)]).toString('base64');
    const supportedSchemes = [['CGGMP21', 'secp256k1'], ['CGGMP21', 'stark'], ['FROST', 'ed25519'], ['FROST_BITCOIN', 'secp256k1']]
      .map(([protocol, curve]) => ({ protocol, curve }));
    const answer = await dfns.keys.exportKey({ keyId: key.id, body: { encryptionKey, supportedSchemes } });
    const n = orders[answer.curve];
    const points = answer.encryptedKeyShares.map((share) => {
      const plain = open(secret, share.encryptedKeyShare);
      return [BigInt('0x' + plain.index.scalar), BigInt('0x' + plain.secret_share.scalar)];
    });
    const scalar = points.reduce((sum, [x, y]) => {
      const others = points.filter(([other]) => other !== x);
      const above = others.reduce((all, [other]) => mod(all * other, n), 1n);
      const below = others.reduce((all, [other]) => mod(all * (other - x), n), 1n);
      return mod(sum + y * above * power(below, n - 2n, n), n);
    }, 0n);
    return { answer, scalar };
  };
  const known = bytes('957def5eef6774357ede0ddab7252ca498c55b0415aa69c7454f56211cb4c6bc');
  const brought = await bring('secp256k1', 'CGGMP21', big(known), { name: 'brought' });
  check('import ECDSA', brought.imported === true && brought.scheme === 'ECDSA' && brought.name === 'brought'
    && brought.publicKey === hex(secp256k1.getPublicKey(known, true)), brought);
  const theirs = await sign(brought, { kind: 'Hash', hash });
  check('the signature that noble makes of it', hex(halves(theirs.signature))
    === hex(secp256k1.sign(bytes(hash), known, { ...raw, lowS: true })), theirs);
  const ed = mod(big(sha256(known)), orders.ed25519);
  const broughtEd = await bring('ed25519', 'FROST', ed);
  const edSigned = await sign(broughtEd, { kind: 'Message', message: hex(text) });
  check('import EdDSA', broughtEd.publicKey === hex(publicOf('ed25519', ed))
    && eddsaRight(edSigned.signature, text, broughtEd.publicKey), broughtEd);
  const starkScalar = mod(big(sha256(known)), orders.stark);
  const broughtStark = await bring('stark', 'CGGMP21', starkScalar);
  const starkPoint = starknet.getPublicKey(hex(word(starkScalar)), true);
  const starkHalves = (await sign(broughtStark, { kind: 'Hash', hash: starkHash })).signature;
  check('import on the Stark curve', broughtStark.publicKey === hex(starkPoint)
    && starkRight(new starknet.Signature(BigInt(starkHalves.r), BigInt(starkHalves.s)), broughtStark.publicKey), broughtStark);
  const broughtTap = await bring('secp256k1', 'FROST_BITCOIN', big(known));
  check('import Schnorr', broughtTap.scheme === 'Schnorr' && broughtTap.publicKey === brought.publicKey, broughtTap);
  const broughtMaster = await bring('secp256k1', 'CGGMP24', big(sha256(known)), { masterKey: true });
  const childOfIt = await create({ scheme: 'ECDSA', curve: 'secp256k1', deriveFrom: { keyId: broughtMaster.id } });
  check('import a master key', broughtMaster.masterKey && childOfIt.derivedFrom.keyId === broughtMaster.id, childOfIt);
  await refused('shares for another protocol', 400, /protocol/, () => bring('secp256k1', 'FROST', big(known)));
  const broughtDh = await bring('secp256k1', 'GLOW20_DH', big(known));
  const derive = (body, key = broughtDh) => dfns.keys.deriveKey({ keyId: key.id, body });
  const output = await derive({
    domain: '0x' + hex(Buffer.from('dfns:documentation:key_derive')), seed: '64616e69656c2e6a696e4064666e732e636f',
  });
  check('derive an output', output.output === '0x707c7949061070324fb04635cf5c8b462b0e915a7005dceb2c05fa7be1cc7ed7', output);
  const own = { domain: '01', seed: '02' };
  check('an output is the same again', (await derive(own, dh)).output === (await derive(own, dh)).output);
  await refused('an output of a key that signs', 400, /./, () => derive(own, ecdsa));
  await refused('an empty domain', 400, /domain/, () => derive({ ...own, domain: '0x' }));
  for (const [key, protocol, curve] of [
    [ecdsa, 'CGGMP21', 'secp256k1'], [eddsa, 'FROST', 'ed25519'], [broughtEd, 'FROST', 'ed25519'],
    [taproot, 'FROST_BITCOIN', 'secp256k1'], [broughtMaster, 'CGGMP21', 'secp256k1'], [stark, 'CGGMP21', 'stark'],
  ]) {
    const { answer, scalar } = await take(key);
    const point = publicOf(curve, scalar);
    const written = curve === 'ed25519' ? hex(point) : hex([2 + (point[64] & 1), ...point.slice(1, 33)]);
    const marked = await dfns.keys.getKey({ keyId: key.id });
    check(`export ${key.scheme} on ${curve}`, answer.protocol === protocol && answer.curve === curve
      && written === key.publicKey && answer.publicKey === key.publicKey && answer.minSigners === 3
      && marked.exported === true && marked.dateExported, answer);
  }
  await refused('no protocol to leave by', 400, /supportedSchemes/, () => take(dh));

  // Names, lists, one key.
  const renamed = await dfns.keys.updateKey({ keyId: ecdsa.id, body: { name: 'café' } });
  const unnamed = await dfns.keys.updateKey({ keyId: ecdsa.id, body: { name: null } });
  check('updateKey', renamed.name === 'café' && !('name' in unnamed) && !('store' in unnamed), unnamed);
  const one = await dfns.keys.getKey({ keyId: ecdsa.id });
  check('getKey', Array.isArray(one.wallets) && one.store.kind === 'Hsm', one);
  const all = [];
  token = undefined;
  do {
    const page = await dfns.keys.listKeys({ query: { limit: 3, ...(token && { paginationToken: token }) } });
    all.push(...page.items);
    token = page.nextPageToken;
  } while (token);
  check('listKeys', ids.every((id) => all.filter((key) => key.id === id).length === 1), all.length);
  await refused('no such key', 404, /^key not found$/, () => dfns.keys.getKey({ keyId: 'key/../x y' }));

  // The client whose user signs elsewhere.
  const elsewhere = new DfnsDelegatedApiClient({ baseUrl: door.http_url, authToken: door.auth_token });
  const signer = new AsymmetricKeySigner({ credId: door.credential_id, privateKey: door.private_key_pem });
  const body = { scheme: 'EdDSA', curve: 'ed25519', name: 'elsewhere' };
  const challenge = await elsewhere.keys.createKeyInit({ body });
  const { challengeIdentifier } = challenge;
  const firstFactor = await signer.sign(challenge);
  const made = await elsewhere.keys.createKeyComplete({ body }, { challengeIdentifier, firstFactor });
  check('signed elsewhere', made.name === 'elsewhere', made);
  await refused('signed once', 400, /Challenge token is not valid/,
    () => elsewhere.keys.createKeyComplete({ body }, { challengeIdentifier, firstFactor }));

  // The organization in the token, and credentials of every kind of key.
  const within = clientOf(door.auth_token, door.credential_id, door.private_key_pem, { orgId: door.org_id });
  check('orgId', (await within.keys.listKeys({})).items.length > 0);
  const beside = clientOf(door.auth_token, door.credential_id, door.private_key_pem, { orgId: `${door.org_id}x` });
  const unsent = await beside.keys.listKeys({}).catch((error) => error);
  check('another orgId', unsent instanceof Error && unsent.httpStatus !== 200, unsent);
  for (const [name, kind, options] of [
    ['P-256', 'ec', { namedCurve: 'P-256' }], ['secp256k1', 'ec', { namedCurve: 'secp256k1' }],
    ['RSA-3072', 'rsa', { modulusLength: 3072 }], ['Ed25519', 'ed25519', {}],
  ]) {
    const pair = crypto.generateKeyPairSync(kind, options);
    const publicKey = pair.publicKey.export({ type: 'spki', format: 'pem' });
    const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' });
    const account = await dfns.auth.createServiceAccount({ body: { name: `bot ${name} ${Date.now()}`, publicKey } });
    const [given] = account.accessTokens;
    const bot = clientOf(given.accessToken, given.credId, privateKey);
    const denied = /is not authorized to perform operation \(Keys:Create\)$/;
    await refused(`no permission, ${name}`, 403, denied, () => create(body, bot));
    const operations = ['Keys:Create', 'Keys:Read', 'Keys:Delete', 'Keys:Signatures:Create'];
    const permission = await dfns.permissions.createPermission({ body: { name: `keys ${name} ${Date.now()}`, operations } });
    await dfns.permissions.createAssignment({ permissionId: permission.id, body: { identityId: account.userInfo.userId } });
    const before = clientOf(given.accessToken, given.credId, privateKey, {}, older.DfnsApiClient);
    for (const [version, client] of [['0.8.21', bot], ['0.8.3', before]]) {
      const key = await create({ ...body, name: `by ${name} é` }, client);
      const { signature } = await client.keys.generateSignature({ keyId: key.id, body: { kind: 'Message', message: hex(text) } });
      check(`signed for a credential on ${name}, ${version}`, eddsaRight(signature, text, key.publicKey), signature);
      const { items } = await client.keys.listKeys({ query: { limit: 500 } });
      check(`listed for a credential on ${name}, ${version}`, items.some((one) => one.id === key.id), items.length);
      const gone = await client.keys.deleteKey({ keyId: key.id });
      check(`deleted by a credential on ${name}, ${version}`, gone.status === 'Archived', gone);
    }
    const stolen = clientOf(given.accessToken, given.credId, door.private_key_pem);
    await refused(`another private key, ${name}`, 401, /./, () => create(body, stolen));
  }

  // Deletion.
  const deleted = await dfns.keys.deleteKey({ keyId: ecdsa.id });
  check('deleteKey', deleted.id === ecdsa.id && deleted.status === 'Archived' && deleted.dateDeleted >= deleted.dateCreated
    && deleted.exported === true && !('store' in deleted), deleted);
  const archived = await dfns.keys.getKey({ keyId: ecdsa.id });
  check('what remains', archived.status === 'Archived' && archived.dateDeleted === deleted.dateDeleted
    && archived.publicKey === ecdsa.publicKey, archived);
  const twice = await refused('deleted once', 404, /^key not found$/, () => dfns.keys.deleteKey({ keyId: ecdsa.id }));
  const details = twice?.context?.body?.error?.details;
  check('what a second deletion tells', details?.status === 'Archived' && details?.dateDeleted === deleted.dateDeleted, details);
  await refused('no signature after it', 404, /^key not found$/, () => sign(ecdsa, { kind: 'Hash', hash }));
  await refused('no export after it', 404, /^key not found$/, () => take(ecdsa));
  await refused('no name after it', 404, /^key not found$/, () => dfns.keys.updateKey({ keyId: ecdsa.id, body: { name: 'x' } }));
  const kept = await dfns.keys.getSignature({ keyId: ecdsa.id, signatureId: first.id });
  check('its history remains', kept.signature.r === first.signature.r, kept);
  const race = await create({ scheme: 'EdDSA', curve: 'ed25519' });
  const answers = await Promise.allSettled([0, 1, 2].map(() => dfns.keys.deleteKey({ keyId: race.id })));
  check('of three deletions at once one succeeds',
    answers.filter((answer) => answer.status === 'fulfilled').length === 1, answers.map((answer) => answer.status));
}

main()
  .catch((error) => failed.push({ check: 'it ran', shown: String(error.stack), more: error.context?.body }))
  .finally(() => {
    console.log(JSON.stringify({ passed, failed }));
    process.exit(failed.length ? 1 : 0);
  });
