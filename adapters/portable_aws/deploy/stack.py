"""A CloudFormation stack: its change set, its events while it changes, and its end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from portable.build.project import nearest
from portable.deploy import Change, Place, Progress, Step
from portable.drivers import address_variable
from portable.errors import ConfigError, DeployError
from portable.run.target import Artifact
from portable_aws import limits
from portable_aws.deploy.account import Account, code_of, is_passing
from portable_aws.deploy.data import lost_by
from portable_aws.infrastructure import TEMPLATE
from portable_aws.infrastructure.functions import ARTIFACTS_BUCKET, key_parameter
from portable_aws.infrastructure.names import logical

__all__ = ["Stack"]

_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")
_GONE = "DELETE_COMPLETE"
_NEVER_MADE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
_STUCK = ("UPDATE_ROLLBACK_FAILED",)
_EMPTY = "REVIEW_IN_PROGRESS"  # made for a change set that nobody has executed
_EMPTY_SECONDS = 60.0  # that its end may take
_OVERTAKEN = ("InvalidChangeSetStatus", "ChangeSetNotFound", "InvalidChangeSetStatusException")
_NOTHING = ("didn't contain changes", "no updates are to be performed", "no changes")
_ACTIONS: Mapping[str, Any] = {"Add": "create", "Modify": "update", "Remove": "delete", "Import": "create"}
_WAITS = (0.2, 5.0)  # seconds between two looks, at first and at most
_LONGEST = 3600.0  # seconds that CloudFormation may take
_PATIENCE = 20  # looks one after another that AWS was too busy for, or that did not reach it


class Stack:
    """The stack of an app at a stage. Raises ConfigError for an artifact without a template."""

    def __init__(self, account: Account, artifact: Artifact, place: Place) -> None:
        self._account, self._artifact, self._place = account, artifact, place
        self.name: str = place.settings.get("stack") or f"{artifact.manifest.app}-{place.stage}"
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"a stack cannot be called {self.name!r}: a letter, then letters, digits and dashes, 128 at most; "
                '[tool.portable.aws] stack = "…"'
            )
        self._template = _template(artifact)

    @property
    def wanted(self) -> dict[str, Any]:
        """The resources of the template."""
        found: dict[str, Any] = self._template["Resources"]
        return found

    def _call(self, method: str, **arguments: Any) -> Any:
        return self._account.call("cloudformation", method, **arguments)

    def _described(self) -> dict[str, Any] | None:
        try:
            found = self._call("describe_stacks", StackName=self.name)["Stacks"]
        except DeployError as error:
            if _is_missing(error):
                return None
            raise
        told: dict[str, Any] | None = next((one for one in found if one["StackStatus"] != _GONE), None)
        marks = {one["Key"]: one["Value"] for one in (told or {}).get("Tags", ())}
        if any(marks.get(key, value) != value for key, value in self._tags.items()):  # two pairs may make one name
            raise DeployError(
                f"stack {self.name} is of app {marks.get('portable:app')}, stage {marks.get('portable:stage')}: "
                'another name, stack = "…" in [tool.portable.aws]'
            )
        return told

    @property
    def _tags(self) -> dict[str, str]:
        return {"portable:app": self._artifact.manifest.app, "portable:stage": self._place.stage}

    def _settled(self) -> dict[str, Any] | None:
        """The stack, None where there is none that can be updated."""
        stack = self._described()
        status = stack["StackStatus"] if stack else _GONE
        if status in _STUCK:
            raise DeployError(
                f"stack {self.name} is {status}, and takes no change: mend what its events name, then aws "
                f"cloudformation continue-update-rollback --stack-name {self.name}, with --resources-to-skip for what "
                "cannot be mended"
            )
        if status.endswith("_IN_PROGRESS") and status != _EMPTY:
            raise DeployError(f"stack {self.name} is {status}: another deployment is under way; wait for its end")
        return stack

    # --- what goes up

    def upload(self, progress: Progress) -> None:
        """Every zip that a function is deployed from, under a key made from its bytes."""
        zips = self._zips()
        if zips:
            self._account.make_artifacts()
        for name, key in zips.items():
            step = Step("zip", name, "started", f"s3://{self._account.artifacts}/{key}")
            progress(step)
            new = self._account.upload(key, self._artifact.folder / name)
            progress(Step("zip", name, "done", "" if new else "there already"))

    def _zips(self) -> dict[str, str]:
        """The zips that the template has a key of, each with that key."""
        parameters = self._template.get("Parameters", {})
        names = sorted({f"bundle-{name}.zip" if name else "bundle.zip" for name in self._artifact.bundles})
        return {name: parameters[key]["Default"] for name in names if (key := key_parameter(name)) in parameters}

    def _parameters(self, stack: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        declared: Mapping[str, Any] = self._template.get("Parameters", {})
        chosen = self._chosen(declared)
        before = {one["ParameterKey"] for one in (stack or {}).get("Parameters", ())}
        found: list[dict[str, Any]] = []
        for name, parameter in declared.items():
            if name in chosen:
                found.append({"ParameterKey": name, "ParameterValue": chosen[name]})
            elif "Default" in parameter:
                continue
            elif name in before:
                found.append({"ParameterKey": name, "UsePreviousValue": True})
            else:
                raise ConfigError(
                    f"{parameter.get('Description', name)}: nobody says it; [tool.portable.aws.parameters] "
                    f'{name} = "…"{self._variable(name)}'
                )
        return found

    def _chosen(self, declared: Collection[str]) -> dict[str, str]:
        chosen: dict[str, str] = {}
        asked = self._place.settings.get("parameters", {})
        if not isinstance(asked, Mapping):
            raise ConfigError(f"[tool.portable.aws.parameters] is a table of texts, got {asked!r}")
        for name, value in asked.items():
            if name not in declared:
                raise ConfigError(f"[tool.portable.aws.parameters] {name}: no such parameter{nearest(name, declared)}")
            chosen[name] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for name in declared:
            variable = self._variables().get(name)
            if variable and (value := self._place.environment.get(variable)):
                chosen[name] = value
        if ARTIFACTS_BUCKET in declared:
            chosen.setdefault(ARTIFACTS_BUCKET, self._account.artifacts)
        return chosen

    def _variables(self) -> dict[str, str]:
        """The variable that may say a parameter: an address with a password is in no file."""
        caches = [one.name for one in self._artifact.manifest.of_kind("cache")]
        return {logical(name, "CacheAddress"): address_variable("cache", name) for name in caches}

    def _variable(self, name: str) -> str:
        variable = self._variables().get(name)
        return f", or the variable {variable}" if variable else ""

    # --- changing

    def preview(self) -> list[Change]:
        """What a change set says. It is deleted, and so is the empty stack that it was made for."""
        stack = self._settled()
        if stack is not None and stack["StackStatus"] in _NEVER_MADE:
            why = f"it is {stack['StackStatus']}, and can only be deleted; what holds data stays"
            made = [Change("create", one["Type"], name) for name, one in self._template["Resources"].items()]
            return [Change("delete", "AWS::CloudFormation::Stack", self.name, why), *made]
        named = self._make_change_set(stack)
        try:
            return list(self._changes(named))
        finally:
            self._discard(named, stack)

    def _discard(self, named: Mapping[str, str], stack: Mapping[str, Any] | None) -> None:
        """Delete a change set, and the empty stack that it was made for, unless somebody else's is in it."""
        self._call("delete_change_set", **named)
        if stack is not None and stack["StackStatus"] != _EMPTY:
            return
        others = self._call("list_change_sets", StackName=self.name)["Summaries"]
        if any(one["ChangeSetName"] != named["ChangeSetName"] for one in others):
            return
        self._call("delete_stack", StackName=self.name)
        for _ in _looks(_EMPTY_SECONDS):  # else the next would find it being deleted
            if self._described() is None:
                return

    def _make_change_set(self, stack: Mapping[str, Any] | None) -> dict[str, str]:
        body = json.dumps(self._template, separators=(",", ":"))
        template = {"TemplateBody": body}
        if len(body.encode()) > limits.TEMPLATE_INLINE_BYTES:
            template = {"TemplateURL": self._account.upload_template(self._artifact.manifest.app, body)}
        is_new = stack is None or stack["StackStatus"] == _EMPTY
        named = {"StackName": self.name, "ChangeSetName": f"portable-{time.time_ns()}"}
        self._call(
            "create_change_set",
            **named,
            **template,
            ChangeSetType="CREATE" if is_new else "UPDATE",
            Parameters=self._parameters(None if is_new else stack),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            Tags=[{"Key": key, "Value": value} for key, value in self._tags.items()],
        )
        return named

    def _changes(self, named: Mapping[str, str]) -> Iterator[Change]:
        """The changes, once they are known; none where there is nothing to change."""
        for _ in _looks():
            told = self._call("describe_change_set", **named)
            if told["Status"] == "FAILED":
                reason = told.get("StatusReason", "")
                if any(text in reason.lower() for text in _NOTHING):
                    return
                raise DeployError(f"stack {self.name}: {reason or 'the change set failed'}")
            if told["Status"] == "CREATE_COMPLETE":
                break
        else:
            raise DeployError(f"stack {self.name}: the change set is not ready after {_LONGEST:.0f} s")
        while True:
            for change in told.get("Changes", ()):
                found = change["ResourceChange"]
                yield _change(found, lost_by(self._account, found, self.wanted))
            if not told.get("NextToken"):
                return
            told = self._call("describe_change_set", **named, NextToken=told["NextToken"])

    def apply(self, progress: Progress) -> None:
        """Execute a change set and tell what becomes of each resource. Raises DeployError with the first failure."""
        stack = self._settled()
        if stack is not None and stack["StackStatus"] in _NEVER_MADE:
            self.delete(progress)
            stack = None
        named = self._make_change_set(stack)
        try:
            wanted = list(self._changes(named))
        except BaseException:
            self._discard(named, stack)
            raise
        if not wanted:
            self._discard(named, stack)
            return
        seen = set(self._events(self.name))
        try:
            self._call("execute_change_set", **named)
        except DeployError as error:
            if code_of(error.__cause__) in _OVERTAKEN:
                again = "somebody else has changed the stack meanwhile; run the command again"
                raise DeployError(f"stack {self.name}: {again}") from error
            raise
        status = self._watch(self.name, seen, progress)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise DeployError(f"stack {self.name} is {status}")

    def delete(self, progress: Progress) -> None:
        """Delete it, where it is there. Raises DeployError with the first resource that could not be deleted."""
        stack = self._described()
        if stack is None:
            return
        called = stack["StackId"]
        seen = set(self._events(called))
        self._call("delete_stack", StackName=self.name)
        status = self._watch(called, seen, progress)
        if status != _GONE:
            raise DeployError(f"stack {self.name} is {status}")

    def _events(self, stack: str) -> dict[str, dict[str, Any]]:
        """By id, the oldest first; none where it is gone altogether."""
        found: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            try:
                told = self._call("describe_stack_events", StackName=stack, **more)
            except DeployError as error:
                if _is_missing(error):
                    return {}
                raise
            found += told["StackEvents"]
            if not told.get("NextToken"):
                return {one["EventId"]: one for one in reversed(found)}
            more = {"NextToken": told["NextToken"]}

    def _watch(self, stack: str, seen: set[str], progress: Progress) -> str:
        """As :meth:`_follow`. Where it cannot look on, raises DeployError saying that CloudFormation goes on."""
        try:
            return self._follow(stack, seen, progress)
        except (KeyboardInterrupt, ConfigError) as error:
            why = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
            raise DeployError(
                f"{why}. CloudFormation goes on with stack {self.name} by itself: `aws cloudformation "
                f"describe-stack-events --stack-name {self.name}` tells how, `cancel-update-stack` takes an update "
                "back, and this command can be run again at its end"
            ) from error

    def _follow(self, stack: str, seen: set[str], progress: Progress) -> str:
        """Until it is settled; its status. Raises DeployError naming the first resource that failed, and why."""
        first: Step | None = None
        status, missed = "", 0
        for _ in _looks():
            try:
                status, events = self._status(stack), self._events(stack)
            except DeployError as error:
                missed += 1
                if missed > _PATIENCE or not is_passing(error.__cause__):
                    raise
                continue  # what is under way does not end because nobody looks
            missed = 0
            for name, event in events.items():
                if name in seen:
                    continue
                seen.add(name)
                step = _step(event)
                progress(step)
                cancelled = "cancelled" in step.detail.lower()
                if step.state == "failed" and first is None and not cancelled and step.name != self.name:
                    first = step
            if not status.endswith("_IN_PROGRESS"):
                break
        if first is not None:
            raise DeployError(
                f"{first.kind} {first.name}: {first.detail or 'it failed'}; stack {self.name} is {status}"
            )
        return status

    def _status(self, stack: str) -> str:
        try:
            found = self._call("describe_stacks", StackName=stack)["Stacks"]
        except DeployError as error:
            if _is_missing(error):
                return _GONE
            raise
        return str(found[0]["StackStatus"]) if found else _GONE

    # --- what there is

    def outputs(self) -> dict[str, str]:
        """The template's outputs."""
        return {one["OutputKey"]: one["OutputValue"] for one in (self._described() or {}).get("Outputs", ())}

    def resources(self) -> list[tuple[str, str, str]]:
        """Type, logical and physical id of each resource."""
        if self._described() is None:
            return []
        found: list[tuple[str, str, str]] = []
        more: dict[str, str] = {}
        while True:
            told = self._call("list_stack_resources", StackName=self.name, **more)
            found += [
                (one["ResourceType"], one["LogicalResourceId"], one["PhysicalResourceId"])
                for one in told["StackResourceSummaries"]
                if one.get("PhysicalResourceId") and one["ResourceStatus"] != _GONE
            ]
            if not told.get("NextToken"):
                return found
            more = {"NextToken": told["NextToken"]}


def _template(artifact: Artifact) -> dict[str, Any]:
    file = artifact.folder / "infra" / TEMPLATE
    if not file.is_file():
        raise ConfigError(
            f"{artifact.folder} has no infra/{TEMPLATE}: `portable build --target aws` writes it; what --iac wrote "
            "for another tool, that tool deploys"
        )
    import yaml

    found: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    return found


def _is_missing(error: DeployError) -> bool:
    """Whether CloudFormation says that there is no such stack: it has no code of its own for that."""
    return code_of(error.__cause__) == "ValidationError" and "does not exist" in str(error.__cause__)


def _change(told: Mapping[str, Any], loses: str) -> Change:
    action, detail = _ACTIONS.get(told["Action"], "update"), ""
    if told["Action"] == "Modify":
        if told.get("Replacement") == "True":
            action = "replace"
        elif told.get("Replacement") == "Conditional":
            detail = "may be replaced"
    elif told.get("PolicyAction") == "Retain":
        action, detail = "delete", "leaves the stack, and stays"
    return Change(action, told["ResourceType"], told["LogicalResourceId"], detail, loses)


def _step(event: Mapping[str, Any]) -> Step:
    status, reason = event["ResourceStatus"], event.get("ResourceStatusReason") or ""
    state = "failed" if status.endswith("_FAILED") else "done" if status.endswith("_COMPLETE") else "started"
    what = {"DELETE": "deleting", "UPDATE": "updating", "ROLLBACK": "rolling back"}.get(status.split("_")[0], "")
    return Step(event["ResourceType"], event["LogicalResourceId"], state, reason or what if state != "done" else reason)  # type: ignore[arg-type]


def _looks(longest: float = _LONGEST) -> Iterator[None]:
    """At longer and longer intervals, until it has been too long."""
    wait, end = _WAITS[0], time.monotonic() + longest
    while time.monotonic() < end:
        yield
        time.sleep(wait)
        wait = min(wait * 1.5, _WAITS[1])
