"""Runs schemathesis against a door that is served at URL, with the token in ALTOSTRAT_BEARER.

Usage: schemathesis_run.py URL FOLDER

The document is the one that the door serves. In the test's copy the permissions of a create are
those that the token may give: otherwise nearly every generated create would be refused, and the
stateful phase would have nothing to follow. Prints what schemathesis prints; its status is the
status.
"""

import json
import os
import subprocess
import sys
import urllib.request

EXAMPLES = "60"  # a phase; about 500 cases and 20 s in all


def main() -> int:
    url, folder = sys.argv[1:]
    with urllib.request.urlopen(f"{url}/openapi.json") as answer:
        document = json.load(answer)
    create = document["components"]["schemas"]["CreateApiKeyRequest"]["properties"]
    create["permissions"]["items"] = {"type": "string", "enum": ["sites:read", "scripts:write"]}
    copy = os.path.join(folder, "openapi.json")
    with open(copy, "w", encoding="utf-8") as file:
        json.dump(document, file)
    command = [
        os.path.join(os.path.dirname(sys.executable), "st"), "run", copy,
        "--url", url,
        "--header", f"Authorization: Bearer {os.environ['ALTOSTRAT_BEARER']}",
        "--phases", "examples,coverage,fuzzing,stateful",
        "--checks", "all",
        "--max-examples", EXAMPLES,
        "--generation-deterministic",
        "--request-timeout", "5",
        "--workers", "1",
        "--no-color",
    ]
    return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
