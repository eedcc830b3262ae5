"""
Streams one file to its presigned target.

A target is good for minutes and for one form. An upload that failed has no effect, so another try asks for a
new target and sends the whole file again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from html import unescape
from urllib.parse import urlsplit

from airflow_provider_kognitos.api import checks, retry
from airflow_provider_kognitos.api.errors import retry_after, shorten
from airflow_provider_kognitos.api.models import UploadTarget
from airflow_provider_kognitos.api.multipart import FormBody
from airflow_provider_kognitos.api.source import Source, find_source
from airflow_provider_kognitos.api.transport import FAILURES, Answer, NoCredentials, cannot_heal, open_session, tell
from airflow_provider_kognitos.exceptions import KognitosUploadError

#: How many targets one file may use up.
TARGETS = 3
#: Seconds. The storage may take its time over a big file once it has all of it.
ANSWER_TIMEOUT = 120.0
#: Headers that belong to this very body, whatever the service asks for.
_OWN_HEADERS = frozenset({"content-type", "content-length", "transfer-encoding", "host", "x-api-key"})
#: Error codes of the storage that another try can heal although their status says otherwise.
_PASSING = frozenset({"RequestTimeout"})


class _TargetFailedError(KognitosUploadError):
    """The upload failed in a way that a new target may heal."""

    def __init__(self, message: str, *, asked_to_wait: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = asked_to_wait


def upload(
    source: object,
    *,
    file_name: str | None,
    create_target: Callable[[str], UploadTarget],
    timeout: float,
    verify: bool | str,
    user_agent: str | None,
    attempts: int,
) -> str:
    """
    Upload a file and return its id.

    :param source: a path, an ``ObjectStoragePath``, an object-store URL, or an open binary file.
    :param file_name: its name in Kognitos, the source's own if not given.
    :param create_target: asks the service for a new target for a file of that name.
    :param timeout: seconds to connect, and to wait while sending.
    :param verify: whether to check the storage's certificate, or the path of a CA bundle.
    :param attempts: how often to try in all, but never with more than three targets.
    :raises KognitosConfigError: the file has no name, or one that cannot be.
    :raises KognitosUploadError: the source cannot be read or is too big, or the storage refused it.
    """
    found = find_source(source)
    name = checks.file_name(file_name if file_name is not None else found.file_name)
    refused = 0

    def once() -> str:
        nonlocal refused
        target = create_target(name)
        with found.reading() as file:
            answer = _send(target, found, file, name, timeout, verify, user_agent)
        if 200 <= answer.status < 300:
            return target.id
        refused += answer.status == 403
        raise _refusal(answer, target, found, first_403=refused == 1)

    try:
        return retry.call(
            once,
            attempts=min(attempts, TARGETS) if found.again else 1,
            retry=lambda error: isinstance(error, _TargetFailedError),
            total=math.inf,
        )
    except _TargetFailedError as error:
        last = str(error)
    raise KognitosUploadError(last)


def _send(
    target: UploadTarget,
    source: Source,
    file: object,
    name: str,
    timeout: float,
    verify: bool | str,
    user_agent: str | None,
) -> Answer:
    if target.method.upper() != "POST":
        raise KognitosUploadError(
            f"{source.shown} was not uploaded: Kognitos asks for an upload by {target.method[:20]!r}, and only POST "
            "is known here. A newer version of this provider may know more."
        )
    body = FormBody(target.fields, source, file, name)
    headers = {key: value for key, value in target.headers.items() if key.lower() not in _OWN_HEADERS}
    headers["Content-Type"] = body.content_type
    try:
        # A session of its own: nothing that is meant for Kognitos, the key above all, may reach the storage.
        with open_session(NoCredentials(), user_agent) as session:
            response = session.post(
                target.url,
                data=body,
                headers=headers,
                timeout=(timeout, max(timeout, ANSWER_TIMEOUT)),
                verify=verify,
                allow_redirects=False,
            )
            return Answer(response.status_code, dict(response.headers), response.content)
    except FAILURES as failure:
        told, hopeless = _redacted(tell(failure), target), cannot_heal(failure)
    raise (KognitosUploadError if hopeless else _TargetFailedError)(
        f"{source.shown} was not uploaded, the storage gave no answer: {told}. Files go to the address that Kognitos "
        f"names for them, {_host(target)}: check that this machine may reach it."
    )


def _refusal(answer: Answer, target: UploadTarget, source: Source, *, first_403: bool) -> KognitosUploadError:
    text = answer.body[:20_000].decode("utf-8", "replace")
    code, message = _element(text, "Code"), _redacted(_element(text, "Message"), target)
    said = ": ".join(part for part in (code, message) if part) or "no reason given"
    told = f"{source.shown} was not uploaded, the storage answered {answer.status} ({shorten(said)})."
    expired = answer.status == 403 and (first_403 or "expired" in message.lower())
    passing = answer.status in {408, 425, 429} or answer.status >= 500 or code in _PASSING
    if expired or passing:
        return _TargetFailedError(told, asked_to_wait=retry_after(answer.headers))
    return KognitosUploadError(told)


def _element(text: str, name: str) -> str:
    # Two words of an untrusted XML document; its other elements quote policy and signature.
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return unescape(found[1]).strip() if found else ""


def _redacted(text: str, target: UploadTarget) -> str:
    for value in (*target.fields.values(), *target.headers.values(), *_secrets_of_url(target)):
        if len(value) >= 8:
            text = text.replace(value, "***")
    return text


def _host(target: UploadTarget) -> str:
    try:
        return urlsplit(target.url).hostname or "which is none"
    except ValueError:
        return "which is none"


def _secrets_of_url(target: UploadTarget) -> tuple[str, ...]:
    return (target.url, target.url.partition("?")[2])
