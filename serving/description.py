"""The OpenAPI document: hot routes, every error, and how a caller proves who it is."""

from typing import Any, Protocol

from fastapi import FastAPI

from serving.access.roles import RULES, Scope

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "check": {"type": "string"},
        "reason": {"type": "string"},
        "limit": {"type": "string"},
        "observed": {"type": "string"},
        "largest_lots": {"type": "string"},
    },
}
_REFUSED = {
    "description": "One sentence about what is wrong (RFC 9457)",
    "content": {"application/problem+json": {"schema": _PROBLEM}},
}
_BEARER = {"type": "http", "scheme": "bearer", "description": "an API key, where keys are set up"}


class Part(Protocol):
    """A module of plain routes that describes itself."""

    def describe(self, document: dict[str, Any]) -> None:
        """Add the routes to the document."""
        ...


def describe(app: FastAPI, parts: tuple[Part, ...]) -> None:
    """Let `app` tell of the plain routes of `parts` too, and of what every route may answer."""
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = generate()
            for part in parts:
                part.describe(found)
            _complete(found)
        return generate()

    app.openapi = document  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> None:
    document.setdefault("components", {})["securitySchemes"] = {"key": _BEARER}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            rule = RULES[method.upper(), path]
            operation["x-scope"] = rule.scope.value
            operation["security"] = [] if rule.scope is Scope.PUBLIC else [{"key": []}]
            if not path.startswith("/v2"):
                answers = operation["responses"]
                answers.pop("422", None)
                answers["4XX"] = _REFUSED
                answers.setdefault("503", _REFUSED)
