#!/usr/bin/env python3
"""token_server.py KEY CERTIFICATE SERVICE LIFETIME: a token server for docker-registry's `auth: token`.
Prints its port. Anybody may pull; ada, whose password is "secret", may push, and so may the identity
token "ada-id". Tokens are JWTs (RFC 7519, RS256) signed by KEY, the first one valid for LIFETIME
seconds, the others for 300. What it is asked is printed on standard error, without secrets. Source:
"Token Authentication Specification" of the CNCF distribution project."""
import base64
import http.server
import json
import subprocess
import sys
import time
import urllib.parse

key, certificate, service = sys.argv[1], sys.argv[2], sys.argv[3]
lifetimes = [int(sys.argv[4])]
lines = open(certificate).read().split("-----")[2].split()


def coded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(claims):
    header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines)]}
    text = ".".join(coded(json.dumps(part).encode()) for part in (header, claims))
    done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text.encode(),
                          capture_output=True, check=True)
    return text + "." + coded(done.stdout)


def access(scopes, user):
    out = []
    for scope in scopes:
        kind, rest = scope.split(":", 1)
        name, actions = rest.rsplit(":", 1)
        allowed = [a for a in actions.split(",") if a == "pull" or user == "ada"]
        out.append({"type": kind, "name": name, "actions": allowed})
    return out


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, record):
        body = json.dumps(record).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def give(self, query, user):
        scopes = [part for scope in query.get("scope", []) for part in scope.split(" ")]
        print(self.command, user or "anonymous", *scopes, file=sys.stderr, flush=True)
        now = int(time.time())
        lifetime = lifetimes.pop() if lifetimes else 300
        token = sign({"iss": "test", "sub": user, "aud": service, "exp": now + lifetime,
                      "nbf": now - 10, "iat": now, "jti": str(now), "access": access(scopes, user)})
        self.answer(200, {"token": token, "expires_in": 300})

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        given = self.headers.get("Authorization")
        if given is None:
            return self.give(query, "")
        user, password = base64.b64decode(given.split()[1]).decode().split(":", 1)
        if (user, password) != ("ada", "secret"):
            print("refused", user, file=sys.stderr, flush=True)
            return self.answer(401, {"details": "wrong"})
        return self.give(query, user)

    def do_POST(self):
        size = int(self.headers.get("Content-Length") or 0)
        query = urllib.parse.parse_qs(self.rfile.read(size).decode())
        if query.get("grant_type") != ["refresh_token"] or query.get("refresh_token") != ["ada-id"]:
            return self.answer(401, {"details": "wrong"})
        return self.give(query, "ada")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
