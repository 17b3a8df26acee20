"""OpenAPI 3.1 from an app's routes: for tools and people, never loaded by a deployed function."""

from portable.openapi.document import make_document, project_info

__all__ = ["make_document", "project_info"]
