#!/usr/bin/env python3
"""Speaks to the door as the known client in Python was recorded to: the same HTTP library, order of
members, scopes and paths, a connection a request. No package of a registry speaks this protocol.

Use: client.py DEV_JSON. Writes one line of JSON: how many checks passed, and which did not.
"""
import base64
import concurrent.futures
import functools
import hashlib
import hmac
import json
import ssl
import sys
import time

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, utils, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

DEV = json.load(open(sys.argv[1]))
DOOR = DEV["doors"]["encedo"]
CA = ssl.create_default_context(cafile=DEV["ca_file"])
passed, failed = 0, []


def check(name, is_right, shown=None):
    global passed
    if is_right:
        passed += 1
    else:
        failed.append({"check": name, "shown": str(shown)[:600]})


def b64(data):
    return base64.b64encode(data).decode()


def url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw(public):
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def mac_of(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def message(private, peer, claims):
    """A message to the holder of a public key."""
    parts = [{"ecdh": "x25519", "alg": "HS256", "typ": "JWT"}, claims]
    text = ".".join(url(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    return text + "." + url(mac_of(agreed(private, peer), text.encode()))


def agreed(private, peer):
    return private.exchange(x25519.X25519PublicKey.from_public_bytes(base64.b64decode(peer)))


def claims_of(text):
    part = text.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def wrapped_from(kek, value, key):
    """RFC 3394 section 2.2.1, from any initial value."""
    cipher = Cipher(algorithms.AES(kek), modes.ECB()).encryptor()
    halves = [key[at : at + 8] for at in range(0, len(key), 8)]
    count = 0
    for _ in range(6):
        for at, half in enumerate(halves):
            count += 1
            block = cipher.update(value + half)
            value = (int.from_bytes(block[:8], "big") ^ count).to_bytes(8, "big")
            halves[at] = block[8:]
    return value + b"".join(halves)


@functools.cache
def secret_of(passphrase, eid):
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), eid.encode(), 600_000, 32)


class Device:
    """One device, and who signs in."""

    def __init__(self, passphrase):
        self.passphrase, self.tokens = passphrase, {}

    def send(self, method, path, body=None, token=None, base=None):
        headers = {"Connection": "close"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body, separators=(",", ":"))
        if token is not None:
            headers["Authorization"] = "Bearer " + token
        with httpx.Client(verify=CA, timeout=20) as client:
            return client.request(method, (base or DOOR["url"]) + path, content=content, headers=headers)

    def log_in(self, scope):
        challenge = self.send("GET", "/api/auth/token").json()
        secret = secret_of(self.passphrase, challenge["eid"])
        private = x25519.X25519PrivateKey.from_private_bytes(secret)
        now = int(time.time())
        claims = {
            "jti": challenge["jti"],
            "aud": challenge["spk"],
            "exp": min(now + 3600, challenge["exp"]),
            "iat": now,
            "iss": b64(raw(private.public_key())),
            "scope": scope,
        }
        return self.send("POST", "/api/auth/token", {"auth": message(private, challenge["spk"], claims)})

    def token(self, scope):
        if scope not in self.tokens:
            self.tokens[scope] = self.log_in(scope).json()["token"]
        return self.tokens[scope]

    def create(self, label, kind, mode=None, descr=None):
        body = {"label": label, "type": kind}
        if descr is not None:
            body["descr"] = b64(descr)
        if mode is not None:
            body["mode"] = mode
        return self.send("POST", "/api/keymgmt/create", body, self.token("keymgmt:gen"))

    def get(self, kid):
        return self.send("GET", "/api/keymgmt/get/" + kid, token=self.token("keymgmt:use:" + kid))

    def use(self, kid, path, **body):
        body = {"kid": kid, **body}
        return self.send("POST", "/api/crypto/" + path, body, self.token("keymgmt:use:" + kid))

    def delete(self, kid):
        path = "/api/keymgmt/delete/" + kid
        return self.send("DELETE", path, token=self.token("keymgmt:del"))


def start(device):
    version = device.send("GET", "/api/system/version").json()
    check("version", all(name in version for name in ("hwv", "blv", "fwv", "fws")), version)
    status = device.send("GET", "/api/system/status").json()
    check("status", "ts" in status and "inited" not in status, status)
    wrong = Device("wrong").log_in("keymgmt:list")
    check("wrong passphrase", wrong.status_code == 401 and not wrong.content, wrong.text)
    begun = time.monotonic()
    answer = device.log_in("keymgmt:list")
    took = time.monotonic() - begun
    check("login takes half a second", 0.5 <= took, took)
    check("login", answer.json()["token"].startswith("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."))
    for response in (wrong, answer):
        names = [name.decode() for name, _ in response.headers.raw]
        check("title case", all(part[0].isupper() for name in names for part in name.split("-")), names)
    plain = device.send("GET", "/api/keymgmt/list/0/10", token=device.token("keymgmt:list"), base=DOOR["http_url"])
    check("in the clear", plain.status_code == 418, plain.status_code)


def keys(device):
    made = device.create("payroll-2026", "SECP256R1", "ECDH,ExDSA", b"APP:payroll")
    kid = made.json()["kid"]
    device.create("aes one", "AES256")
    listed = device.send("GET", "/api/keymgmt/list/0/10", token=device.token("keymgmt:list")).json()
    check("list", listed["total"] == 2 and listed["listed"] == 2, listed)
    first = listed["list"][0]
    check("record", first["type"] == "ATT,PKEY,ECDH,ExDSA,SECP256R1" and first["label"] == "payroll-2026", first)
    check("descr", base64.b64decode(first["descr"]) == b"APP:payroll" and "descr" not in listed["list"][1])
    shown = device.get(kid).json()
    point = base64.b64decode(shown["pubkey"])
    check("kid", hashlib.sha1(point).hexdigest()[:32] == kid, shown)
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    for digest, alg in [(hashes.SHA256(), "SHA256WithECDSA"), (hashes.SHA384(), "SHA384WithECDSA"), (hashes.SHA512(), "SHA512WithECDSA")]:
        made = device.use(kid, "exdsa/sign", msg=b64(b"m"), alg=alg).json()
        signature = base64.b64decode(made["sign"])
        utils.decode_dss_signature(signature)
        check(alg, verifies(lambda: public.verify(signature, b"m", ec.ECDSA(digest))))
    other = ec.generate_private_key(ec.SECP256R1())
    peer = other.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    agreed = base64.b64decode(device.use(kid, "ecdh", pubkey=b64(peer)).json()["ecdh"])
    check("ecdh", agreed == other.exchange(ec.ECDH(), public))
    update = {"kid": kid, "label": "renamed", "descr": b64(b"other")}
    check("update", device.send("POST", "/api/keymgmt/update", update, device.token("keymgmt:upd")).status_code == 200)
    search = {"descr": "^" + b64(b"other"), "offset": 0, "limit": 10}
    found = device.send("POST", "/api/keymgmt/search", search, device.token("keymgmt:search")).json()
    check("search", [one["label"] for one in found["list"]] == ["renamed"], found)
    gone = device.delete(kid)
    check("delete", gone.status_code == 200 and not gone.content, gone.status_code)
    check("receipt", "X-Deletion-Receipt" in gone.headers)
    check("delete again", device.delete(kid).status_code == 406)
    check("get after delete", device.get(kid).status_code == 406)
    check("use after delete", device.use(kid, "exdsa/sign", msg="", alg="SHA256WithECDSA").status_code == 406)


def verifies(work):
    try:
        work()
        return True
    except InvalidSignature:
        return False


def curves(device):
    kid = device.create("k", "SECP256K1", "ExDSA").json()["kid"]
    point = base64.b64decode(device.get(kid).json()["pubkey"])
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), point)
    for digest, name in [(hashes.SHA256(), "SHA256"), (hashes.SHA384(), "SHA384"), (hashes.SHA512(), "SHA512")]:
        made = device.use(kid, "exdsa/sign", msg=b64(b"m"), alg=name + "WithECDSA").json()
        signature = base64.b64decode(made["sign"])
        check("secp256k1 " + name, verifies(lambda: public.verify(signature, b"m", ec.ECDSA(digest))))
    kid = device.create("k", "ED25519").json()["kid"]
    public = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(device.get(kid).json()["pubkey"]))
    signature = base64.b64decode(device.use(kid, "exdsa/sign", msg=b64(b"m"), alg="Ed25519").json()["sign"])
    check("Ed25519", verifies(lambda: public.verify(signature, b"m")))
    check("verify", device.use(kid, "exdsa/verify", msg=b64(b"m"), alg="Ed25519", sign=b64(signature)).status_code == 200)
    check("verify wrong", device.use(kid, "exdsa/verify", msg=b64(b"n"), alg="Ed25519", sign=b64(signature)).status_code == 406)


def agreed_keys(device):
    kid = device.create("x", "CURVE25519").json()["kid"]
    public = x25519.X25519PublicKey.from_public_bytes(base64.b64decode(device.get(kid).json()["pubkey"]))
    private = x25519.X25519PrivateKey.generate()
    secret, peer = private.exchange(public), b64(raw(private.public_key()))
    check("x25519", base64.b64decode(device.use(kid, "ecdh", pubkey=peer).json()["ecdh"]) == secret)
    hashed = device.use(kid, "ecdh", pubkey=peer, alg="SHA2-512").json()["ecdh"]
    check("hashed", base64.b64decode(hashed) == hashlib.sha512(secret).digest())
    mac = device.use(kid, "hmac/hash", pubkey=peer, msg=b64(b"m"), alg="SHA2-256").json()["mac"]
    check("agreed mac", base64.b64decode(mac) == hmac.new(secret, b"m", hashlib.sha256).digest())

    def derived(info, length):
        return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info).derive(secret)

    made = device.use(kid, "cipher/encrypt", pubkey=peer, msg=b64(b"m"), alg="AES128-GCM", ctx=b64(b"c"), aad=b64(b"a")).json()
    parts = [base64.b64decode(made[name]) for name in ("iv", "ciphertext", "tag")]
    opened = AESGCM(derived(b"encedo-aes" + b"c", 16)).decrypt(parts[0], parts[1] + parts[2], b"a")
    check("agreed cipher", opened == b"m" and len(parts[0]) == 16)
    wrapped = device.use(kid, "cipher/wrap", pubkey=peer, msg=b64(bytes(32)), alg="AES256").json()["wrapped"]
    kek = derived(b"encedo-kek", 32)
    check("agreed wrap", keywrap.aes_key_unwrap(kek, base64.b64decode(wrapped)) == bytes(32))
    value, inner = b"a value!", bytes(range(40))
    how = {"pubkey": peer, "alg": "AES256", "iv": b64(value)}
    wrapped = base64.b64decode(device.use(kid, "cipher/wrap", msg=b64(inner), **how).json()["wrapped"])
    check("wrap from a value", wrapped == wrapped_from(kek, value, inner))
    opened = device.use(kid, "cipher/unwrap", msg=b64(wrapped), **how).json()["unwrapped"]
    check("unwrap from a value", base64.b64decode(opened) == inner)
    plain = device.use(kid, "cipher/unwrap", msg=b64(wrapped), pubkey=peer, alg="AES256")
    check("unwrap without it", plain.status_code == 406)
    derive = {"kid": kid, "label": "d", "type": "AES256", "pubkey": peer}
    token = device.token("keymgmt:gen")
    made = device.send("POST", "/api/keymgmt/derive", derive, token).json()["kid"]
    check("derive again", device.send("POST", "/api/keymgmt/derive", derive, token).status_code == 406)
    key = AESGCM(derived(b"encedo-AES256", 32))
    made = device.use(made, "cipher/encrypt", msg=b64(b"m"), alg="AES256-GCM").json()
    parts = [base64.b64decode(made[name]) for name in ("iv", "ciphertext", "tag")]
    check("derived key", key.decrypt(parts[0], parts[1] + parts[2], None) == b"m")
    body = {"label": "peer", "type": "CURVE25519", "pubkey": peer}
    token = device.token("keymgmt:imp")
    imported = device.send("POST", "/api/keymgmt/import", body, token).json()["kid"]
    check("import", imported == hashlib.sha1(base64.b64decode(peer)).hexdigest()[:32])
    check("import again", device.send("POST", "/api/keymgmt/import", body, token).status_code == 406)
    by_kid = device.use(kid, "ecdh", ext_kid=imported).json()["ecdh"]
    check("ecdh by kid", base64.b64decode(by_kid) == secret)
    check("delete imported", device.delete(imported).status_code == 200)


def symmetric(device):
    for kind, digest in [("SHA2-256", "sha256"), ("SHA3-512", "sha3_512")]:
        kid = device.create("h", kind).json()["kid"]
        mac = device.use(kid, "hmac/hash", msg=b64(b"m")).json()["mac"]
        check(kind, len(base64.b64decode(mac)) == hashlib.new(digest).digest_size)
        check(kind + " verify", device.use(kid, "hmac/verify", msg=b64(b"m"), mac=mac).status_code == 200)
        check(kind + " wrong", device.use(kid, "hmac/verify", msg=b64(b"n"), mac=mac).status_code == 406)
    kid = device.create("a", "AES256").json()["kid"]
    for mode in ("ECB", "CBC", "GCM"):
        made = device.use(kid, "cipher/encrypt", msg=b64(bytes(32)), alg="AES256-" + mode).json()
        back = {name: made[name] for name in ("iv", "tag") if name in made}
        opened = device.use(kid, "cipher/decrypt", msg=made["ciphertext"], alg="AES256-" + mode, **back)
        check("AES256-" + mode, base64.b64decode(opened.json()["plaintext"]) == bytes(32), made)
    wrapped = device.use(kid, "cipher/wrap", msg=b64(bytes(24)), alg="AES256").json()["wrapped"]
    opened = device.use(kid, "cipher/unwrap", msg=wrapped, alg="AES256").json()["unwrapped"]
    check("wrap", base64.b64decode(opened) == bytes(24))


def lattices(device):
    kid = device.create("q", "MLKEM768").json()["kid"]
    made = device.use(kid, "pqc/mlkem/encaps").json()
    opened = device.use(kid, "pqc/mlkem/decaps", ct=made["ct"]).json()
    check("ML-KEM", opened["ss"] == made["ss"] and made["alg"] == "MLKEM768")
    kid = device.create("q", "MLDSA65").json()["kid"]
    made = device.use(kid, "pqc/mldsa/sign", msg=b64(b"m")).json()["sign"]
    check("ML-DSA", device.use(kid, "pqc/mldsa/verify", msg=b64(b"m"), sign=made).status_code == 200)
    check("ML-DSA wrong", device.use(kid, "pqc/mldsa/verify", msg=b64(b"n"), sign=made).status_code == 406)
    public = mldsa.MLDSA65PublicKey.from_public_bytes(base64.b64decode(device.get(kid).json()["pubkey"]))
    check("ML-DSA elsewhere", verifies(lambda: public.verify(base64.b64decode(made), b"m")))
    made = base64.b64decode(device.use(kid, "pqc/mldsa/sign", msg=b64(b"m"), ctx=b64(b"c")).json()["sign"])
    check("ML-DSA context", verifies(lambda: public.verify(made, b"m", b"c")))
    check("ML-DSA context binds", not verifies(lambda: public.verify(made, b"m")))
    private = mldsa.MLDSA87PrivateKey.generate()
    imported = {"label": "p", "type": "MLDSA87", "pubkey": b64(raw(private.public_key()))}
    answer = device.send("POST", "/api/keymgmt/import", imported, device.token("keymgmt:imp"))
    kid, made = answer.json()["kid"], b64(private.sign(b"m", b"c"))
    for ctx, expected in [(b"c", 200), (b"d", 406), (b"", 406)]:
        answer = device.use(kid, "pqc/mldsa/verify", msg=b64(b"m"), ctx=b64(ctx), sign=made)
        check("ML-DSA from elsewhere", answer.status_code == expected, answer.status_code)


def sealed(secret, nonce, scope=None, box=None):
    """A scope as an authenticator reads and writes it."""
    key = mac_of(secret, nonce)
    cipher = Cipher(algorithms.AES(key[:16]), modes.CBC(key[16:]))
    if box is not None:
        box = base64.b64decode(box[1:])
        padded = cipher.decryptor().update(box[:-32])
        scope = padded[: -padded[-1]]
        assert hmac.compare_digest(mac_of(key, scope), box[-32:])
        return scope
    fill = 16 - len(scope) % 16
    return "A" + b64(cipher.encryptor().update(scope + bytes([fill]) * fill) + mac_of(key, scope))


def remote(device):
    """Pairing and approval over the broker that the device brings along."""
    phone = x25519.X25519PrivateKey.generate()
    aid = b64(raw(phone.public_key()))
    eid = device.send("GET", "/api/auth/token").json()["eid"]
    session = device.send("POST", "/notify/session", {"eid": eid}).json()
    token = device.token("auth:ext:pair")
    begun = device.send("POST", "/api/auth/ext/init", {"epk": session["epk"]}, token).json()
    made = device.send("POST", "/notify/register/init", {**begun, "epk": session["epk"]}).json()
    check_path = "/notify/register/check/" + made["rid"]
    check("pairing waits", device.send("GET", check_path).status_code == 202)
    link = "/" + made["link"].split("/", 3)[3]
    asked = claims_of(device.send("GET", link).json()["request"])
    claims = {"jti": asked["jti"], "iss": aid, "aud": eid, "epk": asked["aud"], "label": "Pixel 8 (Android)"}
    device.send("POST", link, {"reply": message(phone, eid, claims)})
    answered = device.send("GET", check_path).json()
    paired = device.send("POST", "/api/auth/ext/validate", answered, token).json()
    done = device.send("POST", "/notify/register/finalise/" + made["rid"], paired)
    check("pairing", done.status_code == 200, done.status_code)
    session = device.send("GET", "/notify/session").json()
    wanted = {**session, "scope": "keymgmt:list"}
    asked = device.send("POST", "/api/auth/ext/request", wanted).json()
    event = device.send("POST", "/notify/event/new", asked).json()["eventid"]
    pid = answered["pid"]
    waiting = device.send("POST", "/notify/event/data/allbypid", {"pid": [pid]}).json()
    check("the telephone is asked", waiting["eventid"] == {event: [pid]}, waiting)
    place = "/notify/event/data/%s/%s" % (event, url(base64.b64decode(pid)))
    question = device.send("GET", place).json()
    secret, nonce = agreed(phone, eid), base64.b64decode(question["jti"])
    scope = sealed(secret, nonce, box=question["scope"])
    check("what it is asked", scope == b"keymgmt:list", scope)
    now = int(time.time())
    claims = {"aud": eid, "jti": question["jti"], "exp": now + 900, "iat": now, "pid": pid, "iss": aid}
    reply = message(phone, eid, {**claims, "scope": sealed(secret, nonce, scope)})
    proof = b64(mac_of(agreed(phone, question["epk"]), reply.encode()))
    check("approval", device.send("POST", place, {"authreply": reply, "mac": proof}).status_code == 200)
    answered = device.send("GET", "/notify/event/check/" + event).json()
    token = device.send("POST", "/api/auth/ext/token", answered).json()["token"]
    listed = device.send("GET", "/api/keymgmt/list", token=token)
    check("what was approved", listed.status_code == 200, listed.status_code)
    check("nothing else", device.send("GET", "/api/logger/key", token=token).status_code == 403)


def log(device):
    """The checks of the log's readers, over the log of this start, once there is another one."""
    token = device.token("logger:get")
    key = device.send("GET", "/api/logger/key", token=token).json()
    public = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(key["key"]))
    proof = [base64.b64decode(key[name]) for name in ("nonce_signed", "nonce")]
    check("logger key", verifies(lambda: public.verify(*proof)))
    ids = device.send("GET", "/api/logger/list", token=token).json()["id"]
    check("reboot", device.send("GET", "/api/system/reboot", token=device.token("system:config")).status_code == 200)
    check("token of before", device.send("GET", "/api/system/status", token=token).status_code == 401)
    device.tokens.clear()
    file = device.send("GET", "/api/logger/" + ids[-1], token=device.token("logger:get"))
    lines = [line for line in file.text.splitlines() if not line.startswith("#")]

    def pad(text):
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    first = lines[0].split("|")
    check("log key", verifies(lambda: public.verify(pad(first[5]), pad(first[4]))))
    macs = [
        pad(line.rsplit("|", 1)[1])
        == hmac.new(pad(first[4]), (line.rsplit("|", 1)[0] + "|").encode(), hashlib.sha256).digest()[:16]
        for line in lines
    ]
    check("log lines", all(macs) and all(len(line.split("|")) == 7 for line in lines), len(macs))
    deletes = [line for line in lines if line.split("|")[2:4] == ["15", "0"]]
    check("log deletes", len(deletes) == 2, deletes)


def run(part):
    try:
        part(device)
    except Exception as error:  # noqa: BLE001 - what went wrong belongs into the answer
        failed.append({"check": part.__name__, "shown": repr(error)[:600]})


device = Device(DOOR["user_passphrase"])
for part in (start, keys):
    run(part)
# Each login takes half a second: these do not wait for each other.
with concurrent.futures.ThreadPoolExecutor() as pool:
    list(pool.map(run, (curves, agreed_keys, symmetric, lattices, remote)))
run(log)
print(json.dumps({"passed": passed, "failed": failed}))
sys.exit(1 if failed else 0)
