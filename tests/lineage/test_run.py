"""What a run tells OpenLineage, by the way Airflow's provider for it asks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow.providers.openlineage")

from airflow.providers.openlineage.extractors.base import DefaultExtractor
from openlineage.client.serde import Serde

from airflow_provider_kognitos.emulator.server import RunningEmulator
from airflow_provider_kognitos.exceptions import KognitosRunFailedError, KognitosRunTimeoutError
from airflow_provider_kognitos.lineage.run import dataset_of
from airflow_provider_kognitos.operators.run import KognitosRunOperator
from tests.operators.conftest import AGENT, KEY, emulator, quick_pauses, service  # noqa: F401 - fixtures
from tests.operators.driver import Task
from tests.operators.test_run_operator import MODES


class Told(Task):
    """A task whose operators are kept: Airflow asks the one that ran last."""

    def __init__(self, deferrable: bool, **arguments: Any) -> None:
        self.operators: list[KognitosRunOperator] = []
        arguments = {"process_id": "invoice", "poll_interval": 0.1, "max_poll_interval": 0.2, **arguments}

        def make() -> KognitosRunOperator:
            self.operators.append(KognitosRunOperator(task_id="task", deferrable=deferrable, **arguments))
            return self.operators[-1]

        super().__init__(make)

    def told(self, failed: bool = False) -> dict[str, Any]:
        extractor = DefaultExtractor(self.operators[-1])
        found = extractor.extract_on_failure(self.ti) if failed else extractor.extract_on_complete(self.ti)
        assert found is not None
        return {
            "inputs": [(item.namespace, item.name) for item in found.inputs],
            "outputs": found.outputs,
            "run": {name: Serde.to_dict(facet) for name, facet in found.run_facets.items()},
            "job": {name: Serde.to_dict(facet) for name, facet in found.job_facets.items()},
        }


@pytest.mark.parametrize("deferrable", MODES)
def test_a_run_tells_its_process_itself_and_its_files(
    emulator: RunningEmulator,  # noqa: F811
    tmp_path: Path,
    deferrable: bool,
) -> None:
    invoice = tmp_path / "invoice.pdf"
    invoice.write_text("Total: 7")
    task = Told(deferrable, files=[invoice])
    result = task.attempt()
    told = task.told()
    assert told["inputs"] == [("file", str(invoice))]
    assert told["outputs"] == []
    assert (
        told["job"]["kognitos_process"].items()
        >= {
            "processId": "invoice",
            "agentId": AGENT,
            "stage": "Published",
        }.items()
    )
    assert told["run"]["externalQuery"].items() >= {"externalQueryId": result["run_id"], "source": "kognitos"}.items()
    assert (
        told["run"]["kognitos_run"].items()
        >= {
            "name": result["name"],
            "status": "Succeeded",
            "createdAt": result["created_at"],
            "url": result["url"],
        }.items()
    )
    assert KEY not in json.dumps(told)


@pytest.mark.parametrize("deferrable", MODES)
def test_a_run_that_failed_tells_the_same(emulator: RunningEmulator, deferrable: bool) -> None:  # noqa: F811
    task = Told(deferrable, inputs={"result": "Failed"})
    with pytest.raises(KognitosRunFailedError) as caught:
        task.attempt()
    told = task.told(failed=True)
    assert told["run"]["kognitos_run"]["status"] == "Failed"
    assert told["run"]["externalQuery"]["externalQueryId"] == caught.value.run.id


@pytest.mark.parametrize("deferrable", MODES)
def test_a_wait_that_ended_before_its_run_tells_which_one(emulator: RunningEmulator, deferrable: bool) -> None:  # noqa: F811
    task = Told(deferrable, process_id="slow", timeout=0.3)
    with pytest.raises(KognitosRunTimeoutError):
        task.attempt()
    (run,) = emulator.control.runs()
    assert task.told(failed=True)["run"]["externalQuery"]["externalQueryId"] == run["id"]


def test_a_task_that_started_nothing_tells_its_files_only() -> None:
    task = Told(True, files="s3://invoices/2041.pdf")
    task.begin()
    task.make()
    assert task.told(failed=True) == {"inputs": [("s3://invoices", "2041.pdf")], "outputs": [], "run": {}, "job": {}}


@pytest.mark.parametrize(
    ("file", "namespace", "name"),
    [
        ("/data/invoice.pdf", "file", "/data/invoice.pdf"),
        ("file:///data/invoice 1.pdf", "file", "/data/invoice 1.pdf"),
        ("s3://invoices/2026/2041.pdf", "s3://invoices", "2026/2041.pdf"),
        ("s3://aws_default@invoices/2041.pdf", "s3://invoices", "2041.pdf"),
        ("s3a://invoices/2041.pdf", "s3://invoices", "2041.pdf"),
        ("gcs://invoices/2041.pdf", "gs://invoices", "2041.pdf"),
        ("abfs://azure_default@invoices/2041.pdf", "abfss://invoices", "2041.pdf"),
        (
            "abfss://invoices@account.dfs.core.windows.net/a/2041.pdf",
            "abfss://invoices@account.dfs.core.windows.net",
            "a/2041.pdf",
        ),
        ("hdfs://namenode:8020/in/2041.pdf", "hdfs://namenode:8020", "/in/2041.pdf"),
        ("https://user:secret@files.test/a.pdf?sig=secret#secret", "https://files.test", "/a.pdf"),
    ],
)
def test_files_have_the_names_that_everybody_gives_them(file: str, namespace: str, name: str) -> None:
    dataset = dataset_of(file)
    assert (dataset.namespace, dataset.name) == (namespace, name)


def test_a_local_file_has_its_whole_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert dataset_of("invoice.pdf").name == str(tmp_path / "invoice.pdf")


def test_its_facets_carry_a_schema_and_a_producer_as_all_do() -> None:
    from openlineage.client.facet_v2 import BaseFacet

    from airflow_provider_kognitos.lineage.run import KognitosProcessJobFacet, KognitosRunRunFacet

    for facet in (KognitosProcessJobFacet("p", "a", "Published"), KognitosRunRunFacet("n", "Running")):
        assert isinstance(facet, BaseFacet)
        assert {"_producer", "_schemaURL"} <= Serde.to_dict(facet).keys()


def test_nothing_of_it_is_imported_unless_asked_for() -> None:
    """In a process of its own, where the provider is installed but Airflow has not loaded it."""
    code = (
        "import sys\n"
        "import airflow_provider_kognitos.operators.run, airflow_provider_kognitos.sensors.run\n"
        "import airflow_provider_kognitos.triggers.run, airflow_provider_kognitos.hooks.kognitos\n"
        "airflow_provider_kognitos.operators.run.KognitosRunOperator(task_id='t', process_id='p')\n"
        "heavy = ('openlineage', 'airflow.providers.openlineage.extractors', 'airflow_provider_kognitos.lineage')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip().splitlines()[-1] == "[]"
