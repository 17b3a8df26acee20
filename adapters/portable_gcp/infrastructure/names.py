"""How a deployment's resources are called: the app, the stage, and what was declared."""

from __future__ import annotations

import hashlib
import re

from portable.build.deployment import Deployment
from portable.errors import ConfigError
from portable_gcp.capabilities import NAMES

__all__ = ["Names"]

# Most characters of a name: https://cloud.google.com/run/docs/deploying#service, …/iam/docs/service-accounts-create,
# …/storage/docs/buckets#naming (63, of which a project's id and a dash take up to 31), …/pubsub/docs/pubsub-basics,
# …/iam/docs/creating-custom-roles, …/firestore/docs/manage-databases, …/logging/docs/buckets.
_SERVICE, _ACCOUNT, _BUCKET, _TOPIC, _ROLE, _DATABASE, _TRIGGER = 49, 30, 32, 255, 64, 63, 63


class Names:
    """The names of one deployment. One that is too long is cut, and ends in a digest of the whole."""

    def __init__(self, deployment: Deployment) -> None:
        self._stem = f"{deployment.app}-{deployment.stage}"
        if re.search("google|g00gle", self._stem):
            raise ConfigError(
                f"app {deployment.app!r} at stage {deployment.stage!r}: Cloud Storage takes no bucket whose name holds "
                "'google'"
            )

    def service(self, function: str) -> str:
        """Of a function, which is its Cloud Run service's too."""
        return self._fitted(function, _SERVICE)

    def account(self, owner: str) -> str:
        """The id of a service account."""
        return self._fitted(owner, _ACCOUNT)

    def bucket(self, name: str) -> str:
        """Of a bucket: names of buckets are the whole world's, so the project comes first."""
        return "${project}-" + self._fitted(NAMES["bucket"].physical(name), _BUCKET)

    def topic(self, kind: str, name: str) -> str:
        """Of the topic of a queue, of sockets, or of a topic."""
        return self._fitted(NAMES[kind].physical(name), _TOPIC - len("-dead"))

    def subscription(self, topic: str, function: str) -> str:
        """Of a function's subscription of a topic."""
        return self._fitted(f"{NAMES['topic'].physical(topic)}-{function}", _TOPIC - len("-dead"))

    def secret(self, name: str) -> str:
        """Of a secret."""
        return self._fitted(NAMES["secret"].physical(name), _TOPIC)

    def config(self, name: str) -> str:
        """Of the secret that holds a config value."""
        return self._fitted(f"{name}-config", _TOPIC)

    def database(self) -> str:
        """Of the database that holds the app's tables."""
        return self._fitted("tables", _DATABASE)

    def collection(self, table: str) -> str:
        """Of a table, within the database."""
        return NAMES["table"].physical(table)

    def role(self, name: str) -> str:
        """The id of a role of the app's own, which takes no dash."""
        return self._fitted(name, _ROLE).replace("-", "_")

    def trigger(self, name: str) -> str:
        """Of a trigger of Eventarc's, a job of Cloud Scheduler's, a bucket and a sink of logs."""
        return self._fitted(name, _TRIGGER)

    def certificate(self) -> str:
        """The start of a certificate's name, which ends in a dash and ten digits."""
        return self._fitted("front", _TRIGGER - 11)

    def _fitted(self, name: str, most: int) -> str:
        whole = f"{self._stem}-{name}"
        if len(whole) <= most:
            return whole
        digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
        return f"{whole[: most - 9].rstrip('-_')}-{digest}"
