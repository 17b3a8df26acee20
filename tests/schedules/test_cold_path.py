"""What a schedule costs a cold start: nothing, unless its trigger fires more often than it is due."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SCRIPT = """
import json, sys, types
sys.path[:0] = json.loads(sys.argv[1])
from portable import App
module = sys.modules["probe"] = types.ModuleType("probe")
app = module.app = App("probe")
seen = []
app.on_schedule(cron="0 8 13 * 5", timezone="Europe/Paris", function="daily")(lambda tick: seen.append(tick))
from portable_aws.runtime import entry
handle = entry("probe:app", "daily", None, "scheduler")
class Context:
    aws_request_id = "id"
    def get_remaining_time_in_millis(self): return 1000
handle({"time": "2026-03-13T07:00:00Z"}, Context())
before = [name for name in sys.modules if name.startswith(("portable.schedules", "datetime", "zoneinfo"))]
handle({"time": "2026-03-13T07:00:00Z", "portable": "overlap"}, Context())
print(json.dumps([len(seen), before, "portable.schedules.due" in sys.modules]))
"""


def test_a_schedule_is_read_only_where_the_entry_drops():
    path = json.dumps([str(ROOT), str(ROOT / "adapters")])
    done = subprocess.run([sys.executable, "-I", "-S", "-c", SCRIPT, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, [], True]
