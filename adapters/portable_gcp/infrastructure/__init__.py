"""Infrastructure files for Google Cloud: ``deployment.json``, which ``portable deploy`` reads, and beside it
Terraform's ``main.tf.json``, or the script ``deploy.sh``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable.build.deployment import Deployment
from portable_gcp.infrastructure.plan import make_plan
from portable_gcp.infrastructure.script import make_script
from portable_gcp.infrastructure.terraform import make_terraform

__all__ = ["infrastructure_files"]


def infrastructure_files(deployment: Deployment) -> Mapping[str, Any]:
    """The files of a deployment, see ``portable.build.target.BuildTarget.infrastructure``."""
    plan = make_plan(deployment)
    if deployment.form == "gcloud":
        return {"deploy.sh": make_script(plan), "deployment.json": plan}
    return {"main.tf.json": make_terraform(plan), "deployment.json": plan}
