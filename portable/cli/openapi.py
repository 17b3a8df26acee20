"""Print the OpenAPI 3.1 document of the app's routes, as JSON, or as YAML with
--yaml or a file that is called so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from portable.cli.options import add_app, chosen_project

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    add_app(parser, "app", nargs="?")
    parser.add_argument(
        "--project", type=Path, default=Path(), metavar="DIR", help="the project's folder, or one in it (default: .)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it to a file")
    parser.add_argument("--yaml", action="store_true", help="as YAML (takes pyyaml)")
    parser.add_argument(
        "--server", action="append", default=[], metavar="URL", help="where the app is served; repeatable"
    )


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    from portable.build.description import imported_app
    from portable.openapi import make_document, project_info

    project = chosen_project(options)
    with imported_app(project) as app:
        document = make_document(app, project_info(project.document), options.server)
        text = _write(document, options.yaml or (options.output and options.output.suffix in (".yaml", ".yml")))
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.write_text(text, "utf-8")
    return 0


def _write(document: dict[str, Any], as_yaml: bool) -> str:
    import msgspec

    from portable.errors import ConfigError

    if not as_yaml:
        return msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"
    try:
        return msgspec.yaml.encode(document).decode()
    except ImportError as error:
        raise ConfigError("YAML takes pyyaml, not installed: pip install pyyaml; or leave out --yaml") from error
