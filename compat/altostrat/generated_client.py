"""Generates clients from the document that a door serves at URL and from a page of the vendor's, and
lives the life of a key with them.

Usage: generated_client.py URL FOLDER, with the token in ALTOSTRAT_BEARER. The generator is
openapi-python-client, unmodified; what it generates goes to FOLDER. Writes one line of JSON: how
many checks passed, and which did not.
"""

import json
import os
import subprocess
import sys

URL, FOLDER = sys.argv[1:]
PROGRAMS = os.path.dirname(sys.executable)
passed, failed = 0, []


def check(name, is_right, shown=None):
    global passed
    if is_right:
        passed += 1
    else:
        failed.append({"check": name, "shown": str(shown)[:600]})


def generate(name, document):
    command = [
        os.path.join(PROGRAMS, "openapi-python-client"), "generate", *document,
        "--output-path", os.path.join(FOLDER, name), "--meta", "none", "--fail-on-warning",
    ]
    # It formats what it wrote with a program that stands beside it.
    path = f"{PROGRAMS}:{os.environ['PATH']}"
    done = subprocess.run(
        command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    check(f"the document is understood whole: {name}", done.returncode == 0, done.stdout + done.stderr)


def live():
    from generated import AuthenticatedClient
    from generated.api.api_keys import (
        create_api_key, delete_api_key, get_api_key, list_api_keys, rotate_api_key,
    )
    from generated.models import ApiKey, ApiKeySecretEnvelope, CreateApiKeyRequest, ErrorResponse

    client = AuthenticatedClient(base_url=URL, token=os.environ["ALTOSTRAT_BEARER"])
    wanted = CreateApiKeyRequest(name="generated", permissions=["sites:read"])
    made = create_api_key.sync_detailed(client=client, body=wanted)
    check("create", made.status_code == 201 and isinstance(made.parsed, ApiKeySecretEnvelope), made)
    key, secret = made.parsed.data.key, made.parsed.data.secret
    check("secret", secret.startswith(key.key_prefix) and len(secret) == 56, key)
    shown = get_api_key.sync_detailed(key.id, client=client)
    is_key = isinstance(shown.parsed, ApiKey)
    check("retrieve", shown.status_code == 200 and is_key and shown.parsed.id == key.id, shown)
    listed = list_api_keys.sync_detailed(client=client)
    check("list", [one.id for one in listed.parsed] == [key.id], listed)
    page = list_api_keys.sync_detailed(client=client, limit=1)
    check("page", [one.id for one in page.parsed.data] == [key.id], page)
    rotated = rotate_api_key.sync_detailed(key.id, client=client)
    check("rotate", rotated.status_code == 200 and rotated.parsed.data.secret != secret, rotated)
    check("same key", rotated.parsed.data.key.id == key.id, rotated)
    ended = delete_api_key.sync_detailed(key.id, client=client)
    check("delete", ended.status_code == 204 and ended.content == b"", ended)
    check("receipt", len(ended.headers.get("x-deletion-receipt", "")) > 100, ended.headers)
    for name, call in [("retrieve", get_api_key), ("rotate", rotate_api_key), ("delete", delete_api_key)]:
        gone = call.sync_detailed(key.id, client=client)
        is_told = isinstance(gone.parsed, ErrorResponse) and gone.parsed.message == "API key not found."
        check(f"{name} after delete", gone.status_code == 404 and is_told, gone)
    short = CreateApiKeyRequest(name="ab", permissions=["sites:read"])
    refused = create_api_key.sync_detailed(client=client, body=short)
    check("a name too short", refused.status_code == 400 and refused.parsed.errors["name"], refused)
    stranger = list_api_keys.sync_detailed(client=AuthenticatedClient(base_url=URL, token="none"))
    check("a wrong token", stranger.status_code == 401 and stranger.parsed.message, stranger)


# What the vendor's page says of a delete, and nothing else.
DELETE_ALONE = {
    "openapi": "3.0.3",
    "info": {"title": "delete", "version": "1"},
    "components": {
        "securitySchemes": {"BearerAuth": {"type": "http", "scheme": "bearer"}},
        "schemas": {"Error": {"type": "object", "properties": {"message": {"type": "string"}}}},
    },
    "security": [{"BearerAuth": []}],
    "paths": {
        "/api/keys/{id}": {
            "delete": {
                "operationId": "deleteApiKey",
                "tags": ["keys"],
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
                "responses": {
                    "204": {"description": "deleted"},
                    **{
                        status: {
                            "description": "refused",
                            "content": {
                                "application/json": {"schema": {"$ref": "#/components/schemas/Error"}}
                            },
                        }
                        for status in ["401", "404"]
                    },
                },
            }
        }
    },
}


def delete_alone():
    from deletes import AuthenticatedClient as Deletes
    from deletes.api.keys import delete_api_key
    from generated import AuthenticatedClient
    from generated.api.api_keys import create_api_key
    from generated.models import CreateApiKeyRequest

    token = os.environ["ALTOSTRAT_BEARER"]
    wanted = CreateApiKeyRequest(name="generated", permissions=["sites:read"])
    made = create_api_key.sync(client=AuthenticatedClient(base_url=URL, token=token), body=wanted)
    client = Deletes(base_url=URL, token=token)
    ended = delete_api_key.sync_detailed(made.data.key.id, client=client)
    check("delete by the page alone", ended.status_code == 204, ended)
    gone = delete_api_key.sync_detailed(made.data.key.id, client=client)
    is_told = gone.status_code == 404 and gone.parsed.message == "API key not found."
    check("delete again by the page alone", is_told, gone)


generate("generated", ["--url", f"{URL}/openapi.json"])
page = os.path.join(FOLDER, "delete.json")
with open(page, "w", encoding="utf-8") as file:
    json.dump(DELETE_ALONE, file)
generate("deletes", ["--path", page])
sys.path.insert(0, FOLDER)
if not failed:
    live()
    delete_alone()
print(json.dumps({"passed": passed, "failed": failed}))
sys.exit(1 if failed else 0)
