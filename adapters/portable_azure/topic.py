"""Topics on Azure Service Bus. The address is ``sb://NAMESPACE.servicebus.windows.net/TOPIC``.

A function's subscription is ``sb://NAMESPACE.servicebus.windows.net/TOPIC/Subscriptions/NAME`` in
``PORTABLE_SUBSCRIPTION_<TOPIC>_<FUNCTION>``, with a rule for the handler's filter. Its dead letters are its own, or in
the queue that ``PORTABLE_SUBSCRIPTIONDEADLETTER_<TOPIC>_<FUNCTION>`` names, which they are forwarded to: only such a
queue can be sent to, as ``Reject`` does.
"""

from __future__ import annotations

from threading import Lock

from portable.drivers import address_variable, read_address
from portable.errors import UnsupportedError
from portable.resources.topic import subscription_name
from portable_azure.servicebus_queue import ServiceBusQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from typing import Any

    from portable.drivers import Received, SendFailure
    from portable.resources import Resource

__all__ = ["ServiceBusSubscription", "ServiceBusTopic", "filter_rule", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str]) -> ServiceBusTopic:
    """The driver of a declared topic. Raises ConfigError without an address."""
    return ServiceBusTopic(resource.name, environment, resource.options)


def filter_rule(wanted: Mapping[str, Any]) -> str:
    """A handler's filter as the condition of a Service Bus rule.

    https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter
    """
    return " AND ".join(_any_of(f"[{name}]", choices) for name, choices in wanted.items())


def _any_of(name: str, choices: Sequence[Any]) -> str:
    exact = ", ".join(_quoted(choice) for choice in choices if isinstance(choice, str))
    tests = [f"{name} IN ({exact})"] if exact else []
    for choice in choices:
        if not isinstance(choice, str):
            prefix = "".join(f"\\{one}" if one in "\\%_" else one for one in choice["prefix"])
            tests.append(f"{name} LIKE {_quoted(prefix + '%')} ESCAPE '\\'")
    return tests[0] if len(tests) == 1 else f"({' OR '.join(tests)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class _Publishing(ServiceBusQueue):
    """The sending half of a topic."""

    way_out = "put it into a bucket, and publish its key"

    def __init__(self, name: str, address: str, environment: Mapping[str, str], options: Mapping[str, Any]) -> None:
        super().__init__(name, address, None, environment, options)
        self._resource = f"topic {name}"


class ServiceBusSubscription(ServiceBusQueue):
    """One function's copies. What is failed comes back at once: nothing can be sent to a subscription alone."""

    def __init__(
        self,
        name: str,
        address: str,
        dead_letters: str | None,
        environment: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(name, address, dead_letters, environment, options)
        self._resource = f"topic {name}"

    def retry(self, received: Received, after: timedelta | None) -> None:  # noqa: ARG002
        """At once, whatever ``after`` says."""
        super().retry(received, None)

    def redrive(self, limit: int | None) -> int:  # noqa: ARG002
        """Raises UnsupportedError: a letter that is published again would reach the other subscriptions too."""
        raise UnsupportedError("dead letters of a subscription cannot be sent again", resource=self._resource)


class ServiceBusTopic:
    """See ``portable.drivers.TopicDriver``. Safe under threads."""

    def __init__(self, name: str, environment: Mapping[str, str], options: Mapping[str, Any]) -> None:
        self._name = name
        self._environment = environment
        self._options = options
        self._publishing = _Publishing(name, read_address("topic", name, environment), environment, options)
        self._subscriptions: dict[str, ServiceBusSubscription] = {}
        self._opening = Lock()

    def publish(self, body: str, *, attributes: Mapping[str, str], group: str | None) -> str:
        """The id is what every subscriber sees."""
        return self._publishing.send(body, attributes=attributes, delay=None, group=group, dedup=None)

    def publish_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """In batches as large as the namespace takes; of an ordered topic, one by one: a batch has one session."""
        return self._publishing.send_many(bodies)

    def subscription(self, name: str) -> ServiceBusSubscription:
        """One function's copies. Raises ConfigError without its address."""
        with self._opening:
            known = self._subscriptions.get(name)
            if known is None:
                full = subscription_name(self._name, name)
                address = read_address("subscription", full, self._environment)
                dead = self._environment.get(address_variable("subscriptiondeadletter", full)) or None
                known = ServiceBusSubscription(self._name, address, dead, self._environment, self._options)
                self._subscriptions[name] = known
        return known

    def native(self) -> Any:
        """The ``azure.servicebus.ServiceBusClient``."""
        return self._publishing.native()

    def close(self) -> None:
        """Close every connection; what is in hand comes back when its lock ends."""
        for one in (self._publishing, *self._subscriptions.values()):
            one.close()
