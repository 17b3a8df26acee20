"""The load balancer of an app whose HTTP is split, as ``gcloud`` commands: what ``terraform_front`` makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["front_lines", "front_settings"]

Words = Sequence[str]
_COMPUTE = "https://www.googleapis.com/compute/v1/projects/${project}/global"
_SCHEME = "--load-balancing-scheme=EXTERNAL_MANAGED"
_CERTIFICATE = "${variable.certificate}"


def front_settings(front: Mapping[str, Any]) -> Iterator[str]:
    """The domain, and the name of its certificate: one cannot be changed, so another domain has another."""
    default = f":-{front['domain']}" if front["domain"] else ":?the domain of the HTTP front"
    yield f'DOMAIN="${{DOMAIN{default}}}"'
    yield f'CERTIFICATE="{front["certificate"]}-$(printf %s "$DOMAIN" | cksum | cut -d " " -f 1)"'


def front_lines(
    front: Mapping[str, Any],
    line: Callable[..., str],
    ensure: Callable[..., Iterator[str]],
    word: Callable[[str], str],
    service: Callable[[str], str],
) -> Iterator[str]:
    """The commands, in the order in which they need one another.

    Args:
        line: a command. ensure: how to look for something, to create and to change it. word: a text in quotes.
        service: the name of a function's Cloud Run service.
    """
    name = front["id"]
    look: Words = ("compute", "addresses", "describe", name, "--global")
    yield from ensure(look, ("compute", "addresses", "create", name, "--global"))
    for function, own in front["functions"].items():
        yield from _serving(own, service(function), line, ensure)
    yield f"{line('compute', 'url-maps', 'import', name, '--global')} <<URLMAP"
    yield _heredoc(json.dumps(_url_map(front), indent=2), word)
    yield "URLMAP"
    group = ("compute", "ssl-certificates")
    create: Words = (*group, "create", _CERTIFICATE, "--domains=${variable.domain}", "--global")
    yield from ensure((*group, "describe", _CERTIFICATE, "--global"), create)
    group, flags = ("compute", "target-https-proxies"), (f"--url-map={name}", f"--ssl-certificates={_CERTIFICATE}")
    yield from ensure(
        (*group, "describe", name, "--global"),
        (*group, "create", name, *flags, "--global"),
        (*group, "update", name, *flags, "--global"),
    )
    group = ("compute", "forwarding-rules")
    create = (*group, "create", name, "--global", _SCHEME, f"--address={name}", f"--target-https-proxy={name}")
    yield from ensure((*group, "describe", name, "--global"), (*create, "--ports=443"))
    yield f"echo {word('url: https://${variable.domain}')}"
    shown = line("compute", "addresses", "describe", name, "--global", "--format=value(address)")
    yield f'echo "address: $({shown})"'


def _serving(own: str, service: str, line: Callable[..., str], ensure: Callable[..., Iterator[str]]) -> Iterator[str]:
    """A function as something that a load balancer sends requests to."""
    group, place = ("compute", "network-endpoint-groups"), "--region=${region}"
    flags: Words = ("--network-endpoint-type=serverless", f"--cloud-run-service={service}")
    yield from ensure((*group, "describe", own, place), (*group, "create", own, place, *flags))
    group = ("compute", "backend-services")
    look = (*group, "describe", own, "--global")
    yield from ensure(look, (*group, "create", own, "--global", _SCHEME, "--protocol=HTTPS"))
    flags = (f"--network-endpoint-group={own}", "--network-endpoint-group-region=${region}")
    added = line(*group, "add-backend", own, "--global", *flags)
    yield f'[[ -n "$({line(*look, "--format=value(backends)")})" ]] || {added}'


def _url_map(front: Mapping[str, Any]) -> dict[str, Any]:
    """As https://cloud.google.com/compute/docs/reference/rest/v1/urlMaps has it."""

    def serving(function: str) -> str:
        return f"{_COMPUTE}/backendServices/{front['functions'][function]}"

    rules = []
    for position, rule in enumerate(front["rules"]):
        match: dict[str, Any] = {"pathTemplateMatch": rule["path"]}
        if "method" in rule:
            match["headerMatches"] = [{"headerName": ":method", "exactMatch": rule["method"]}]
        rules.append({"priority": position + 1, "matchRules": [match], "service": serving(rule["function"])})
    default = serving(front["default"])
    return {
        "name": front["id"],
        "defaultService": default,
        "hostRules": [{"hosts": ["*"], "pathMatcher": "routes"}],
        "pathMatchers": [{"name": "routes", "defaultService": default, "routeRules": rules}],
    }


def _heredoc(text: str, word: Callable[[str], str]) -> str:
    """A text in a here-document, where a quote is a quote."""
    return word(text)[1:-1].replace('\\"', '"')
