"""The load balancer of an app whose HTTP is split, as Terraform's resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["front_resources"]


def front_resources(front: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Type, name, body. HTTPS on the domain, with a certificate of Google's."""
    name = front["id"]
    found: dict[str, dict[str, dict[str, Any]]] = {
        "google_compute_global_address": {"front": {"name": name}},
        "google_compute_region_network_endpoint_group": {},
        "google_compute_backend_service": {},
        "google_compute_url_map": {"front": _url_map(front)},
        "google_compute_managed_ssl_certificate": {
            "front": {"name": name, "managed": {"domains": ["${variable.domain}"]}}
        },
        "google_compute_target_https_proxy": {
            "front": {
                "name": name,
                "url_map": "${front.google_compute_url_map}",
                "ssl_certificates": ["${front.google_compute_managed_ssl_certificate}"],
            }
        },
        "google_compute_global_forwarding_rule": {
            "front": {
                "name": name,
                "target": "${front.google_compute_target_https_proxy}",
                "ip_address": "${front.google_compute_global_address}",
                "port_range": "443",
                "load_balancing_scheme": "EXTERNAL_MANAGED",
            }
        },
    }
    for function, own in front["functions"].items():
        found["google_compute_region_network_endpoint_group"][function] = {
            "name": own,
            "region": "${region}",
            "network_endpoint_type": "SERVERLESS",
            "cloud_run": {"service": f"${{service.{function}}}"},
        }
        found["google_compute_backend_service"][function] = {
            "name": own,
            "load_balancing_scheme": "EXTERNAL_MANAGED",
            "protocol": "HTTPS",
            "backend": {"group": f"${{endpoints.{function}}}"},
        }
    return found


def _url_map(front: Mapping[str, Any]) -> dict[str, Any]:
    default = f"${{serving.{front['default']}}}"
    rules = []
    for position, rule in enumerate(front["rules"]):
        match: dict[str, Any] = {"path_template_match": rule["path"]}
        if "method" in rule:
            match["header_matches"] = [{"header_name": ":method", "exact_match": rule["method"]}]
        rules.append({"priority": position + 1, "match_rules": [match], "service": f"${{serving.{rule['function']}}}"})
    return {
        "name": front["id"],
        "default_service": default,
        "host_rule": [{"hosts": ["*"], "path_matcher": "routes"}],
        "path_matcher": [{"name": "routes", "default_service": default, "route_rules": rules}],
    }
