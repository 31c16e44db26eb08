#!/usr/bin/env python3
"""Lethe, a bare axum server and OpenBao under the same load, in turn, in one run. See README.md."""

import argparse
import base64
import json
import os
import pathlib
import platform
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Longest wait for a server that starts; OpenBao's first start elects a leader.
READY_WITHIN_S = 120
# Numbers of keys that one round may take.
NUMBERS = 1_000_000
# A key that is being made when the time is over may not be there: so many are left out.
MARGIN = 256

# Plaintexts by their size in bytes.
PLAIN = {size: base64.b64encode(bytes(i % 256 for i in range(size))).decode()
         for size in (32, 4096)}


class Server:
    """A child process with an address; it ends with this program."""

    def __init__(self, name, command, log, **more):
        self.name, self.log = name, log
        out = open(log, "wb")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, **more)
        self.pid = self.process.pid

    def line(self, start):
        """The rest of the first line that begins with `start`."""
        for line in self.process.stdout:
            text = line.decode().strip()
            if text.startswith(start):
                return text[len(start):]
        raise SystemExit(f"{self.name} did not start: {pathlib.Path(self.log).read_text()[-2000:]}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def ask(method, url, headers, body=None, accepted=()):
    """One request; its status and JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        text = error.read()
        if error.code in accepted:
            return error.code, json.loads(text) if text.strip().startswith(b"{") else None
        raise SystemExit(f"{method} {url}: {error.code} {text[:300]!r}") from error


class Contender:
    """Somebody who is measured: `works` names what he can do, `run` does it once."""

    def __init__(self, options):
        self.options = options
        self.next_number = 0

    def measure(self, path, body, connections, *, method="POST", status=200, numbers=None,
                seconds=None):
        description = {
            "url": self.url, "method": method, "path": path, "headers": self.headers,
            "body": None if body is None else json.dumps(body), "status": status,
            "connections": connections, "seconds": seconds or self.options.seconds,
            "pid": self.server.pid,
        }
        if numbers is None:
            description["warm_up_ms"] = 300
        else:
            description["numbers"] = numbers
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(description, file)
            file.flush()
            command = [self.options.lethe, "bench", "requests", file.name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{self.name} {method} {path}: {done.stderr}")
        row = json.loads(done.stdout)
        if row["errors"]:
            raise SystemExit(f"{self.name} {method} {path}: {row['first_error']}")
        return row

    def stop(self):
        self.server.stop()


class Lethe(Contender):
    """With its default settings: TLS-less listener of `serve --dev`, audit on, durable."""

    name = "lethe"

    def __init__(self, options, work):
        super().__init__(options)
        self.data = work / "lethe"
        command = [options.lethe, "serve", "--dev", "--port-base", "0", "--data", str(self.data)]
        self.server = Server(self.name, command, work / "lethe.log")
        dev = json.loads(pathlib.Path(self.server.line("lethe ready ")).read_text())
        native = dev["doors"]["native"]
        self.url = native["http_url"]
        token = {"Authorization": f"Bearer {native['token']}"}
        self.headers = [["Content-Type", "application/json"], *token.items()]
        self.keys = {}
        for algorithm in ("aes256-gcm", "ed25519", "ecdsa-p256", "rsa-2048"):
            body = {"name": "peers", "algorithm": algorithm}
            answer = ask("POST", f"{self.url}/v1/keys",
                         {**token, "Content-Type": "application/json"}, body)[1]
            self.keys[algorithm] = answer["id"]
        self.ciphertext = ask(
            "POST", f"{self.url}/v1/keys/{self.keys['aes256-gcm']}/encrypt",
            {**token, "Content-Type": "application/json"}, {"plaintext": PLAIN[32]})[1]["ciphertext"]

    def run(self, work, connections):
        cipher = f"/v1/keys/{self.keys['aes256-gcm']}"
        plain = {"plaintext": PLAIN[32]}
        sign = {"message": PLAIN[32]}
        simple = {
            "encrypt 32 B": (f"{cipher}/encrypt", plain),
            "decrypt 32 B": (f"{cipher}/decrypt", {"ciphertext": self.ciphertext}),
            "encrypt 4 KiB": (f"{cipher}/encrypt", {"plaintext": PLAIN[4096]}),
            "encrypt 100 × 32 B": (f"{cipher}/encrypt", {"items": [plain] * 100}),
            "sign Ed25519": (f"/v1/keys/{self.keys['ed25519']}/sign", sign),
            "sign P-256": (f"/v1/keys/{self.keys['ecdsa-p256']}/sign", sign),
            "sign RSA-2048": (f"/v1/keys/{self.keys['rsa-2048']}/sign", sign),
        }
        if work in simple:
            path, body = simple[work]
            return self.measure(path, body, connections)
        # Creates and destroys: the generator itself remembers the ids of what it made.
        only = {"create": "create", "destroy": "destroy"}[work]
        command = [self.options.lethe, "--json", "bench", "--dev", str(self.data), "--pid",
                   str(self.server.pid), "--only", only, "--connections", str(connections),
                   "--rounds", "1", "--seconds", str(max(1, round(self.options.seconds)))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"lethe {work}: {done.stderr}")
        return json.loads(done.stdout)["rows"][0]["server"]


class Floor(Contender):
    """axum, JSON, base64 and the primitive; no authentication, no audit, no key store."""

    name = "axum floor"

    def __init__(self, options, work):
        super().__init__(options)
        self.server = Server(self.name, [options.floor], work / "floor.log")
        self.url = self.server.line("floor ready ")
        self.headers = [["Content-Type", "application/json"]]
        self.ciphertext = ask("POST", f"{self.url}/encrypt", dict(self.headers),
                              {"plaintext": PLAIN[32]})[1]["ciphertext"]

    def run(self, work, connections):
        simple = {
            "encrypt 32 B": ("/encrypt", {"plaintext": PLAIN[32]}),
            "decrypt 32 B": ("/decrypt", {"ciphertext": self.ciphertext}),
            "encrypt 4 KiB": ("/encrypt", {"plaintext": PLAIN[4096]}),
            "sign Ed25519": ("/sign", {"message": PLAIN[32]}),
        }
        if work not in simple:
            return None
        path, body = simple[work]
        return self.measure(path, body, connections)


class OpenBao(Contender):
    """One node, raft storage on the disk, static seal, plain HTTP; with an audit file if asked."""

    def __init__(self, options, work, *, has_audit):
        super().__init__(options)
        self.name = "OpenBao, audit" if has_audit else "OpenBao"
        self.folder = work / ("bao-audit" if has_audit else "bao")
        (self.folder / "data").mkdir(parents=True)
        (self.folder / "seal").write_bytes(secrets.token_bytes(32))
        port, cluster = free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = f'''
storage "raft" {{
  path = "{self.folder}/data"
  node_id = "n1"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  tls_disable = true
}}
seal "static" {{
  current_key_id = "k1"
  current_key = "file://{self.folder}/seal"
}}
api_addr = "{self.url}"
cluster_addr = "https://127.0.0.1:{cluster}"
ui = false
log_level = "warn"
'''
        if has_audit:
            config += f'audit "file" "f" {{ options {{ file_path = "{self.folder}/audit.log" }} }}\n'
        (self.folder / "bao.hcl").write_text(config)
        command = [options.bao, "server", f"-config={self.folder}/bao.hcl"]
        self.server = Server(self.name, command, self.folder / "log")
        self.token = self.wait_until_ready()
        self.headers = [["Content-Type", "application/json"], ["X-Vault-Token", self.token]]
        self.ask("POST", "sys/mounts/transit", {"type": "transit"})
        kinds = {"aes": "aes256-gcm96", "ed": "ed25519", "p256": "ecdsa-p256", "rsa": "rsa-2048"}
        for name, kind in kinds.items():
            self.ask("POST", f"transit/keys/{name}", {"type": kind})
        answer = self.ask("POST", "transit/encrypt/aes", {"plaintext": PLAIN[32]})[1]
        self.ciphertext = answer["data"]["ciphertext"]
        # The statuses of successes differ by version: asked once, then expected of every answer.
        self.create_status = self.ask("POST", "transit/keys/probe", {})[0]
        config = {"deletion_allowed": True}
        self.config_status = self.ask("POST", "transit/keys/probe/config", config)[0]
        self.delete_status = self.ask("DELETE", "transit/keys/probe")[0]

    def ask(self, method, path, body=None):
        return ask(method, f"{self.url}/v1/{path}", dict(self.headers), body)

    def wait_until_ready(self):
        token, end = "", time.monotonic() + READY_WITHIN_S
        while time.monotonic() < end:
            try:
                status = ask("GET", f"{self.url}/v1/sys/health", {},
                             accepted=(429, 472, 473, 501, 503))[0]
                if status == 200:
                    return token
                if status == 501:
                    shares = {"recovery_shares": 1, "recovery_threshold": 1}
                    token = ask("PUT", f"{self.url}/v1/sys/init", {}, shares)[1]["root_token"]
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.05)
        raise SystemExit(f"{self.name} is not ready: see {self.folder}/log")

    def run(self, work, connections):
        plain = {"plaintext": PLAIN[32]}
        sign = {"input": PLAIN[32]}
        simple = {
            "encrypt 32 B": ("encrypt/aes", plain),
            "decrypt 32 B": ("decrypt/aes", {"ciphertext": self.ciphertext}),
            "encrypt 4 KiB": ("encrypt/aes", {"plaintext": PLAIN[4096]}),
            "encrypt 100 × 32 B": ("encrypt/aes", {"batch_input": [plain] * 100}),
            "sign Ed25519": ("sign/ed", sign),
            "sign P-256": ("sign/p256", sign),
            "sign RSA-2048": ("sign/rsa", sign),
        }
        if work in simple:
            path, body = simple[work]
            return self.measure(f"/v1/transit/{path}", body, connections)
        first, last = self.next_number, self.next_number + NUMBERS - 1
        self.next_number += NUMBERS
        made = self.measure("/v1/transit/keys/c{n}", {}, connections,
                            status=self.create_status, numbers=[first, last])
        if work == "create":
            return made
        last = first + max(0, made["requests"] - MARGIN)
        self.measure("/v1/transit/keys/c{n}/config", {"deletion_allowed": True}, connections,
                     status=self.config_status, numbers=[first, last], seconds=60)
        return self.measure("/v1/transit/keys/c{n}", None, connections, method="DELETE",
                            status=self.delete_status, numbers=[first, last])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


WORKS = [(name, connections)
         for name, numbers in {
             "encrypt 32 B": (16,), "decrypt 32 B": (16,), "encrypt 4 KiB": (16,),
             "encrypt 100 × 32 B": (16,), "sign Ed25519": (16,), "sign P-256": (16,),
             "sign RSA-2048": (16,), "create": (16,), "destroy": (16, 64)}.items()
         for connections in numbers]


def spread(values, digits):
    """The median, and the least and the most in parentheses."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def ratios(rows, mine, others, member):
    """Round by round, others by mine."""
    pairs = zip(rows.get(others, []), rows.get(mine, []))
    return [one[member] / other[member] for one, other in pairs if other[member]]


def table(results, names):
    """Markdown: CPU first, because it holds across machines; then rates; ratios are by round."""
    lines = ["| work | who | CPU s/1,000 | × Lethe's CPU | requests/s | Lethe's rate × | p99 ms |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    for (work, connections), rows in results.items():
        for name in names:
            if not rows.get(name):
                continue
            cells = [f"{work}, {connections} conn" if name == names[0] else "", name]
            cells.append(spread([row["cpu_s_per_1k"] for row in rows[name]], 4))
            cells.append("" if name == "lethe"
                         else spread(ratios(rows, "lethe", name, "cpu_s_per_1k"), 2))
            cells.append(spread([row["requests_per_s"] for row in rows[name]], 0))
            cells.append("" if name == "lethe"
                         else spread(ratios(rows, name, "lethe", "requests_per_s"), 2))
            cells.append(spread([row["p99_ms"] for row in rows[name]], 1))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lethe", default=str(ROOT / "target/release/lethe"))
    parser.add_argument("--floor", default=str(HERE / "floor/target/release/lethe-peers-floor"))
    parser.add_argument("--bao", default="bao", help="the server of OpenBao")
    parser.add_argument("--under", help="directory (and so the disk) for all data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument("--only", action="append", help="work whose name begins so; repeatable")
    parser.add_argument("--without-bao", action="store_true")
    parser.add_argument("--json", help="file for every row of every round")
    options = parser.parse_args()
    works = [work for work in WORKS
             if not options.only or work[0].startswith(tuple(options.only))]
    with tempfile.TemporaryDirectory(dir=options.under, prefix="lethe-peers-") as folder:
        work_folder, contenders = pathlib.Path(folder), []
        try:
            contenders.append(Lethe(options, work_folder))
            contenders.append(Floor(options, work_folder))
            if not options.without_bao:
                contenders.append(OpenBao(options, work_folder, has_audit=False))
                contenders.append(OpenBao(options, work_folder, has_audit=True))
            results = {work: {} for work in works}
            for number in range(options.rounds):
                # Everybody takes his turn within the same minute, in another order each round.
                order = contenders[number % len(contenders):] + contenders[:number % len(contenders)]
                for work in works:
                    for contender in order:
                        row = contender.run(*work)
                        if row is not None:
                            results[work].setdefault(contender.name, []).append(row)
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            names = [contender.name for contender in contenders]
        finally:
            for contender in contenders:
                contender.stop()
    every = [row for rows in results.values() for of in rows.values() for row in of]
    foreign = max(row.get("foreign_cores") or 0 for row in every)
    print(table(results, names))
    print(f"\n{platform.machine()}, {os.cpu_count()} cores shared with the load; "
          f"{options.rounds} rounds of {options.seconds:g} s; "
          f"others used up to {foreign:.1f} cores meanwhile.")
    if options.json:
        rows = [{"work": work, "connections": connections, "who": name, "rounds": of}
                for (work, connections), by in results.items() for name, of in by.items()]
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
