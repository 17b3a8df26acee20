"""Checks that API Gateway makes before the function: its own for tokens, and a Lambda authorizer that runs ours."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from portable import App, ConfigError, Depends, HTTPError
from portable.build.features import check_features
from portable.manifest import Manifest, describe_app
from portable.resources import set_platform
from portable.run.parts import Found
from portable.run.target import InvocationError, open_artifact
from portable.security import APIKey, BasicAuth, Claims, JWTBearer
from portable_aws._sdk import Client
from portable_aws.authorizer import entry
from portable_aws.build import TARGET
from portable_aws.gateway import authorizers_of
from portable_aws.run import RUNNER, AWSRunning, _Instance

ARN = "arn:aws:execute-api:eu-west-1:123456789012:abcdef123/test/GET/request/deep"


@pytest.fixture(scope="module")
def signer() -> tuple[Any, dict[str, Any]]:
    """A private key, and the set that has its public one."""
    private = rsa.generate_private_key(65537, 2048)
    public: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key()))
    return private, {"keys": [{**public, "kid": "one"}]}


def token_of(private: Any, **claims: Any) -> str:
    payload = {"sub": "ada", "aud": "shop", "exp": time.time() + 600, **claims}
    return jwt.encode(payload, private, "RS256", {"kid": "one"})


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, signer: Any) -> Iterator[Any]:
    module = ModuleType("guarded_shop")
    module.bearer = JWTBearer(audience="shop", jwks=signer[1], except_paths=["/open"])
    module.staff = module.bearer.requires("staff")
    module.basic = BasicAuth(lambda name, password: password == "right")
    module.broken = APIKey(lambda key: 1 / 0)
    monkeypatch.setitem(sys.modules, "guarded_shop", module)
    yield module
    set_platform(None)


def http_event(path: str = "/me", **headers: str) -> dict[str, Any]:
    """Of payload 2.0: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html"""
    return {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/GET/request",
        "identitySource": [headers.get("authorization", "")],
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "x"},
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "pathParameters": None,
        "stageVariables": None,
    }


def rest_event(**headers: str) -> dict[str, Any]:
    """Of a REST API: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html"""
    return {
        "type": "REQUEST",
        "methodArn": ARN,
        "resource": "/request/deep",
        "path": "/request/deep",
        "httpMethod": "GET",
        "headers": headers,
        "queryStringParameters": {},
        "pathParameters": {},
        "stageVariables": {},
        "requestContext": {
            "path": "/request/deep",
            "accountId": "123456789012",
            "resourceId": "05c7jb",
            "stage": "test",
            "requestId": "...",
            "identity": {"apiKey": "...", "sourceIp": "192.0.2.1"},
            "resourcePath": "/request/deep",
            "httpMethod": "GET",
            "apiId": "abcdef123",
        },
    }


class TestHTTPAPI:
    def test_a_token(self, module: Any, signer: Any) -> None:
        handler = entry("guarded_shop:bearer", "http-api")
        token = token_of(signer[0], scope="read write", roles=["a"], admin=True, level=3, nothing=None)
        answer = handler(http_event(authorization=f"Bearer {token}"), None)
        context = answer.pop("context")
        assert answer == {"isAuthorized": True}
        assert isinstance(context.pop("exp"), float)
        assert context == {
            "sub": "ada", "aud": "shop", "scope": "read write", "roles": '["a"]', "admin": True, "level": 3,
        }  # fmt: skip

    def test_refusals(self, module: Any, signer: Any) -> None:
        handler = entry("guarded_shop:staff", "http-api")
        for sent in ("", "Bearer x", f"Bearer {token_of(signer[0])}", f"Bearer {token_of(signer[0], exp=1)}"):
            assert handler(http_event(authorization=sent), None) == {"isAuthorized": False}
        assert handler(http_event(), None) == {"isAuthorized": False}
        allowed = handler(http_event(authorization=f"Bearer {token_of(signer[0], scope='staff')}"), None)
        assert allowed["isAuthorized"] is True

    def test_what_is_left_alone(self, module: Any) -> None:
        handler = entry("guarded_shop:bearer", "http-api")
        assert handler(http_event("/open"), None) == {"isAuthorized": True, "context": {}}

    def test_a_name(self, module: Any) -> None:
        sent = "Basic " + base64.b64encode(b"ada:right").decode()
        answer = entry("guarded_shop:basic", "http-api")(http_event(authorization=sent), None)
        assert answer == {"isAuthorized": True, "context": {"sub": "ada"}}

    def test_a_failure_refuses(self, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ZeroDivisionError):
            entry("guarded_shop:broken", "http-api")(http_event(**{"x-api-key": "x"}), None)
        monkeypatch.setattr(module.bearer, "verify", lambda token: (_ for _ in ()).throw(HTTPError(503, "no keys")))
        with pytest.raises(HTTPError, match="503"):
            entry("guarded_shop:bearer", "http-api")(http_event(authorization="Bearer x"), None)

    def test_what_is_no_check(self, module: Any) -> None:
        module.app = App("shop")
        with pytest.raises(ConfigError, match=r"is no Guard.*guarded_shop:bearer"):
            entry("guarded_shop:app", "http-api")


class TestRESTAPI:
    def test_a_policy_for_the_stage(self, module: Any, signer: Any) -> None:
        handler = entry("guarded_shop:bearer", "rest-api")
        answer = handler(rest_event(Authorization=f"Bearer {token_of(signer[0])}"), None)
        assert answer["principalId"] == "ada"
        assert answer["policyDocument"] == {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow",
                    "Resource": "arn:aws:execute-api:eu-west-1:123456789012:abcdef123/test/*",
                }
            ],
        }
        assert all(isinstance(value, (str, int, float)) for value in answer["context"].values())

    def test_401_and_403(self, module: Any, signer: Any) -> None:
        handler = entry("guarded_shop:staff", "rest-api")
        with pytest.raises(Exception, match=r"^Unauthorized$"):
            handler(rest_event(), None)
        denied = handler(rest_event(Authorization=f"Bearer {token_of(signer[0])}"), None)
        assert denied["policyDocument"]["Statement"][0]["Effect"] == "Deny"
        assert denied["context"] == {}


# --- the declaration


def described(**options: Any) -> Manifest:
    app = App("shop")
    bearer = JWTBearer(**{"issuer": "https://id.example/", "audience": ["shop", "till"], **options})
    app.get("/health")(lambda: "well")

    def me(claims: Any) -> str: ...

    def gone(user: int) -> None: ...

    me.__annotations__ = {"claims": Depended(bearer)}
    app.get("/me")(me)
    app.delete("/users/{user:int}", dependencies=[Depends(bearer.requires("admin"))])(gone)
    app.get("/files/{rest:path}", dependencies=[Depends(bearer)])(lambda rest: rest)
    app.get("/key", dependencies=[Depends(APIKey(lambda key: key))])(lambda: "in")
    return describe_app(app, "shop:app", Path(__file__).parent)


class Depended:
    """``Annotated[Claims, Depends(guard)]``."""

    def __init__(self, guard: Any) -> None:
        self.__origin__ = Claims
        self.__metadata__ = (Depends(guard),)


def test_declaration() -> None:
    found = authorizers_of(described(), "http-api")
    reference = {"AuthorizationType": "JWT", "AuthorizerId": {"Ref": "BearerAuthorizer"}}
    assert found["routes"] == {
        "GET /me": reference,
        "DELETE /users/{user}": {**reference, "AuthorizationScopes": ["admin"]},
        "GET /files/{rest+}": reference,
    }
    assert found["cloudformation"] == {
        "Resources": {
            "BearerAuthorizer": {
                "Type": "AWS::ApiGatewayV2::Authorizer",
                "Properties": {
                    "ApiId": {"Ref": "HttpApi"},
                    "AuthorizerType": "JWT",
                    "IdentitySource": ["$request.header.Authorization"],
                    "JwtConfiguration": {"Audience": ["shop", "till"], "Issuer": "https://id.example/"},
                    "Name": "bearer",
                },
            }
        }
    }
    scheme = found["openapi"]["components"]["securitySchemes"]["bearer"]
    assert scheme["x-amazon-apigateway-authorizer"]["jwtConfiguration"] == {
        "issuer": "https://id.example/",
        "audience": ["shop", "till"],
    }
    assert list(found["left"]) == ["api-key"]
    assert authorizers_of(described(), "function-url") == {}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"audience": None}, "an audience"),
        ({"jwks": "https://id.example/keys"}, "discovery document"),
        ({"algorithms": ["ES256"]}, "RSA"),
        ({"audience_claim": "azp"}, "azp"),
        ({"issuer": App("x").config("issuer", str)}, "one issuer"),
    ],
)
def test_what_api_gateway_cannot_check(options: dict[str, Any], why: str) -> None:
    found = authorizers_of(described(**options), "http-api")
    assert why in found["left"]["bearer"]
    assert found["routes"] == {}


def test_roles_of_another_claim_are_for_the_function() -> None:
    found = authorizers_of(described(roles="cognito:groups"), "http-api")
    assert "AuthorizationScopes" not in found["routes"]["DELETE /users/{user}"]


def test_api_gateway_takes_it(account: Any) -> None:
    """moto checks against AWS's own service model, and keeps what it is given."""
    found = authorizers_of(described(), "http-api")
    client = Client("apigatewayv2", account.environment)
    gateway = client.get()
    api = gateway.create_api(Name="shop", ProtocolType="HTTP")["ApiId"]
    made = {}
    for logical, resource in found["cloudformation"]["Resources"].items():
        properties = {**resource["Properties"], "ApiId": api}
        made[logical] = gateway.create_authorizer(**properties)["AuthorizerId"]
    for key, route in found["routes"].items():
        chosen = {**route, "AuthorizerId": made[route["AuthorizerId"]["Ref"]]}
        gateway.create_route(ApiId=api, RouteKey=key, **chosen)
    kept = {route["RouteKey"]: route for route in gateway.get_routes(ApiId=api)["Items"]}
    assert kept["DELETE /users/{user}"]["AuthorizationScopes"] == ["admin"]
    authorizer = gateway.get_authorizer(ApiId=api, AuthorizerId=made["BearerAuthorizer"])
    assert authorizer["JwtConfiguration"] == {"Audience": ["shop", "till"], "Issuer": "https://id.example/"}
    client.close()


class TestSetting:
    def test_a_module_for_the_authorizer(self) -> None:
        [bundle] = TARGET.bundles(described(), {"authorizer": "shop:bearer", "http": "rest-api"})
        assert b"entry('shop:bearer', 'rest-api')" in bundle.files["portable_authorizer.py"]
        assert "portable_authorizer.py" not in TARGET.bundles(described(), {})[0].files

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"authorizer": "shop:nothing"}, "no such check"),
            ({"authorizer": 7}, "no such check"),
            ({"authorizer": "shop:bearer", "http": "function-url"}, "function-url asks no Lambda authorizer"),
        ],
    )
    def test_mistakes(self, settings: dict[str, Any], says: str) -> None:
        manifest = described()
        assert not list(check_features(manifest, TARGET))
        assert any(says in finding.message for finding in TARGET.check(manifest, settings))


# --- under AWS's own runtime client

APP = """
from typing import Annotated

from portable import App, Depends
from portable.security import Claims, JWTBearer

app = App("shop")
bearer = JWTBearer(audience="shop", jwks={jwks!r})


@app.get("/me")
def me(claims: Annotated[Claims, Depends(bearer)]) -> str:
    return claims.subject
"""


@pytest.mark.slow
def test_under_awslambdaric(require_part: Callable[..., Found], signer: Any, tmp_path: Path) -> None:
    for name, python in (("python", "3.13"), ("aws-lambda-rie", None), ("awslambdaric", "3.13")):
        require_part(name, python)
    (tmp_path / "app.py").write_text(APP.format(jwks=signer[1]))
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "probe"\nversion = "0"\n[tool.portable.aws]\nauthorizer = "app:bearer"\n'
    )
    command = [sys.executable, "-m", "portable.cli", "build", "--target", "aws", "--for-here", "--python", "3.13"]
    done = subprocess.run([*command, "--project", tmp_path], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    artifact = open_artifact(tmp_path / "dist" / "aws")
    running = RUNNER.start(artifact, {"AWS_REGION": "eu-west-1"}, tmp_path / "log")
    assert isinstance(running, AWSRunning)
    with contextlib.closing(running):
        program, environment, bundle = running._command(artifact.manifest.function("http"))
        program[-1] = "portable_authorizer.handler"
        environment["AWS_LAMBDA_FUNCTION_NAME"] = "authorizer"
        authorizer = _Instance("authorizer", (program, environment, bundle), tmp_path / "log")
        try:
            bearing = {"authorization": f"Bearer {token_of(signer[0])}"}
            allowed = authorizer.invoke(http_event(**bearing), 60)
            assert (allowed["isAuthorized"], allowed["context"]["sub"]) == (True, "ada")
            assert authorizer.invoke(http_event(authorization="Bearer x"), 60) == {"isAuthorized": False}
            answer = running.invoke("http", http_event(**bearing), timeout=60)
            assert (answer["statusCode"], answer["body"]) == (200, "ada")
            assert running.invoke("http", http_event(), timeout=60)["statusCode"] == 401
            with pytest.raises(InvocationError, match="rawPath"):
                authorizer.invoke({"version": "2.0", "requestContext": {"http": {"method": "GET"}}}, 60)
        finally:
            authorizer.stop()
