"""A plan as a script of ``gcloud`` commands, for those without Terraform: each resource is created, or changed where it
is there already, so the script may be run again and again. It deletes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portable_gcp.infrastructure.script_front import front_lines, front_settings
from portable_gcp.infrastructure.tokens import escaped, replaced

__all__ = ["make_script"]

_HEAD = """\
#!/usr/bin/env bash
# {title}: everything it needs in a project. Written by `portable build`; safe to run again.
#
#     PROJECT=acme-prod bash deploy.sh
set -euo pipefail
cd "$(dirname "$0")"
{settings}
g() {{ gcloud --quiet --project="$PROJECT" "$@"; }}
there() {{ g "$@" >/dev/null 2>&1; }}
NUMBER="$(g projects describe "$PROJECT" --format='value(projectNumber)')"
export NUMBER
"""

Words = Sequence[str]


def make_script(plan: Mapping[str, Any]) -> str:
    """The text of ``deploy.sh``."""
    writer = _Script(plan)
    head = _HEAD.format(title=f"{plan['app']}, stage {plan['stage']}", settings="\n".join(writer.settings()))
    return "\n".join([head, *writer.lines()])


class _Script:
    def __init__(self, plan: Mapping[str, Any]) -> None:
        self._plan = plan
        self._runs = "functions" if plan["functions"] else "services"
        behind = {f"{one}_url" for one in plan["front"].get("functions", ())}  # they take traffic from it alone
        self._outputs = {name: value for name, value in plan["outputs"].items() if name not in behind}

    def settings(self) -> Iterator[str]:
        default = f":-{self._plan['project']}" if self._plan["project"] else ":?the id of the project"
        yield f'PROJECT="${{PROJECT{default}}}"'
        yield f'REGION="${{REGION:-{self._plan["region"]}}}"'
        for name, description in self._plan["variables"].items():
            yield f': "${{{_variable(name)}:?{description}}}"'
        if self._plan["front"]:
            yield from front_settings(self._plan["front"])

    def lines(self) -> Iterator[str]:
        plan = self._plan
        yield self._line("services", "enable", *plan["apis"])
        for kind in ("roles", "accounts", "buckets", "topics", "secrets", "databases"):
            for entry in plan[kind].values():
                yield from getattr(self, f"_{kind}")(entry)
        for entry in plan["fields"].values():
            yield from self._fields(entry)
        yield from self._bindings("bucket", "topic", "secret", "account", "project")
        for one, entry in plan[self._runs].items():
            yield from getattr(self, f"_{self._runs}")(one, entry)
        yield from self._bindings("service")
        for kind in ("subscriptions", "jobs", "triggers"):
            for entry in plan[kind].values():
                yield from getattr(self, f"_{kind}")(entry)
        yield from self._bindings("subscription")
        yield from self._logs(plan["logs"])
        for name, value in self._outputs.items():
            yield f"echo {self._word(name + ': ' + value)}"
        if plan["front"]:
            names = {one: entry["id"] for one, entry in plan[self._runs].items()}
            yield from front_lines(plan["front"], self._line, self._ensure, self._word, names.__getitem__)
        yield ""

    # --- words

    def _word(self, text: str) -> str:
        """A text in double quotes, its tokens as variables."""
        return f'"{replaced(text, self._stands_for, _literal)}"'

    def _stands_for(self, kind: str, one: str) -> str:
        plan = self._plan
        if kind in ("project", "region", "number"):
            return f"${{{kind.upper()}}}"
        if kind in ("variable", "uri"):
            return f"${{{_variable(one if kind == 'variable' else 'uri_' + one)}}}"
        if kind == "account":
            return f"{plan['accounts'][one]['id']}@${{PROJECT}}.iam.gserviceaccount.com"
        if kind in ("bucket", "databaseid"):
            entry = plan["buckets" if kind == "bucket" else "databases"][one]
            return str(replaced(entry["id"], self._stands_for, _literal))
        if kind == "service":
            return str(plan[self._runs][one]["id"])
        collection = {"topic": "topics", "subscription": "subscriptions", "secret": "secrets", "role": "roles"}
        path = collection.get(kind, "databases")
        return f"projects/${{PROJECT}}/{path}/{plan[path][one]['id']}"

    def _line(self, *words: str) -> str:
        shown = [one if one.isascii() and one.replace("-", "").isalnum() else self._word(one) for one in words]
        return " ".join(["g", *shown])

    def _ensure(self, look: Words, create: Words, update: Words = ()) -> Iterator[str]:
        if not update:
            yield f"there {self._line(*look)[2:]} || {self._line(*create)}"
            return
        yield f"if there {self._line(*look)[2:]}; then"
        yield f"  {self._line(*update)}"
        yield "else"
        yield f"  {self._line(*create)}"
        yield "fi"

    # --- by kind

    def _roles(self, entry: Mapping[str, Any]) -> Iterator[str]:
        group, name, body = ("iam", "roles"), entry["id"], entry["body"]
        flags = [f"--title={body['title']}", f"--permissions={','.join(body['includedPermissions'])}", "--stage=GA"]
        yield f"{self._line(*group, 'undelete', name)} >/dev/null 2>&1 || true"
        yield from self._ensure(
            [*group, "describe", name], [*group, "create", name, *flags], [*group, "update", name, *flags]
        )

    def _accounts(self, entry: Mapping[str, Any]) -> Iterator[str]:
        group, name = ("iam", "service-accounts"), entry["id"]
        email = f"{name}@${{project}}.iam.gserviceaccount.com"
        create = [*group, "create", name, f"--display-name={entry['body']['displayName']}"]
        yield from self._ensure([*group, "describe", email], create)

    def _buckets(self, entry: Mapping[str, Any]) -> Iterator[str]:
        group, name = ("storage", "buckets"), f"gs://{entry['id']}"
        create = [*group, "create", name, "--location=${region}", "--uniform-bucket-level-access"]
        yield from self._ensure([*group, "describe", name], [*create, "--public-access-prevention"])
        yield self._line(*group, "update", name, f"--update-labels={_labels(entry)}")

    def _topics(self, entry: Mapping[str, Any]) -> Iterator[str]:
        yield from self._labelled(("pubsub", "topics"), entry)

    def _secrets(self, entry: Mapping[str, Any]) -> Iterator[str]:
        yield from self._labelled(("secrets",), entry, "--replication-policy=automatic")

    def _labelled(self, group: Words, entry: Mapping[str, Any], *flags: str) -> Iterator[str]:
        name, labels = entry["id"], _labels(entry)
        yield from self._ensure(
            [*group, "describe", name],
            [*group, "create", name, *flags, f"--labels={labels}"],
            [*group, "update", name, f"--update-labels={labels}"],
        )

    def _databases(self, entry: Mapping[str, Any]) -> Iterator[str]:
        group, name = ("firestore", "databases"), f"--database={entry['id']}"
        create = [*group, "create", name, "--location=${region}", "--type=firestore-native", "--delete-protection"]
        yield from self._ensure([*group, "describe", name], create)

    def _fields(self, entry: Mapping[str, Any]) -> Iterator[str]:
        database = self._plan["databases"][entry["database"]]["id"]
        place = [f"--collection-group={entry['collection']}", f"--database={database}"]
        yield self._line("firestore", "indexes", "fields", "update", entry["field"], *place, "--disable-indexes")
        if "ttlConfig" in entry["body"]:
            yield self._line("firestore", "fields", "ttls", "update", entry["field"], *place, "--enable-ttl")

    def _subscriptions(self, entry: Mapping[str, Any]) -> Iterator[str]:
        group, name, body = ("pubsub", "subscriptions"), entry["id"], entry["body"]
        flags = [
            f"--ack-deadline={body['ackDeadlineSeconds']}",
            f"--message-retention-duration={body['messageRetentionDuration']}",
            "--expiration-period=never",
        ]
        if policy := body.get("deadLetterPolicy"):
            flags.append(f"--dead-letter-topic={policy['deadLetterTopic']}")
            flags.append(f"--max-delivery-attempts={policy['maxDeliveryAttempts']}")
        if retry := body.get("retryPolicy"):
            flags += [f"--min-retry-delay={retry['minimumBackoff']}", f"--max-retry-delay={retry['maximumBackoff']}"]
        if push := body.get("pushConfig"):
            flags.append(f"--push-endpoint={push['pushEndpoint']}")
            flags.append(f"--push-auth-service-account={push['oidcToken']['serviceAccountEmail']}")
            flags.append(f"--push-auth-token-audience={push['oidcToken']['audience']}")
        fixed = [f"--topic={body['topic']}", *(["--enable-message-ordering"] * bool(body.get("enableMessageOrdering")))]
        if "filter" in body:
            fixed.append(f"--message-filter={escaped(body['filter'])}")
        yield from self._ensure(
            [*group, "describe", name],
            [*group, "create", name, *fixed, *flags, f"--labels={_labels(entry)}"],
            [*group, "update", name, *flags, f"--update-labels={_labels(entry)}"],
        )

    def _functions(self, one: str, entry: Mapping[str, Any]) -> Iterator[str]:
        body = entry["body"]
        build, service = body["buildConfig"], body["serviceConfig"]
        place = [entry["id"], "--gen2", "--region=${region}"]
        flags = [
            f"--runtime={build['runtime']}",
            f"--entry-point={build['entryPoint']}",
            f"--source=../{entry['bundle'].removesuffix('.zip').replace('bundle-', 'bundle/', 1)}",
            "--trigger-http",
            "--no-allow-unauthenticated",
            f"--memory={service['availableMemory']}",
            f"--cpu={service['availableCpu']}",
            f"--timeout={service['timeoutSeconds']}s",
            f"--concurrency={service['maxInstanceRequestConcurrency']}",
            *_instances(service),
            f"--service-account={service['serviceAccountEmail']}",
            f"--build-service-account={build['serviceAccount']}",
            f"--ingress-settings={_INGRESS[service['ingressSettings']]}",
            f"--set-env-vars={_joined(service['environmentVariables'])}",
            f"--set-build-env-vars={_joined(build['environmentVariables'])}",
            f"--update-labels={_labels(entry)}",
        ]
        yield self._line("functions", "deploy", *place, *flags)
        yield from self._take_uri(one, entry["id"])

    def _services(self, one: str, entry: Mapping[str, Any]) -> Iterator[str]:
        body = entry["body"]
        template = body["template"]
        [container] = template["containers"]
        flags = [
            f"--image={container['image']}",
            "--no-allow-unauthenticated",
            f"--memory={container['resources']['limits']['memory']}",
            f"--cpu={container['resources']['limits']['cpu']}",
            f"--timeout={template['timeout']}",
            f"--concurrency={template['maxInstanceRequestConcurrency']}",
            *_instances(template["scaling"]),
            f"--service-account={template['serviceAccount']}",
            f"--ingress={_INGRESS[body['ingress']]}",
            f"--set-env-vars={_joined({one['name']: one['value'] for one in container['env']})}",
            f"--labels={_labels(entry)}",
        ]
        yield self._line("run", "deploy", entry["id"], "--region=${region}", *flags)
        yield from self._take_uri(one, entry["id"])

    def _take_uri(self, one: str, service: str) -> Iterator[str]:
        """The URL of what is called by it, into a variable. A function is a Cloud Run service of its name."""
        callers = json.dumps([self._plan["subscriptions"], self._plan["jobs"], self._outputs])
        if f"${{uri.{one}}}" in callers:
            look = self._line(
                "run", "services", "describe", service, "--region=${region}", "--format=value(status.url)"
            )
            yield f'{_variable("uri_" + one)}="$({look})"'

    def _jobs(self, entry: Mapping[str, Any]) -> Iterator[str]:
        group, body = ("scheduler", "jobs"), entry["body"]
        target = body["httpTarget"]
        flags = [
            "--location=${region}",
            f"--schedule={body['schedule']}",
            f"--time-zone={body['timeZone']}",
            f"--attempt-deadline={body['attemptDeadline']}",
            f"--uri={target['uri']}",
            "--http-method=POST",
            f"--oidc-service-account-email={target['oidcToken']['serviceAccountEmail']}",
            f"--oidc-token-audience={target['oidcToken']['audience']}",
        ]
        yield from self._ensure(
            [*group, "describe", entry["id"], "--location=${region}"],
            [*group, "create", "http", entry["id"], *flags],
            [*group, "update", "http", entry["id"], *flags],
        )

    def _triggers(self, entry: Mapping[str, Any]) -> Iterator[str]:
        group, body = ("eventarc", "triggers"), entry["body"]
        run = body["destination"]["cloudRun"]
        flags = [
            "--location=${region}",
            f"--destination-run-service={run['service']}",
            f"--destination-run-region={run['region']}",
            f"--service-account={body['serviceAccount']}",
        ]
        for one in body["eventFilters"]:
            kind = "event-filters-path-pattern" if "operator" in one else "event-filters"
            flags.append(f"--{kind}={one['attribute']}={one['value']}")
        if "eventDataContentType" in body:
            flags.append(f"--event-data-content-type={body['eventDataContentType']}")
        fixed = [f"--transport-topic={body['transport']['pubsub']['topic']}"] if "transport" in body else []
        yield from self._ensure(
            [*group, "describe", entry["id"], "--location=${region}"],
            [*group, "create", entry["id"], *flags, *fixed, f"--labels={_labels(entry)}"],
            [*group, "update", entry["id"], *flags, f"--update-labels={_labels(entry)}"],
        )

    def _bindings(self, *kinds: str) -> Iterator[str]:
        for binding in self._plan["bindings"].values():
            on, resource = binding["on"], binding["resource"]
            if on not in kinds:
                continue
            flags = [f"--member={binding['member']}", f"--role={binding['role']}"]
            if on not in ("topic", "subscription"):
                given = binding.get("condition")
                condition = f"expression={given['expression']},title={given['title']}" if given else "None"
                flags.append(f"--condition={condition}")
            if on == "service":
                flags.append("--region=${region}")
            named = {"bucket": f"gs://{resource}", "project": "${project}"}.get(on, resource)
            yield f"{self._line(*_GROUPS[on], 'add-iam-policy-binding', named, *flags)} >/dev/null"

    def _logs(self, logs: Mapping[str, Any]) -> Iterator[str]:
        place, days = "--location=${region}", f"--retention-days={logs['retentionDays']}"
        group = ("logging", "buckets")
        yield from self._ensure(
            [*group, "describe", logs["id"], place],
            [*group, "create", logs["id"], place, days],
            [*group, "update", logs["id"], place, days],
        )
        bucket = f"logging.googleapis.com/projects/${{project}}/locations/${{region}}/buckets/{logs['id']}"
        words = [logs["id"], bucket, f"--log-filter={logs['filter']}"]
        group = ("logging", "sinks")
        yield from self._ensure(
            [*group, "describe", logs["id"]], [*group, "create", *words], [*group, "update", *words]
        )


_GROUPS = {
    "bucket": ("storage", "buckets"),
    "topic": ("pubsub", "topics"),
    "subscription": ("pubsub", "subscriptions"),
    "secret": ("secrets",),
    "account": ("iam", "service-accounts"),
    "service": ("run", "services"),
    "project": ("projects",),
}
_INGRESS = {
    "ALLOW_ALL": "all",
    "ALLOW_INTERNAL_ONLY": "internal-only",
    "ALLOW_INTERNAL_AND_GCLB": "internal-and-gclb",
    "INGRESS_TRAFFIC_ALL": "all",
    "INGRESS_TRAFFIC_INTERNAL_ONLY": "internal",
    "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER": "internal-and-cloud-load-balancing",
}


def _literal(text: str) -> str:
    """A text between double quotes."""
    for special in ("\\", '"', "$", "`"):
        text = text.replace(special, f"\\{special}")
    return text


def _variable(name: str) -> str:
    """What is called so in the shell."""
    return name.upper().replace("-", "_")


def _labels(entry: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in entry["body"]["labels"].items())


def _instances(scaling: Mapping[str, Any]) -> list[str]:
    found = [f"--min-instances={scaling['minInstanceCount']}"]
    return [*found, f"--max-instances={scaling['maxInstanceCount']}"] if "maxInstanceCount" in scaling else found


def _joined(environment: Mapping[str, str]) -> str:
    """Variables with something between them that is in none, see ``gcloud topic escaping``."""
    pairs = [f"{name}={value}" for name, value in environment.items()]
    mark = next(one for one in ("@@", "||", "##", "%%", ";;") if not any(one in pair for pair in pairs))
    return f"^{mark}^{mark.join(pairs)}"
