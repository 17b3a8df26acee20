"""Deploys what was built for AWS: one CloudFormation stack an app and stage, zips in a bucket of artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portable.deploy import Change, Place, Progress, Step
from portable.run.target import Artifact
from portable_aws.deploy.account import Account
from portable_aws.deploy.data import holders
from portable_aws.deploy.gateway import GatewayLogs
from portable_aws.deploy.stack import Stack

__all__ = ["DEPLOYER", "AWSDeployer"]


class AWSDeployer:
    """See ``portable.deploy.Deployer``."""

    def where(self, artifact: Artifact, place: Place) -> str:
        """Account, region and stack."""
        with Account(place) as account:
            return f"account {account.id}, {account.region}, stack {Stack(account, artifact, place).name}"

    def preview(self, artifact: Artifact, place: Place) -> Sequence[Change]:
        """By a change set, which is deleted again."""
        with Account(place) as account:
            stack = Stack(account, artifact, place)
            return [*GatewayLogs(account, stack.wanted).change(), *stack.preview()]

    def apply(self, artifact: Artifact, place: Place, progress: Progress) -> Mapping[str, str]:
        """Upload the zips that are not there yet, and execute a change set."""
        with Account(place) as account:
            stack = Stack(account, artifact, place)
            stack.upload(progress)
            GatewayLogs(account, stack.wanted).make(progress)
            stack.apply(progress)
            return stack.outputs()

    def holding(self, artifact: Artifact, place: Place) -> Sequence[str]:
        """Buckets and tables that hold data, and secrets that have a value."""
        with Account(place) as account:
            found = holders(account, Stack(account, artifact, place).resources())
            return [f"{one.kind} {one.name}" for one in found if one.holds()]

    def destroy(self, artifact: Artifact, place: Place, progress: Progress, *, with_data: bool) -> None:
        """Delete the stack, which leaves what may hold data, and then of that what is empty or is to go."""
        with Account(place) as account:
            stack = Stack(account, artifact, place)
            found = holders(account, stack.resources())
            stack.delete(progress)
            for one in found:
                if not one.is_there():
                    continue
                if with_data or not one.holds():
                    progress(Step(one.kind, one.name, "started"))
                    one.remove()
                    progress(Step(one.kind, one.name, "done", "deleted"))
                else:
                    progress(Step(one.kind, one.name, "done", "kept: it holds data"))


DEPLOYER = AWSDeployer()
