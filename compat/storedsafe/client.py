#!/usr/bin/env python3
"""Drives the door with the client `storedsafe` of PyPI, unmodified, and with what tokenhandler sends.

Use: client.py DEV_JSON. Writes one line of JSON: how many checks passed, and which did not. A second
login within 30 seconds needs another one-time password: the codes before and after the present one
are good too, each once.
"""
import base64
import hashlib
import hmac
import json
import ssl
import struct
import sys
import time
import urllib.error
import urllib.request

import requests
from storedsafe import StoredSafe

DEV = json.load(open(sys.argv[1]))
DOOR = DEV["doors"]["storedsafe"]
CA = DEV["ca_file"]
HOST = DOOR["url"].removeprefix("https://")
VAULT = DOOR["vaultid"]
passed, failed = 0, []


def check(name, is_right, shown=None):
    global passed
    if is_right:
        passed += 1
    else:
        failed.append({"check": name, "shown": str(shown)[:600]})


def code(step):
    key = base64.b32decode(DOOR["totp_secret"])
    tag = hmac.new(key, struct.pack(">Q", int(time.time()) // 30 + step), hashlib.sha1).digest()
    at = tag[19] & 15
    return "%06d" % ((struct.unpack(">I", tag[at : at + 4])[0] & 0x7FFFFFFF) % 10**6)


def library():
    """The steps of the library's own methods and of its request methods."""
    api = StoredSafe(host=HOST, apikey=DOOR["apikey"], verify=CA, timeout=20)
    wrong = api.login_totp(DOOR["username"], "wrong", code(0))
    check("wrong passphrase", wrong.status_code == 403 and not api.token, wrong.text)
    answer = api.login_totp(DOOR["username"], DOOR["passphrase"], code(0))
    info = answer.json()["CALLINFO"]
    check("login", answer.status_code == 200 and api.token == info["token"], answer.text)
    check("login audit", info["audit"] == {"violations": [], "warnings": []}, answer.text)
    check("login timeout", info["timeout"] == 3_600_000, answer.text)
    check("check", api.check().json()["DATA"]["token"] == api.token)
    vaults = api.list_vaults()
    check("list vaults", VAULT in [vault["id"] for vault in vaults.json()["VAULTS"]], vaults.text)
    made = api.create_vault(vaultname="V", policy=7, description="d")
    check("create vault", made.status_code == 200, made.text)
    vault = made.json()["VAULT"][0]["id"]
    edited = api.edit_vault(vault, vaultname="W")
    check("edit vault", edited.json()["VAULT"][0]["groupname"] == "W", edited.text)
    check("vault objects", api.vault_objects(vault).json()["OBJECTS"] == [])
    members = api.vault_members(vault).json()["CALLINFO"]["vaultmembers"]
    check("vault members", [one["groupstatus"] for one in members] == ["4"], members)
    keys(api, vault)
    check("delete vault", api.delete_vault(vault).json()["CALLINFO"]["message"] == "Vault deleted")
    users(api)
    for name, call in [
        ("status values", api.status_values),
        ("password policies", api.password_policies),
        ("version", api.version),
        ("generate password", api.generate_password),
        ("list templates", api.list_templates),
        ("find", lambda: api.find("x")),
    ]:
        answer = call()
        check(name, answer.status_code == 200 and answer.json()["PARAMS"] == [], answer.text)
    check("object", api.get_object("1").json()["ERRORS"] == ["NOT SUPPORTED"])
    for _ in range(5):
        check("one token", api.list_vaults().status_code == 200)
    check("logout", api.logout().json()["CALLINFO"]["logout"] == "Bye bye")


def keys(api, vault):
    post, get, delete = api._StoredSafe__post, api._StoredSafe__get, api._StoredSafe__delete
    path = f"/transparent/{vault}/keys/payroll"
    made = post(path, {"type": "aes256-gcm96", "allow_export": False, "allow_backup": False})
    check("create key", made.status_code == 201, made.text)
    sealed = post(f"/transparent/{vault}/encrypt/payroll", {"plaintext": "aGVsbG8="})
    text = sealed.json()["CALLINFO"]["ciphertext"]
    check("encrypt", text.startswith("storedsafe:v1:"), sealed.text)
    opened = post(f"/transparent/{vault}/decrypt/payroll", {"ciphertext": text})
    check("decrypt", opened.json()["CALLINFO"]["plaintext"] == "aGVsbG8=", opened.text)
    check("rotate", post(path + "/rotate").status_code == 201)
    moved = post(f"/transparent/rewrap/{vault}/payroll", {"ciphertext": text})
    check("rewrap", moved.json()["CALLINFO"]["ciphertext"].startswith("storedsafe:v2:"), moved.text)
    drawn = post(f"/transparent/{vault}/datakey/plaintext/payroll", {"bits": 256})
    check("data key", len(base64.b64decode(drawn.json()["CALLINFO"]["plaintext"])) == 32)
    url = f"https://{HOST}/api/1.0/transparent/{vault}/keys"
    listed = requests.request("LIST", url, headers={"X-Http-Token": api.token}, verify=CA)
    check("list keys", [key["name"] for key in listed.json()["KEYS"]] == ["payroll"], listed.text)
    check("read key", get(path).json()["CALLINFO"]["version"] == "2")
    full = api.delete_vault(vault)
    check("vault with a key", full.json()["ERRORS"] == ["VAULT NOT EMPTY"], full.text)
    gone = delete(path)
    check("delete key", gone.status_code == 200 and gone.json()["CALLINFO"]["receipt"], gone.text)
    check("receipt", gone.headers["X-Deletion-Receipt"] == gone.json()["CALLINFO"]["receipt"])
    check("gone", delete(path).json()["ERRORS"] == ["NO SUCH KEY"])
    old = post(f"/transparent/{vault}/decrypt/payroll", {"ciphertext": text})
    check("unreadable", old.json()["ERRORS"] == ["NO SUCH KEY"], old.text)


def users(api):
    made = api.create_user(
        username="person%d" % time.time(), fullname="Some Person", email="some@person.example",
        passphrase="pass phrase", status=[1, 7],
    )
    check("create user", made.status_code == 201, made.text)
    user = made.json()["CALLINFO"]["user"][0]
    check("get user", api.get_user(user["id"]).json()["CALLINFO"]["users"] == [user])
    check("find user", user in api.list_users("person").json()["CALLINFO"]["users"])
    added = api.add_vault_member(VAULT, user["id"], 1)
    check("add member", added.json()["CALLINFO"]["message"] == "User added", added.text)
    check("edit member", api.edit_vault_member(VAULT, user["id"], 2).status_code == 200)
    check("remove member", api.remove_vault_member(VAULT, user["id"]).status_code == 200)
    check("deactivate", api.delete_user(user["id"]).json()["CALLINFO"]["calculated_status"] == 2)


def send(method, path, body=None):
    """As tokenhandler does: no content type, no agent, nothing compressed."""
    request = urllib.request.Request(
        DOOR["url"] + "/api/1.0" + path,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Accept-Encoding": "identity", "Content-Type": ""},
    )
    request.remove_header("Content-type")
    context = ssl.create_default_context(cafile=CA)
    try:
        with urllib.request.urlopen(request, context=context, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def tokenhandler():
    login = {
        "username": DOOR["username"], "passphrase": DOOR["passphrase"], "otp": code(1),
        "apikey": DOOR["apikey"], "logintype": "totp",
    }
    status, answer = send("POST", "/auth", login)
    check("tokenhandler login", status == 200 and answer["CALLINFO"]["status"] == "SUCCESS", answer)
    token = answer["CALLINFO"]["token"]
    for _ in range(2):
        status, answer = send("POST", "/auth/check", {"token": token})
        same = answer["CALLINFO"]["token"] == answer["DATA"]["token"] == token
        check("tokenhandler check", status == 200 and same, answer)
    status, answer = send("GET", f"/auth/logout?token={token}")
    check("tokenhandler logout", status == 200, answer)
    status, answer = send("POST", "/auth/check", {"token": token})
    check("tokenhandler check after", status == 403 and answer["ERRORCODES"]["1200"], answer)


library()
tokenhandler()
print(json.dumps({"passed": passed, "failed": failed}))
sys.exit(1 if failed else 0)
