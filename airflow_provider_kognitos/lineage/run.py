"""
A run as OpenLineage tells it.

The one module that needs Airflow's OpenLineage provider; it is imported by the methods that this provider calls.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.openlineage.extractors import OperatorLineage
from attrs import define
from openlineage.client.event_v2 import Dataset
from openlineage.client.facet_v2 import JobFacet, RunFacet, external_query_run

#: Names under which OpenLineage knows the object stores that file systems know under several.
SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss", "wasb": "wasbs"}
#: Object stores, whose objects have names without a leading slash.
STORES = frozenset(("s3", "gs", "abfss", "wasbs"))
#: Schemes where the text before an ``@`` is a container and not a login.
CONTAINERS = frozenset(("abfss", "wasbs"))


@define
class KognitosProcessJobFacet(JobFacet):
    """
    Which process a task runs.

    :param processId: the process.
    :param agentId: its agent.
    :param stage: ``Published`` or ``Draft``.
    """

    processId: str  # noqa: N815 - as all facets are written
    agentId: str  # noqa: N815
    stage: str

    _additional_skip_redact = ["processId", "agentId", "stage"]  # noqa: RUF012 - as the base class has it


@define
class KognitosRunRunFacet(RunFacet):
    """
    The run as last seen.

    :param name: its name in Kognitos.
    :param status: its status.
    :param createdAt: when it was created, ISO 8601.
    :param url: its page in the Kognitos web UI, if that is known.
    """

    name: str
    status: str
    createdAt: str | None = None  # noqa: N815
    url: str | None = None


def lineage_of(result: Mapping[str, Any] | None, files: Sequence[str]) -> OperatorLineage[Any, Any]:
    """
    Return the facets of a run, and the files that were uploaded for it as its input datasets.

    :param result: the run as its task returns it; only its ``run_id`` if no more is known, ``None`` if no run
        is known at all.
    :param files: paths or object-store URLs.
    """
    run_facets: dict[str, RunFacet] = {}
    job_facets: dict[str, JobFacet] = {}
    if result and result.get("run_id"):
        run_facets["externalQuery"] = external_query_run.ExternalQueryRunFacet(
            externalQueryId=result["run_id"], source="kognitos"
        )
    if result and "status" in result:
        run_facets["kognitos_run"] = KognitosRunRunFacet(
            name=result["name"], status=result["status"], createdAt=result["created_at"], url=result["url"]
        )
        job_facets["kognitos_process"] = KognitosProcessJobFacet(
            processId=result["process_id"], agentId=result["agent_id"], stage=result["stage"]
        )
    return OperatorLineage(inputs=[dataset_of(file) for file in files], run_facets=run_facets, job_facets=job_facets)


def dataset_of(file: str) -> Dataset:
    """
    Return a file as the dataset that everybody who follows OpenLineage's naming calls so.

    What is no part of a name, but may be a secret, is left out: logins, queries, fragments.

    :param file: a path or an object-store URL.
    """
    if "://" not in file:
        return Dataset(namespace="file", name=os.path.abspath(os.path.expanduser(file)))
    parts = urlsplit(file)
    scheme = SCHEMES.get(parts.scheme.lower(), parts.scheme.lower())
    if scheme == "file":
        return Dataset(namespace="file", name=parts.path)
    login, _, host = parts.netloc.rpartition("@")
    # In Airflow's object-store URLs it may be a connection that stands before a container; only an account has dots.
    authority = parts.netloc if login and scheme in CONTAINERS and "." in host else host
    path = parts.path.lstrip("/") if scheme in STORES else parts.path
    return Dataset(namespace=f"{scheme}://{authority}", name=path or "/")
