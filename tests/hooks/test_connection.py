"""A connection as the form, the command line, a URI and JSON write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_kognitos.exceptions import KognitosConfigError
from airflow_provider_kognitos.hooks.connection import ConnectionSettings
from airflow_provider_kognitos.hooks.kognitos import KognitosHook
from tests.api.service import KEY

HookFor = Callable[..., KognitosHook]
PASSWORD = quote(KEY, safe="")


def test_the_least_that_works(hook_for: HookFor) -> None:
    assert hook_for().settings == ConnectionSettings(
        conn_id="kognitos_test",
        base_url="https://rest-api.app.kognitos.com",
        api_key=KEY,
        region="us",
        web_url="https://app.kognitos.com",
        timeout=30.0,
    )


@pytest.mark.parametrize(
    ("region", "base_url", "web_url"),
    [
        ("us", "https://rest-api.app.kognitos.com", "https://app.kognitos.com"),
        ("EU", "https://rest-api.eu.kognitos.com", None),
        (" uk ", "https://rest-api.uk.kognitos.com", None),
        ("", "https://rest-api.app.kognitos.com", "https://app.kognitos.com"),
        (None, "https://rest-api.app.kognitos.com", "https://app.kognitos.com"),
    ],
)
def test_regions(hook_for: HookFor, region: str | None, base_url: str, web_url: str | None) -> None:
    settings = hook_for(extra={"region": region}).settings
    assert (settings.base_url, settings.web_url, settings.custom_host) == (base_url, web_url, False)


EXTRA = {
    "region": "eu",
    "agent_id": "agent-1",
    "web_url": "https://kognitos.example.com/",
    "timeout": 12.5,
    "requests_per_minute": 90,
    "deployment": "blue",
    "verify": False,
}


@pytest.mark.parametrize("typed", [True, False])
def test_every_extra_typed_and_as_text(hook_for: HookFor, typed: bool) -> None:
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in EXTRA.items())
    hook = hook_for(extra=EXTRA) if typed else hook_for(f"kognitos://:{PASSWORD}@/?{query}")
    settings = hook.settings
    assert settings == ConnectionSettings(
        conn_id="kognitos_test",
        base_url="https://rest-api.eu.kognitos.com",
        api_key=KEY,
        region="eu",
        agent_id="agent-1",
        web_url="https://kognitos.example.com",
        timeout=12.5,
        requests_per_minute=90.0,
        deployment="blue",
        verify=False,
    )


def test_what_a_form_leaves_empty(hook_for: HookFor) -> None:
    empty = dict.fromkeys(EXTRA, "")
    assert hook_for(extra=empty).settings == hook_for().settings
    assert hook_for(host="", schema="", extra=dict.fromkeys(EXTRA)).settings == hook_for().settings
    assert hook_for(extra="").settings == hook_for().settings


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": "http://127.0.0.1:8099"}, "http://127.0.0.1:8099"),
        ({"host": "http://127.0.0.1:8099/v2/"}, "http://127.0.0.1:8099/v2"),
        ({"host": " https://kognitos.example.com/ "}, "https://kognitos.example.com"),
        ({"host": "kognitos.example.com"}, "https://kognitos.example.com"),
        ({"host": "kognitos.example.com", "port": 8443}, "https://kognitos.example.com:8443"),
        ({"host": "127.0.0.1:8099", "schema": "http"}, "http://127.0.0.1:8099"),
        ({"host": "127.0.0.1", "port": 8099, "schema": "http"}, "http://127.0.0.1:8099"),
        ({"host": "http://127.0.0.1", "port": 8099}, "http://127.0.0.1:8099"),
        ({"host": "http://127.0.0.1:1", "port": 8099, "schema": "https"}, "http://127.0.0.1:1"),
        ({"host": "127.0.0.1", "schema": "v2"}, "https://127.0.0.1"),
        ({"host": "http://[::1]:8099"}, "http://[::1]:8099"),
        ({"host": "https://h/behind/proxy", "port": 9}, "https://h:9/behind/proxy"),
    ],
)
def test_hosts(hook_for: HookFor, fields: dict[str, Any], base_url: str) -> None:
    settings = hook_for(**fields).settings
    assert (settings.base_url, settings.custom_host, settings.web_url) == (base_url, True, None)
    assert settings.where == base_url


@pytest.mark.parametrize(
    ("uri", "base_url"),
    [
        ("kognitos://:{key}@host.example:8099/?region=eu", "https://host.example:8099"),
        ("kognitos://:{key}@127.0.0.1:8099/http", "http://127.0.0.1:8099"),
        ("kognitos://:{key}@http%3A%2F%2F127.0.0.1%3A8099", "http://127.0.0.1:8099"),
        ("kognitos://http://:{key}@127.0.0.1:8099/", "http://127.0.0.1:8099"),
        ("kognitos://:{key}@127.0.0.1:8099/v2?agent_id=a", "https://127.0.0.1:8099"),
        ("kognitos://:{key}@/?region=uk", "https://rest-api.uk.kognitos.com"),
        ("kognitos://:{key}@", "https://rest-api.app.kognitos.com"),
        ("kognitos://:{key}@/?__extra__=%7B%22region%22%3A%20%22eu%22%7D", "https://rest-api.eu.kognitos.com"),
    ],
)
def test_uris(hook_for: HookFor, uri: str, base_url: str) -> None:
    settings = hook_for(uri.format(key=PASSWORD)).settings
    assert (settings.base_url, settings.api_key) == (base_url, KEY)


def test_web_url_with_a_host_of_ones_own(hook_for: HookFor) -> None:
    settings = hook_for(host="https://h", extra={"web_url": "http://ui.example:81/x/"}).settings
    assert settings.web_url == "http://ui.example:81/x"


@pytest.mark.parametrize(
    ("value", "read"),
    [(True, True), ("True", True), ("yes", True), (" off ", False), ("FALSE", False), ("/ca.pem", "/ca.pem")],
)
def test_verify(hook_for: HookFor, value: Any, read: Any) -> None:
    assert hook_for(extra={"verify": value}).settings.verify == read


@pytest.mark.parametrize(
    ("fields", "field", "rule"),
    [
        ({"password": ""}, "password", "must hold the API key"),
        ({"password": None}, "password", "must hold the API key"),
        ({"password": " abc-key"}, "password", "begins or ends with a space"),
        ({"password": "abc-key\n"}, "password", "begins or ends with a space or a line break"),
        ({"password": "abc key"}, "password", "printable ASCII"),
        ({"password": "abc-kéy"}, "password", "printable ASCII"),
        ({"password": "abc\x00key"}, "password", "printable ASCII"),
        ({"extra": {"region": "us-east"}}, "extra region", "one of us, eu, uk"),
        ({"extra": {"region": 5}}, "extra region", "must be a text"),
        ({"extra": {"timeout": 0}}, "extra timeout", "above 0 up to 3600"),
        ({"extra": {"timeout": "soon"}}, "extra timeout", "above 0"),
        ({"extra": {"timeout": True}}, "extra timeout", "above 0"),
        ({"extra": {"timeout": 3601}}, "extra timeout", "up to 3600"),
        ({"extra": {"timeout": [1]}}, "extra timeout", "above 0"),
        ({"extra": {"requests_per_minute": -1}}, "extra requests_per_minute", "above 0"),
        ({"extra": {"requests_per_minute": "inf"}}, "extra requests_per_minute", "above 0"),
        ({"extra": {"requests_per_minute": "nan"}}, "extra requests_per_minute", "above 0"),
        ({"extra": {"agent_id": ["a"]}}, "extra agent_id", "must be a text"),
        ({"extra": {"agent_id": "a\nb"}}, "extra agent_id", "control characters"),
        ({"extra": {"web_url": "javascript:alert(1)"}}, "extra web_url", "must be an address"),
        ({"extra": {"web_url": "app.kognitos.com"}}, "extra web_url", "must be an address"),
        ({"extra": {"verify": 1}}, "extra verify", "must be a text"),
        ({"host": "ftp://h"}, "host", "must be an address"),
        ({"host": "http://h:port"}, "host", "must be an address"),
        ({"host": "http://h?a=b"}, "host", "must be an address"),
        ({"host": "http://a b"}, "host", "must be an address"),
        ({"host": "https://me:sesame@h"}, "host", "must not hold credentials"),
        ({"host": "h", "schema": "ftp"}, "schema", "must be http or https"),
    ],
)
def test_a_field_that_cannot_work_is_named(hook_for: HookFor, fields: dict[str, Any], field: str, rule: str) -> None:
    hook = hook_for(**fields)
    with pytest.raises(KognitosConfigError) as caught:
        _ = hook.settings
    told = str(caught.value)
    assert told.startswith(f"Connection 'kognitos_test': {field} ")
    assert rule in told
    for secret in ("abc", "sesame", "kéy"):
        assert secret not in told


@pytest.mark.parametrize("extra", ["region=eu", "[1]", '"eu"', "{"])
def test_an_extra_that_is_no_object_is_not_read_as_empty(extra: str) -> None:
    class Stored:
        """As a row of a database that no Airflow would write today."""

        conn_id = "old"
        password = KEY
        host = schema = ""
        port = None

    Stored.extra = extra  # type: ignore[attr-defined]
    with pytest.raises(KognitosConfigError, match="Connection 'old': extra must be a JSON object"):
        ConnectionSettings.read(Stored())  # type: ignore[arg-type]


def test_unknown_extras_are_named(hook_for: HookFor, caplog: pytest.LogCaptureFixture) -> None:
    assert hook_for(extra={"regoin": "eu", "region": "eu"}).settings.region == "eu"
    assert "regoin" in caplog.text
    assert "Known are: region, agent_id" in caplog.text


def test_http_in_the_open_is_warned_about(hook_for: HookFor, caplog: pytest.LogCaptureFixture) -> None:
    _ = hook_for(host="http://127.0.0.1:8099").settings
    _ = hook_for(host="http://localhost:8099").settings
    assert "clear text" not in caplog.text
    _ = hook_for(host="http://kognitos.example.com").settings
    assert "clear text to kognitos.example.com" in caplog.text


def test_the_key_is_not_shown(hook_for: HookFor) -> None:
    hook = hook_for()
    assert KEY not in repr(hook.settings)
    assert KEY not in repr(hook.get_conn())
    assert KEY not in repr(vars(hook))
