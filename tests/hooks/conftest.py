from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_kognitos.api import retry
from airflow_provider_kognitos.hooks.kognitos import KognitosHook
from tests.api.service import KEY, Service, serving


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as service:
        yield service


@pytest.fixture
def hook_for(monkeypatch: pytest.MonkeyPatch) -> Callable[..., KognitosHook]:
    """Return a hook whose connection is a URI, or JSON with the fields given."""

    def hook_for(uri: str | None = None, **fields: Any) -> KognitosHook:
        fields = {"conn_type": "kognitos", "password": KEY, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_KOGNITOS_TEST", uri or json.dumps(fields))
        return KognitosHook("kognitos_test")

    return hook_for


@pytest.fixture
def hook(hook_for: Callable[..., KognitosHook], service: Service) -> KognitosHook:
    return hook_for(host=service.url, extra={"agent_id": "agent-1"})


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "sleep", lambda _: None)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
