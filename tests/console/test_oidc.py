"""Logging in by a plant's directory: a provider of the tests' own, tokens that are to be believed and that are not."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from edgeloop.errors import EdgeloopError
from edgeloop_web.oidc import Provider, Settings

GROUPS: dict[Any, frozenset[str]] = {"viewer": frozenset({"*"}), "operator": frozenset({"shift"})}


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return text(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Directory:
    """Lets everybody in as `claims` say, and checks what a provider checks."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.claims: dict[str, Any] = {"sub": "7", "preferred_username": "anna", "groups": ["shift", "x"]}
        self.codes: dict[str, dict[str, str]] = {}
        self.secrets: list[str] = []
        directory = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, query = urlsplit(self.path).path, urlsplit(self.path).query
                if path == "/authorize":
                    asked = {name: values[0] for name, values in parse_qs(query).items()}
                    code = f"code{len(directory.codes)}"
                    directory.codes[code] = asked
                    self.send_response(302)
                    back = {"state": asked["state"], "code": code}
                    self.send_header("Location", f"{asked['redirect_uri']}?{urlencode(back)}")
                    self.end_headers()
                    return
                self.answer(directory.document(path))

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.answer(directory.exchanged({name: values[0] for name, values in form.items()}))

            def answer(self, document: dict[str, Any] | None) -> None:
                self.send_response(400 if document is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps(document or {}).encode())

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def document(self, path: str) -> dict[str, Any] | None:
        if path == "/.well-known/openid-configuration":
            ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
            return {"issuer": self.issuer, **{name: f"{self.issuer}/{end}" for name, end in ends.items()}}
        if path == "/keys":
            one, two = self.rsa.public_key().public_numbers(), self.ec.public_key().public_numbers()
            return {"keys": [
                {"kty": "RSA", "kid": "r", "use": "sig", "n": number(one.n), "e": number(one.e)},
                {"kty": "EC", "kid": "e", "crv": "P-256", "x": number(two.x), "y": number(two.y)},
            ]}  # fmt: skip
        return None

    def exchanged(self, form: dict[str, str]) -> dict[str, Any] | None:
        asked = self.codes.pop(form.get("code", ""), None)
        self.secrets.append(form.get("client_secret", ""))
        if asked is None or text(hashlib.sha256(form["code_verifier"].encode()).digest()) != asked["code_challenge"]:
            return None
        return {"id_token": self.token(nonce=asked["nonce"], aud=asked["client_id"])}

    def token(self, kid: str = "r", alg: str = "RS256", **claims: Any) -> str:
        said = {"iss": self.issuer, "aud": "page", "exp": time.time() + 300, "nonce": "n", **self.claims, **claims}
        signed = ".".join(text(json.dumps(part).encode()) for part in ({"alg": alg, "kid": kid}, said))
        if kid == "r":
            signature = self.rsa.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        else:
            pair = decode_dss_signature(self.ec.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
            signature = b"".join(value.to_bytes(32, "big") for value in pair)
        return f"{signed}.{text(signature)}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def directory() -> Iterator[Directory]:
    made = Directory()
    yield made
    made.close()


@pytest.fixture
def provider(directory: Directory) -> Provider:
    return Provider(Settings(directory.issuer, "page", "", "groups", GROUPS))


def test_what_is_believed(provider: Provider, directory: Directory) -> None:
    for kid, alg in (("r", "RS256"), ("e", "ES256")):
        assert provider.claims(directory.token(kid, alg), "n")["sub"] == "7"
    assert provider.claims(directory.token(aud=["other", "page"], azp="page"), "n")["aud"] == ["other", "page"]


def forged(directory: Directory, alg: str) -> str:
    """Signed by nobody, or with the public key as if it were a secret."""
    public = directory.rsa.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head, body, _ = directory.token(alg=alg).split(".")
    mac = hashlib.sha256(public + f"{head}.{body}".encode()).digest() if alg == "HS256" else b""
    return f"{head}.{body}.{text(mac)}"


def of_another(directory: Directory) -> str:
    other = Directory()
    other.close()
    other.issuer = directory.issuer
    return other.token()


REFUSED: dict[str, tuple[Callable[[Directory], str], str]] = {
    "none": (lambda d: forged(d, "none"), "signature"),
    "the public key as a secret": (lambda d: forged(d, "HS256"), "signature"),
    "another's key": (of_another, "signature"),
    "an unknown key": (lambda d: d.token("z", "ES256"), "its key is none"),
    "another issuer": (lambda d: d.token(iss="https://elsewhere.example"), "another issuer"),
    "another client": (lambda d: d.token(aud="other"), "another client"),
    "two clients": (lambda d: d.token(aud=["page", "other"]), "another client"),
    "too old": (lambda d: d.token(exp=time.time() - 3600), "too old"),
    "no end": (lambda d: d.token(exp=None), "too old"),
    "another login": (lambda d: d.token(nonce="m"), "another login"),
    "nothing": (lambda d: "", "no signed token"),
    "deep": (lambda d: f"{text(b'[' * 3000)}.{text(b'{}')}.x", "no signed token"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_believed(provider: Provider, directory: Directory, kind: str) -> None:
    made, why = REFUSED[kind]
    with pytest.raises(EdgeloopError, match=why) as caught:
        provider.claims(made(directory), "n")
    assert "\n" not in str(caught.value)


def test_a_login_is_of_the_browser_that_began_it_and_once(provider: Provider, directory: Directory) -> None:
    def come_back() -> tuple[str, str, str]:
        address, browser = provider.begin("http://127.0.0.1:1/login/back")
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        directory.codes["c"] = asked
        return asked["state"], "c", browser

    state, code, browser = come_back()
    assert provider.finish(state, code, browser) == ("anna", "operator")
    with pytest.raises(EdgeloopError, match="not begun here"):
        provider.finish(state, code, browser)
    state, code, _ = come_back()
    with pytest.raises(EdgeloopError, match="not begun here"):
        provider.finish(state, code, "another browser")
    directory.claims = {"sub": "8", "groups": "visitors"}
    assert provider.finish(*come_back()) == ("8", "viewer")
    GROUPS["viewer"] = frozenset()
    try:
        with pytest.raises(EdgeloopError, match="no role here"):
            provider.finish(*come_back())
    finally:
        GROUPS["viewer"] = frozenset({"*"})


def test_an_issuer_without_tls_is_refused() -> None:
    with pytest.raises(EdgeloopError, match="not an issuer"):
        Provider(Settings("http://id.example", "page", "", "groups", GROUPS))


def test_a_person_comes_in_through_the_page(browser: Any, console: Any, directory: Directory, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the-client-s-secret\n")
    secret.chmod(0o600)
    line = console(
        oidc={"issuer": directory.issuer, "client": "page", "secret_file": str(secret), "operators": "shift"}
    )
    context = browser.new_context(locale="en-GB")
    try:
        page = context.new_page()
        page.goto(line.url)
        page.get_by_role("link", name="Log in by the plant's directory").click()
        page.get_by_role("heading", name="The line now").wait_for()
        assert page.evaluate("fetch('/api/v1/session').then((a) => a.json())") == {"name": "anna", "role": "operator"}
        assert directory.secrets == ["the-client-s-secret"]
        directory.claims = {"sub": "9", "groups": []}
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("link", name="Log in by the plant's directory").click()
        page.get_by_text("The directory did not let you in").wait_for()
        assert line.ask("/api/v1/session").status == 401
        assert "the-client-s-secret" not in line.logs() + (line.work("console") / "audit.jsonl").read_text()
    finally:
        context.close()
