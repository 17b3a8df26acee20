"""Where a resource's own logs go: the workspace that has the app's.

https://learn.microsoft.com/azure/azure-monitor/platform/diagnostic-settings
"""

from __future__ import annotations

from portable_azure.build.infrastructure.template import Template

__all__ = ["LOGS", "add_logs"]

LOGS = "logs"


def add_logs(template: Template, symbol: str, group: str) -> None:
    """Send a resource's logs of one group: ``audit`` is who read and changed what, ``allLogs`` everything."""
    said = {"workspaceId": template.id_of(LOGS), "logs": [{"categoryGroup": group, "enabled": True}]}
    template.on(f"{symbol}_logs", symbol, "Microsoft.Insights/diagnosticSettings", "logs", {"properties": said})
