"""Drives the PyPI package httpx-ncloud, as it is, against a Lethe server.

Usage: python httpx_client.py DEV_JSON

Prints one line `ok N` with the number of checks, or fails.
"""

import base64
import json
import sys

from httpx_ncloud import NcloudClient

checks = 0


def check(condition, what):
    global checks
    if not condition:
        raise SystemExit(f"failed: {what}")
    checks += 1


def main(dev_json):
    with open(dev_json, encoding="utf-8") as file:
        door = json.load(file)["doors"]["ncloud"]
    base_url = door["http_url"]
    keys = {"access_key": door["access_key"], "secret_key": door["secret_key"]}
    text = base64.b64encode(b"hello").decode()

    # Paths under a base address. The client signs `path?`, and sends the path.
    with NcloudClient(base_url=base_url, **keys) as client:
        body = {"keyName": "httpx-key", "keyType": "AES256", "protectionType": "BASIC"}
        made = client.post("/kms/v1/keys", json=body).json()
        check(made["code"] == "SUCCESS", made)
        tag = made["data"]["keyTag"]
        path = f"/kms/v1/keys/{tag}"
        check(client.get(path).json()["data"]["keyName"] == "httpx-key", "info")
        listed = client.get("/kms/v1/keys", params={"pageNo": 1, "pageSize": 10}).json()
        check(tag in [key["keyTag"] for key in listed["data"]["keyList"]], listed)
        sealed = client.post(f"{path}/encrypt", json={"plaintext": text}).json()["data"]
        opened = client.post(f"{path}/decrypt", json=sealed).json()["data"]
        check(opened == {"plaintext": text}, opened)
        opened = client.post(f"/keys/v2/{tag}/decrypt", json=sealed).json()
        check(opened == {"code": "SUCCESS", "msg": "", "data": {"plaintext": text}}, opened)
        check(client.post(f"{path}/disable").json()["data"]["status"] == "DISABLE", "disable")
        refused = client.post(f"{path}/encrypt", json={"plaintext": text})
        check(refused.status_code == 422, refused.text)
        check(client.post(f"{path}/enable").json()["data"]["status"] == "ENABLE", "enable")
        memo = client.put(f"{path}/memo", json={"memo": "by httpx"}).json()
        check(memo["data"]["memo"] == "by httpx", memo)

    # Whole addresses, without a base.
    with NcloudClient(**keys) as client:
        sealed = client.post(f"{base_url}{path}/encrypt", json={"plaintext": text})
        check(sealed.status_code == 200, sealed.text)
        revoked = client.post(f"{base_url}{path}/request-deletion").json()
        check(revoked["data"]["status"] == "REVOKE", revoked)
        deleted = client.delete(f"{base_url}{path}")
        check(deleted.json() == {"code": "SUCCESS", "data": None}, deleted.text)
        check(len(deleted.headers["x-deletion-receipt"]) > 100, "receipt")
        gone = client.post(f"{base_url}{path}/decrypt", json=sealed.json()["data"])
        check(gone.json()["error"]["errorCode"] == "NOT_FOUND", gone.text)

    with NcloudClient(base_url=base_url, access_key=keys["access_key"], secret_key="X") as client:
        refused = client.get("/kms/v1/keys")
        check(refused.status_code == 401, refused.text)
        check(refused.json()["error"]["errorCode"] == "200", refused.text)

    print(f"ok {checks}")


main(sys.argv[1])
