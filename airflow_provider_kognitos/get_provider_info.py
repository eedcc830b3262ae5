"""What Airflow learns about this provider when it starts."""

from __future__ import annotations

from typing import Any

from airflow_provider_kognitos import __version__

INTEGRATION = "Kognitos"
ASSETS = "airflow_provider_kognitos.assets.kognitos"
ASSET_URIS = {"schemes": ["kognitos"], "handler": f"{ASSETS}.sanitize_uri", "factory": f"{ASSETS}.create_asset"}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, by the schema that ships with Airflow."""
    return {
        "package-name": "airflow-provider-kognitos",
        "name": INTEGRATION,
        "description": "Business processes in plain English, run as tasks: `Kognitos <https://www.kognitos.com/>`__",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "external-doc-url": "https://docs.kognitos.com/",
                "tags": ["service"],
            }
        ],
        "hooks": _modules("hooks.kognitos"),
        "operators": _modules("operators.run", "operators.file"),
        "sensors": _modules("sensors.run"),
        "triggers": _modules("triggers.run", "triggers.event"),
        "asset-uris": [{**ASSET_URIS, "to_openlineage_converter": f"{ASSETS}.convert_asset_to_openlineage"}],
        # What Airflow 2 calls an asset.
        "dataset-uris": [ASSET_URIS],
        "extra-links": ["airflow_provider_kognitos.links.run.KognitosRunLink"],
        "connection-types": [
            {
                "connection-type": "kognitos",
                "hook-class-name": "airflow_provider_kognitos.hooks.kognitos.KognitosHook",
                "hook-name": "Kognitos",
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "port", "schema"],
                    "relabeling": {"password": "API key", "host": "API base URL"},
                    "placeholders": {"host": "only to replace the region's, e.g. http://127.0.0.1:8099"},
                },
                "conn-fields": {
                    "region": _field("Region", enum=["us", "eu", "uk"], default="us"),
                    "agent_id": _field("Agent ID", "The agent used where a task names none."),
                    "web_url": _field(
                        "Web UI URL", "Base of links to runs; known for the region us only.", format="url"
                    ),
                    "timeout": _field("Time-out (s)", "Seconds per request.", "number", default=30, minimum=1),
                    "requests_per_minute": _field(
                        "Requests per minute",
                        "Ceiling for one process; empty for none.",
                        "integer",
                        minimum=1,
                    ),
                    "deployment": _field(
                        "Deployment",
                        "Name of this Airflow where two run the same DAG ids against one agent.",
                    ),
                    "verify": _field("Verify TLS", "true, false, or the path of a CA bundle.", default="true"),
                },
            }
        ],
    }


def _modules(*names: str) -> list[dict[str, Any]]:
    return [
        {
            "integration-name": INTEGRATION,
            "python-modules": [f"airflow_provider_kognitos.{name}" for name in names],
        }
    ]


def _field(label: str, description: str = "", kind: str = "string", **schema: Any) -> dict[str, Any]:
    field: dict[str, Any] = {"label": label, "schema": {"type": [kind, "null"], **schema}}
    if description:
        field["description"] = description
    return field
