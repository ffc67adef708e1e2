"""An OIDC issuer on this machine: its configuration, its keys, and tokens of any kind."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

AUDIENCE = "paymux"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Login:
    """The issuer. ``keys`` are those that it shows, by their ids; ``asked`` is how often it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, PrivateKey] = {}
        self.more: list[dict[str, Any]] = []
        self.asked = 0
        self.away = False
        self.name = url
        self.rotate("first")

    def rotate(self, kid: str, kind: str = "RSA") -> None:
        """Show another key in place of those of before."""
        made: dict[str, Any] = {
            "RSA": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "EC": lambda: ec.generate_private_key(ec.SECP256R1()),
            "OKP": ed25519.Ed25519PrivateKey.generate,
        }
        self.keys = {kid: made[kind]()}

    def token(
        self, algorithm: str = "RS256", key: Any = None, kid: str | None = None, **claims: object
    ) -> str:
        """A token that is good, but for what is said of it; a claim of None is left out."""
        now = int(time.time())
        said = {
            "iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 300,
            "scope": "openid payments:read",
        } | claims  # fmt: skip
        (shown, own) = next(iter(self.keys.items()))
        return jwt.encode(
            {name: value for name, value in said.items() if value is not None},
            own if key is None else key,
            algorithm=algorithm,
            headers={"kid": kid or shown},
        )

    def answer(self, path: str) -> Mapping[str, Any] | None:
        """What it says at a path."""
        if self.away:
            return None
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.name, "jwks_uri": f"{self.url}/keys"}
        self.asked += 1
        return {"keys": [*(_shown(kid, key) for kid, key in self.keys.items()), *self.more]}


def _shown(kid: str, key: PrivateKey) -> dict[str, Any]:
    public: Any = key.public_key()
    algorithm: Any = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    kind = next(one for base, one in algorithm.items() if isinstance(key, base))
    return {**kind.to_jwk(public, as_dict=True), "kid": kid, "use": "sig"}


@contextmanager
def login() -> Iterator[Login]:
    """One that answers until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = issuer.answer(self.path)
            body = json.dumps(found or {}).encode()
            self.send_response(503 if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = Login(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
