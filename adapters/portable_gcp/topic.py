"""Topics on Pub/Sub. The address is ``projects/P/topics/T``.

A function's subscription, ``projects/P/subscriptions/S`` in ``PORTABLE_SUBSCRIPTION_<TOPIC>_<FUNCTION>``, pushes
to the function, with the handler's filter; its dead letters are a topic with a subscription of its own, in
``PORTABLE_SUBSCRIPTIONDEADLETTER_<TOPIC>_<FUNCTION>``, in the form of a queue's address.
"""

from __future__ import annotations

from threading import Lock

from portable.drivers import address_variable, read_address
from portable.resources.topic import subscription_name
from portable_gcp.queue import PubSubQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from portable.drivers import SendFailure
    from portable.resources import Resource

__all__ = ["PubSubTopic", "filter_expression", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str]) -> PubSubTopic:
    """The driver of a declared topic. Raises ConfigError without an address."""
    return PubSubTopic(resource.name, environment)


def filter_expression(wanted: Mapping[str, Any]) -> str:
    """A handler's filter as Pub/Sub writes it: https://cloud.google.com/pubsub/docs/subscription-message-filter.

    A subscription's filter cannot be changed: another one takes another subscription.
    """
    return " AND ".join(_any_of(f"attributes.{_quoted(name)}", choices) for name, choices in wanted.items())


def _any_of(attribute: str, choices: Sequence[Any]) -> str:
    tests = [
        f"{attribute} = {_quoted(choice)}"
        if isinstance(choice, str)
        else f"hasPrefix({attribute}, {_quoted(choice['prefix'])})"
        for choice in choices
    ]
    return tests[0] if len(tests) == 1 else f"({' OR '.join(tests)})"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class PubSubTopic:
    """See ``portable.drivers.TopicDriver``. Safe under threads."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name = name
        self._environment = environment
        self._address = read_address("topic", name, environment)
        self._label = f"topic {name}"
        self._publishing = PubSubQueue(name, self._address, None, environment, label=self._label)
        self._subscriptions: dict[str, PubSubQueue] = {}
        self._opening = Lock()

    def publish(self, body: str, *, attributes: Mapping[str, str], group: str | None) -> str:
        """Publish one message; its id means that Pub/Sub holds it, and is what every subscriber sees."""
        return self._publishing.send(body, attributes=attributes, delay=None, group=group, dedup=None)

    def publish_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """Publish in as few requests as Pub/Sub takes. A request is accepted whole or not at all."""
        return self._publishing.send_many(bodies)

    def subscription(self, name: str) -> PubSubQueue:
        """One function's copies. Raises ConfigError without its address."""
        with self._opening:
            known = self._subscriptions.get(name)
            if known is None:
                full = subscription_name(self._name, name)
                own = read_address("subscription", full, self._environment)
                known = self._subscriptions[name] = PubSubQueue(
                    self._name,
                    f"{self._address}?subscription={own}",
                    self._environment.get(address_variable("subscriptiondeadletter", full)) or None,
                    self._environment,
                    label=self._label,
                )
        return known

    def native(self) -> Any:
        """``google.pubsub_v1.PublisherClient``."""
        return self._publishing.native()

    def close(self) -> None:
        """Close the connections; the next call opens them anew."""
        for queue in (self._publishing, *self._subscriptions.values()):
            queue.close()
