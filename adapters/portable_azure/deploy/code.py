"""Code into a Function App: its zip, to the site that takes deployments, or to the container it is run from.

https://learn.microsoft.com/azure/azure-functions/flex-consumption-how-to ("Deploy your code"): Flex takes it at
``/api/publish`` of its ``scm`` host; states of a deployment there are Kudu's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

from portable.deploy import Progress, Step
from portable.errors import DeployError
from portable_azure.build.infrastructure.template import API
from portable_azure.deploy import _sdk
from portable_azure.deploy.group import Group

__all__ = ["Publisher"]

_SUCCESS = 4
_ENDS = {-1: "cancelled", 3: "failed", 5: "in conflict with another", 6: "partly done"}
_WEB = "Microsoft.Web/sites"
_LATER = (404, 409, 502, 503)
"""What a new app's host answers until it is up, or while another deployment is under way."""

_TRIES = 30
_LOOKS = 360


class Publisher:
    """Publishes code. ``pause``: seconds between two tries, and between two looks. ``url_of``: from a host's name."""

    def __init__(self, group: Group, pause: float, url_of: Callable[[str], str]) -> None:
        self._group = group
        self._pause = pause
        self._url_of = url_of

    def publish(self, app: str, package: Path, progress: Progress) -> None:
        """Put a zip into an app on Flex, and wait until it is there. Raises DeployError with the reason."""
        progress(Step("code", app, "started", package.name))
        try:
            scm = self._host_of(app)
            self._wait(scm, app, self._send(scm, app, package))
        except DeployError as error:
            progress(Step("code", app, "failed", str(error)))
            raise
        progress(Step("code", app, "done"))

    def upload(self, app: str, url: str, package: Path, credential: Any, progress: Progress) -> None:
        """Put a zip where an app of the premium plan is run from, and have it read again."""
        progress(Step("code", app, "started", package.name))
        try:
            self._upload(url, package, credential)
            place = f"{self._group.id}/providers/{_WEB}/{app}/restart?api-version={API['Microsoft.Web']}"
            self._group.send("POST", place, what=f"code {app}")
        except DeployError as error:
            progress(Step("code", app, "failed", str(error)))
            raise
        progress(Step("code", app, "done"))

    def _upload(self, url: str, package: Path, credential: Any) -> None:
        try:
            _sdk.upload_blob(url, package, credential)
        except _sdk.vendor_error() as error:
            raise DeployError(
                f"code: {package.name} could not be written to {url}: {error}; whoever deploys to the premium plan "
                "needs the role Storage Blob Data Contributor there"
            ) from error

    def _host_of(self, app: str) -> str:
        place = f"{self._group.id}/providers/{_WEB}/{app}?api-version={API['Microsoft.Web']}"
        found = self._group.send("GET", place, what=f"code {app}").json()
        names = found.get("properties", {}).get("enabledHostNames") or ()
        host = next((name for name in names if ".scm." in name), f"{app}.scm.azurewebsites.net")
        return self._url_of(host)

    def _send(self, scm: str, app: str, package: Path) -> str:
        """The id of the deployment. Dependencies are in the zip, so nothing is built there."""
        url = f"{scm}/api/publish?RemoteBuild=false&Deployer=portable"
        content = package.read_bytes()
        answer = None
        for tried in range(_TRIES):
            sleep(self._pause if tried else 0)
            answer = self._ask("POST", url, app, content=content, headers={"Content-Type": "application/zip"})
            if answer.status_code in (200, 202):
                said = answer.json() if answer.content else "latest"
                return str(said.get("id", "latest") if isinstance(said, dict) else said)
            if answer.status_code not in _LATER:
                break
        raise _refused(app, answer)

    def _wait(self, scm: str, app: str, deployment: str) -> None:
        for _ in range(_LOOKS):
            answer = self._ask("GET", f"{scm}/api/deployments/{deployment}", app)
            found = answer.json() if answer.status_code in (200, 202) else {}
            status = found.get("status")
            if status == _SUCCESS:
                return
            if status in _ENDS:
                said = found.get("status_text") or found.get("message") or "no reason was given"
                raise DeployError(f"code {app}: the deployment {deployment} was {_ENDS[status]}: {said}")
            if answer.status_code >= 400 and answer.status_code not in _LATER:
                raise _refused(app, answer)
            sleep(self._pause)
        raise DeployError(f"code {app}: the deployment {deployment} did not end")

    def _ask(self, method: str, url: str, app: str, **options: Any) -> Any:
        try:
            return self._group.resources.send_request(_sdk.request(method, url, **options))
        except _sdk.vendor_error() as error:
            raise DeployError(f"code {app}: {error}") from error


def _refused(app: str, answer: Any) -> DeployError:
    return DeployError(f"code {app}: {answer.status_code} {answer.reason}: {answer.text().strip()[:2000]}")
