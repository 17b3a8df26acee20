"""Where each declared resource is: its address for a function, and what an IAM policy of it is set on."""

from __future__ import annotations

from portable.build.deployment import Deployment
from portable.drivers import address_variable
from portable.errors import ConfigError
from portable.manifest import FunctionRecord
from portable.resources.topic import subscription_name
from portable_gcp.bucket import parse_address
from portable_gcp.infrastructure.tokens import escaped

__all__ = ["Places", "local_id"]


def local_id(*parts: str) -> str:
    """What a resource is called in the infrastructure files, at every stage: ``queue_emails``. Injective: a declared
    name has no underscore.
    """
    return "_".join(parts)


class Places:
    """Addresses and policies of one deployment's resources, in tokens. What the user binds is as it is bound."""

    def __init__(self, deployment: Deployment) -> None:
        self._existing = deployment.existing
        self._manifest = deployment.manifest
        self._deployment = deployment

    def bound(self, kind: str, name: str) -> str | None:
        """The address of a resource that is there already, None for one that is to be made. Raises ConfigError."""
        text = self._existing.get(f"{kind}:{name}")
        if text is None:
            return None
        text = escaped(text)
        if kind == "bucket":
            return parse_address(text) if "://" in text else text
        if kind in ("queue", "topic", "sockets"):
            return text if text.startswith("projects/") else f"projects/${{project}}/topics/{text}"
        if kind == "secret":
            return text if text.startswith("projects/") else f"projects/${{project}}/secrets/{text}"
        if kind == "table" and text.count("/") != 5:
            wanted = "projects/PROJECT/databases/DATABASE/documents/COLLECTION"
            raise ConfigError(f"[tool.portable.resources] table:{name} is {wanted}, got {text!r}")
        return text

    # --- addresses

    def environment(self, function: FunctionRecord) -> dict[str, str]:
        """The address variables of what a function uses."""
        found: dict[str, str] = {}
        for key in function.uses:
            kind, _, name = key.partition(":")
            found[address_variable(kind, name)] = self._address(kind, name)
            if kind == "queue" and (dead := self.part("queue", name, "dead-topic")):
                found[address_variable("deadletter", name)] = dead
        pushed = (
            self._deployment.bundle_of(function.name).sources[function.name] == "pubsub-push"
        )  # Eventarc's subscription is Eventarc's to name
        for trigger in function.triggers if pushed else ():
            if topic := trigger.options.get("topic"):
                full, one = subscription_name(topic, function.name), local_id("topic", topic, function.name)
                found[address_variable("subscription", full)] = f"${{subscription.{one}}}"
                found[address_variable("subscriptiondeadletter", full)] = f"${{topic.{one}_dead}}"
        return found

    def _address(self, kind: str, name: str) -> str:
        bound = self.bound(kind, name)
        if kind == "bucket":
            return f"gs://{self.part('bucket', name, 'bucket')}"
        if kind == "queue" and bound is not None and self.handled(name):
            return f"{bound.partition('?')[0]}?subscription=${{subscription.{local_id('queue', name)}}}"
        if kind == "config" and bound is not None:
            return bound
        if kind == "cache":
            return bound or f"${{variable.{local_id('cache', name)}}}"
        if kind == "table":
            return bound or f"${{database.tables}}/documents/{name}"
        return self.part(kind, name, "secret" if kind in ("secret", "config") else "topic") if bound is None else bound

    # --- policies

    def part(self, kind: str, name: str, part: str) -> str:
        """What the policy of a part of a resource is set on (see ``portable_gcp.permissions``); "" for one that is not
        there: a queue of the user's without a handler has no dead letters of ours.
        """
        one, bound = local_id(kind, name), self.bound(kind, name)
        if part == "bucket":
            return bound or f"${{bucket.{one}}}"
        if part == "topic":
            return bound.partition("?")[0] if bound else f"${{topic.{one}}}"
        if part == "secret":
            if bound is not None:
                return bound.partition("/versions/")[0] if bound.startswith("projects/") else ""
            return f"${{secret.{one}}}"
        if part == "database":
            return bound.partition("/documents/")[0] if bound else "${database.tables}"
        if part == "subscription" and self._is_eventarcs(name):
            return ""
        if bound is not None and not self.handled(name):
            return self._bound_subscription(bound) if part == "subscription" else ""
        ours = {"subscription": f"${{subscription.{one}}}", "dead-letters": f"${{subscription.{one}_dead}}"}
        return ours.get(part, f"${{topic.{one}_dead}}")

    def _is_eventarcs(self, queue: str) -> bool:
        """Whether a queue's messages come through a subscription that is Eventarc's, and cannot be named."""
        handlers = [one.name for one in self._manifest.functions if queue in one.asks("queue")]
        return any(self._deployment.bundle_of(one).sources[one] == "pubsub-eventarc" for one in handlers)

    @staticmethod
    def _bound_subscription(address: str) -> str:
        from portable_gcp.queue import parse_address as parse_queue

        return parse_queue(address)[1]

    def collection(self, table: str) -> tuple[str, str]:
        """The id of a table's database, and its collection."""
        bound = self.bound("table", table)
        if bound is None:
            return "${databaseid.tables}", table
        _, _, _, database, _, collection = bound.split("/")
        return database, collection

    def handled(self, queue: str) -> bool:
        """Whether a function of the app takes the messages of a queue."""
        return any(queue in function.asks("queue") for function in self._manifest.functions)
