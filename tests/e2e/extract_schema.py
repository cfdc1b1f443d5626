#!/usr/bin/env python3
"""Cuts what the GitHub stub checks out of GitHub's published OpenAPI description.

    npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
    extract_schema.py package/generated/api.github.com.json > github_schema.json

The whole description is 13 MB; the stub needs the request bodies of a few
operations and the required fields of their answers. The result is committed,
so that the tests need no network and a change at GitHub is a visible diff.
"""

import json
import sys

DROPPED = {"examples", "example", "description", "x-github", "externalDocs"}
REPO = "/repos/{owner}/{repo}"
OPERATIONS = {
    "create_issue": ("post", f"{REPO}/issues", "201"),
    "list_issues": ("get", f"{REPO}/issues", "200"),
    "get_issue": ("get", f"{REPO}/issues/{{issue_number}}", "200"),
    "update_issue": ("patch", f"{REPO}/issues/{{issue_number}}", "200"),
    "create_comment": ("post", f"{REPO}/issues/{{issue_number}}/comments", "201"),
    "list_comments": ("get", f"{REPO}/issues/{{issue_number}}/comments", "200"),
    "update_comment": ("patch", f"{REPO}/issues/comments/{{comment_id}}", "200"),
    "create_label": ("post", f"{REPO}/labels", "201"),
    "list_labels": ("get", f"{REPO}/labels", "200"),
    "get_repo": ("get", REPO, "200"),
}


def resolve(root, node):
    """The node with its references replaced; the description has no cycles here."""
    if isinstance(node, dict):
        if "$ref" in node:
            target = root
            for part in node["$ref"].lstrip("#/").split("/"):
                target = target[part]
            return resolve(root, target)
        return {k: resolve(root, v) for k, v in node.items() if k not in DROPPED}
    if isinstance(node, list):
        return [resolve(root, item) for item in node]
    return node


def required_fields(schema):
    """Names an answer must have: of the object itself, or of a list's items."""
    if schema.get("type") == "array":
        schema = schema["items"]
    return sorted(schema.get("required", []))


def main():
    with open(sys.argv[1], encoding="utf-8") as source:
        root = json.load(source)
    out = {"source": "GitHub REST API description, npm @octokit/openapi (MIT)", "operations": {}}
    out["version"] = root["info"]["version"]
    for name, (method, path, status) in OPERATIONS.items():
        operation = root["paths"][path][method]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        answer = resolve(root, operation["responses"][status])
        out["operations"][name] = {
            "query": sorted(
                p["name"] for p in resolve(root, operation.get("parameters", [])) if p["in"] == "query"
            ),
            "request": resolve(root, body.get("schema")) if body else None,
            "response_required": required_fields(answer["content"]["application/json"]["schema"]),
        }
    json.dump(out, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
