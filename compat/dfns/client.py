#!/usr/bin/env python3
"""Drives the door with the client of PyPI, `dfns-sdk`, unmodified. What the server signs is verified
by libraries of others: cryptography, coincurve (libsecp256k1), eth-account.

Use: client.py DEV_JSON. Writes one line of JSON: how many checks passed, and which did not.
"""
import hashlib
import json
import re
import sys
import time
import traceback

import rlp
from coincurve import PublicKey, PublicKeyXOnly
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from dfns_sdk import DfnsClient, DfnsClientConfig, DfnsError, KeySigner
from dfns_sdk import DfnsDelegatedClient, DfnsDelegatedClientConfig
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_account.typed_transactions.typed_transaction import TypedTransaction

DEV = json.load(open(sys.argv[1]))
DOOR = DEV["doors"]["dfns"]
DIGEST = hashlib.sha256(b"hash").digest()
HASH = DIGEST.hex()
TEXT = "I love keys 🔑".encode()
ADDRESS = "0x" + "11" * 20
passed, failed = 0, []


def check(name, is_right, shown=None):
    global passed
    if is_right:
        passed += 1
    else:
        failed.append({"check": name, "shown": str(shown)[:600]})


def refused(name, status, words, call):
    try:
        check(name, False, call())
    except DfnsError as error:
        is_right = error.status_code == status and re.search(words, str(error)) is not None
        check(name, is_right, (error.status_code, str(error)))
        return error
    except Exception as error:  # an error of the client itself is a failed check
        check(name, False, repr(error))
    return None


def client_of(token, credential, key):
    signer = KeySigner(credential_id=credential, private_key=key)
    config = DfnsClientConfig(auth_token=token, base_url=DOOR["http_url"], signer=signer)
    return DfnsClient(config)


def raw(signature):
    return bytes.fromhex(signature["r"][2:] + signature["s"][2:])


def is_ecdsa(signature, digest, public):
    """Recovers the key by libsecp256k1, which takes low values of s alone."""
    recovered = PublicKey.from_signature_and_message(
        raw(signature) + bytes([signature["recid"]]), digest, hasher=None
    )
    half = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
    return recovered.format().hex() == public and int(signature["s"], 16) <= half


def is_eddsa(signature, message, public):
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    try:
        key.verify(raw(signature), message)
    except InvalidSignature:
        return False
    return "recid" not in signature


def output_key(public, root):
    """The key of BIP-341, tweaked by libsecp256k1."""
    tag = hashlib.sha256(b"TapTweak").digest()
    x = bytes.fromhex(public)[1:]
    key = PublicKeyXOnly(x)
    key.tweak_add(hashlib.sha256(tag + tag + x + root).digest())
    return key


def main():
    client = client_of(DOOR["auth_token"], DOOR["credential_id"], DOOR["private_key_pem"])
    keys = client.keys
    make = lambda scheme, curve, **more: keys.create_key({"scheme": scheme, "curve": curve, **more})
    sign = lambda key, body: keys.generate_signature(key["id"], body)

    # Keys; this library announces names in another encoding than it sends them in.
    ecdsa = make("ECDSA", "secp256k1", name="café 🔑")
    eddsa = make("EdDSA", "ed25519", name="")
    taproot = make("Schnorr", "secp256k1")
    dh = make("DH", "secp256k1")
    stark = make("ECDSA", "stark")
    check("names", ecdsa["name"] == "café 🔑" and eddsa["name"] == "" and "name" not in dh, ecdsa)
    sizes = [len(key["publicKey"]) for key in (ecdsa, eddsa, taproot, dh, stark)]
    check("public keys", sizes == [66, 64, 66, 66, 66], sizes)
    refused("nothing at all", 400, "scheme", lambda: keys.create_key({}))
    refused("a name too long", 400, "name", lambda: make("DH", "secp256k1", name="é" * 101))
    refused("no such pair", 400, "curve", lambda: make("EdDSA", "secp256k1"))

    # Signatures.
    plain = sign(ecdsa, {"kind": "Hash", "hash": HASH})
    check("ECDSA", is_ecdsa(plain["signature"], DIGEST, ecdsa["publicKey"]), plain)
    check("no form of a chain", "encoded" not in plain["signature"] and "network" not in plain, plain)
    doc = sign(ecdsa, {"kind": "SignDocDirect", "signDoc": "0a0b"})
    digest = hashlib.sha256(b"\x0a\x0b").digest()
    check("SignDocDirect", is_ecdsa(doc["signature"], digest, ecdsa["publicKey"]), doc)
    for body in ({"kind": "Message"}, {"kind": "Message", "network": "Solana"}):
        signed = sign(eddsa, {**body, "message": "0x" + TEXT.hex()})
        check(f"EdDSA {body}", is_eddsa(signed["signature"], TEXT, eddsa["publicKey"]), signed)
        encoded = signed["signature"].get("encoded")
        check(f"form {body}", encoded == ("0x" + raw(signed["signature"]).hex() if "network" in body else None))
    signed = sign(eddsa, {"kind": "Hash", "hash": HASH})
    check("EdDSA of a hash", is_eddsa(signed["signature"], DIGEST, eddsa["publicKey"]), signed)
    for root in ("", HASH):
        signed = sign(taproot, {"kind": "Hash", "hash": HASH, "taprootMerkleRoot": root})
        key = output_key(taproot["publicKey"], bytes.fromhex(root))
        check(f"Schnorr with the root {root!r}", key.verify(raw(signed["signature"]), DIGEST), signed)
    signed = sign(stark, {"kind": "Hash", "hash": "0" + HASH[1:].replace("f", "0")})
    check("Stark", signed["status"] == "Signed" and signed["signature"]["recid"] in (0, 1), signed)

    ethereum(ecdsa, sign)

    # Refusals and history.
    error = refused("not served", 400, "is not supported by this server", lambda: sign(ecdsa, {"kind": "Bip322", "message": "00"}))
    check("its details", error and error.details == {"kind": "Bip322", "keyId": ecdsa["id"]}, error and error.details)
    for name, key, body in (
        ("Schnorr without a root", taproot, {"kind": "Hash", "hash": HASH}),
        ("a root on EdDSA", eddsa, {"kind": "Hash", "hash": HASH, "taprootMerkleRoot": ""}),
        ("an odd digit", eddsa, {"kind": "Message", "message": "0x0"}),
        ("another member", eddsa, {"kind": "Message", "message": "00", "hash": HASH}),
        ("DH signs nothing", dh, {"kind": "Hash", "hash": HASH}),
    ):
        refused(name, 400, ".", lambda: sign(key, body))
    once = {"kind": "Hash", "hash": HASH, "externalId": f"py {time.time_ns()}"}
    first, second = sign(ecdsa, once), sign(ecdsa, once)
    check("one externalId, one request", first == second, second)
    refused("another key", 409, "Conflicting signature", lambda: sign(eddsa, once))
    check("get_signature", keys.get_signature(ecdsa["id"], first["id"]) == first)
    found, query = [], {"limit": 4}
    while True:
        page = keys.list_signatures(ecdsa["id"], query)
        found += page["items"]
        if "nextPageToken" not in page:
            break
        # The name that the library's own types have.
        query = {"limit": 4, "pagination_token": page["nextPageToken"]}
    check("list_signatures", first in found and len({one["id"] for one in found}) == len(found) > 4, len(found))

    # Derivation.
    for scheme, curve, verify in (
        ("ECDSA", "secp256k1", lambda s, p: is_ecdsa(s, DIGEST, p)),
        ("EdDSA", "ed25519", lambda s, p: is_eddsa(s, DIGEST, p)),
    ):
        master = make(scheme, curve, masterKey=True)
        child = make(scheme, curve, deriveFrom={"keyId": master["id"], "path": "m/44/7"})
        check(f"{scheme} derived", child["derivedFrom"] == {"keyId": master["id"], "path": "m/44/7"}, child)
        for key in (master, child):
            signature = sign(key, {"kind": "Hash", "hash": HASH})["signature"]
            check(f"{scheme} of {key['id']}", verify(signature, key["publicKey"]), signature)
        again = lambda: make(scheme, curve, deriveFrom={"keyId": master["id"], "path": "m/44/7"})
        refused(f"{scheme} twice", 409, ".", again)
        refused(f"{scheme} with a child", 409, "has derived keys", lambda: keys.delete_key(master["id"]))
        keys.delete_key(child["id"])
        refused(f"{scheme} reserved for ever", 409, ".", again)
        check(f"{scheme} gone", keys.delete_key(master["id"])["status"] == "Archived")
    derive = lambda: keys.derive_key(dh["id"], {"domain": "0x01", "seed": "0x02"})["output"]
    output = derive()
    check("an output", re.fullmatch("0x[0-9a-f]{64}", output) is not None and derive() == output, output)

    # Reads, another client, other credentials.
    pages, query = [], {"limit": 2}
    while True:
        page = keys.list_keys(query)
        pages += page["items"]
        if "nextPageToken" not in page:
            break
        query = {"limit": 2, "paginationToken": page["nextPageToken"]}
    check("list_keys", sum(key["id"] == ecdsa["id"] for key in pages) == 1, len(pages))
    check("update_key", "name" not in keys.update_key(ecdsa["id"], {"name": None}))
    check("get_key", keys.get_key(ecdsa["id"])["wallets"] == [])
    signers = client.signers.list_signers()["clusters"][0]["signers"]
    check("list_signers", len(signers) >= 3 and all(set(one) == {"signerId", "encryptionKey"} for one in signers))
    elsewhere = DfnsDelegatedClient(DfnsDelegatedClientConfig(auth_token=DOOR["auth_token"], base_url=DOOR["http_url"]))
    body = {"scheme": "EdDSA", "curve": "ed25519", "name": "elsewhere é"}
    challenge = elsewhere.keys.create_key_init(body)
    signer = KeySigner(credential_id=DOOR["credential_id"], private_key=DOOR["private_key_pem"])
    answer = {"challengeIdentifier": challenge["challengeIdentifier"], "firstFactor": signer.sign(challenge)}
    check("signed elsewhere", elsewhere.keys.create_key_complete(body, answer)["name"] == "elsewhere é")
    refused("signed once", 400, "Challenge token is not valid", lambda: elsewhere.keys.create_key_complete(body, answer))
    credentials(client)

    # Deletion.
    gone = keys.delete_key(ecdsa["id"])
    check("delete_key", gone["status"] == "Archived" and gone["dateDeleted"] >= gone["dateCreated"], gone)
    after = keys.get_key(ecdsa["id"])
    check("what remains", after["dateDeleted"] == gone["dateDeleted"] and after["publicKey"] == ecdsa["publicKey"], after)
    error = refused("deleted once", 404, "key not found", lambda: keys.delete_key(ecdsa["id"]))
    check("its details", error and error.details["dateDeleted"] == gone["dateDeleted"], error and error.details)
    refused("no signature after it", 404, "key not found", lambda: sign(ecdsa, {"kind": "Hash", "hash": HASH}))
    check("its history remains", keys.get_signature(ecdsa["id"], first["id"]) == first)
    check("a repeat of a request is answered", sign(ecdsa, once) == first)
    refused("an output after deletion", 404, "key not found", lambda: (keys.delete_key(dh["id"]), derive()))


def ethereum(key, sign):
    """Kinds of Ethereum, by eth-account."""
    from eth_keys import keys as eth_keys

    owner = eth_keys.PublicKey.from_compressed_bytes(bytes.fromhex(key["publicKey"])).to_checksum_address()
    encoded = lambda body: bytes.fromhex(sign(key, body)["signature"]["encoded"][2:])
    for body in ({"kind": "Eip191"}, {"kind": "Message", "network": "Polygon"}):
        signature = encoded({**body, "message": TEXT.hex()})
        check(f"personal {body}", Account.recover_message(encode_defunct(TEXT), signature=signature) == owner)
    types = {
        "Mail": [
            {"name": "from", "type": "Person"},
            {"name": "to", "type": "Person[]"},
            {"name": "amount", "type": "int128"},
            {"name": "tags", "type": "bytes4[2]"},
        ],
        "Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],
    }
    person = {"name": "Zoë", "wallet": ADDRESS}
    message = {"from": person, "to": [person, person], "amount": -5, "tags": ["0x00112233", "0xffffffff"]}
    for domain in ({"name": "Mail", "version": "1", "chainId": 1, "verifyingContract": ADDRESS}, {"name": "Mail"}):
        typed = encode_typed_data(domain, types, message)
        signature = encoded({"kind": "Eip712", "types": types, "domain": domain, "message": message})
        check(f"Eip712 {list(domain)}", Account.recover_message(typed, signature=signature) == owner)
    common = {"nonce": 5, "gas": 21000, "to": ADDRESS, "value": 10**18, "data": "0xabcdef", "chainId": 1}
    slots = [{"address": ADDRESS, "storageKeys": ["0x" + HASH]}]
    for of in (
        {"type": 1, "gasPrice": 9, "accessList": slots, **common},
        {"type": 2, "maxFeePerGas": 30, "maxPriorityFeePerGas": 2, **common},
    ):
        typed = TypedTransaction.from_dict(of)
        unsigned = unsigned_of(typed, of["type"])
        signed = sign(key, {"kind": "Transaction", "blockchainKind": "Evm", "transaction": unsigned.hex()})
        check(f"transaction of type {of['type']}", Account.recover_transaction(signed["signedData"]) == owner, signed)
    legacy = [5, 9, 21000, bytes.fromhex(ADDRESS[2:]), 10**18, b"", 137, 0, 0]
    signed = sign(key, {"kind": "Transaction", "network": "Polygon", "transaction": rlp.encode(legacy).hex()})
    check("legacy transaction", Account.recover_transaction(signed["signedData"]) == owner, signed)


def unsigned_of(typed, number):
    """What is hashed of a transaction, taken from the library."""
    inner = typed.transaction
    serializer = inner.__class__._unsigned_transaction_serializer
    from eth_account.typed_transactions.base import TYPED_TRANSACTION_FORMATTERS
    from eth_account._utils.transaction_utils import transaction_rpc_to_rlp_structure

    fields = {name: value for name, value in inner.dictionary.items() if name not in ("v", "r", "s", "type")}
    fields = transaction_rpc_to_rlp_structure(fields)
    return bytes([number]) + rlp.encode(serializer.from_dict(fields))


def credentials(client):
    """Service accounts whose actions are signed by keys of other kinds."""
    curves = {"P-256": ec.SECP256R1(), "secp256k1": ec.SECP256K1()}
    private = {name: ec.generate_private_key(curve) for name, curve in curves.items()}
    private["RSA"] = rsa.generate_private_key(65537, 2048)
    private["Ed25519"] = ed25519.Ed25519PrivateKey.generate()
    text = lambda written: written.decode()
    for name, key in private.items():
        public = text(key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        pem = text(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        stamp = f"{name} {time.time_ns()}"
        operations = ["Keys:Create", "Keys:Delete"]
        permission = client.permissions.create_permission({"name": f"may {stamp}", "operations": operations})
        account = client.auth.create_service_account({"name": f"py {stamp}", "publicKey": public, "permissionId": permission["id"]})
        token = account["accessTokens"][0]
        bot = client_of(token["accessToken"], token["credId"], pem)
        made = bot.keys.create_key({"scheme": "DH", "curve": "secp256k1", "name": f"{name} é"})
        refused(f"{name} may not read", 403, "Keys:Read", lambda: bot.keys.get_key(made["id"]))
        check(f"{name} deletes", bot.keys.delete_key(made["id"])["status"] == "Archived")


try:
    main()
except Exception as error:
    failed.append({"check": "it ran", "shown": f"{error} {traceback.format_exc()[-900:]}"})
print(json.dumps({"passed": passed, "failed": failed}))
sys.exit(1 if failed else 0)
