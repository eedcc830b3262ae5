"""The bodies of the API. Descriptions say what the vendor documents and what is inferred."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from airflow_provider_kognitos.emulator.scenario import Json, Stage

INFERRED = {"x-inferred": True}
Identifier = Annotated[str, Field(min_length=1, max_length=26, pattern=r"^[a-zA-Z0-9-_]+$")]


class NamedValue(BaseModel):
    """An input or an output. Pairs of name and value are documented; that a value may be any JSON is inferred."""

    name: Annotated[str, Field(description="Documented.", examples=["order_id"])]
    value: Annotated[Json, Field(description="Inferred: any JSON. Samples show texts and integers.")]


class CreateRunRequest(BaseModel):
    """Documented, but for the form of the inputs: the migration guide shows an object, the reference a list."""

    agent_id: Identifier
    process_id: Identifier
    name: Annotated[str, Field(min_length=1, max_length=100, description="Documented: a name for this run.")]
    stage: Stage
    inputs: list[NamedValue] | None = None
    file_ids: list[str] | None = None


class CreateFileRequest(BaseModel):
    """Documented."""

    file_name: Annotated[str, Field(min_length=1, max_length=256)]
    agent_id: Annotated[
        Identifier | None, Field(description="May be left out with an agent's key; one page calls it required.")
    ] = None


class ProcessResource(BaseModel):
    """Documented; which fields are required is inferred."""

    id: str
    name: str
    agent_id: str
    stage: Stage


class RunResource(BaseModel):
    """Every field is documented by samples; which are required, and which may be null, is inferred."""

    id: str
    name: str
    process_id: str
    agent_id: str
    stage: Stage
    status: Annotated[
        str,
        Field(
            description="Documented: Pending, Running, Succeeded, Failed, Cancelled, TimedOut; Created in samples "
            "only. The vendor's enum was never seen.",
            json_schema_extra=INFERRED,
        ),
    ]
    created_at: Annotated[str, Field(description="Documented: ISO 8601 without a zone. Inferred: UTC.")]
    file_ids: list[str] | None
    outputs: Annotated[list[NamedValue] | None, Field(description="Null in the sample of a list of succeeded runs.")]


class ProcessList(BaseModel):
    """Documented; the type of the items is inferred."""

    items: list[ProcessResource] | None
    continuation_token: str | None


class RunList(BaseModel):
    """Documented; the type of the items is inferred."""

    items: list[RunResource] | None
    continuation_token: str | None


class FileResource(BaseModel):
    """A presigned form POST. Documented; which fields are required is inferred."""

    id: Annotated[str, Field(description="Documented twice: an s3 URI, and 25 characters.")]
    file_name: str
    upload_url: str
    upload_http_method: str
    upload_http_headers: dict[str, str]
    upload_fields: dict[str, str]


class HealthResource(BaseModel):
    """Documented."""

    status: str


class ErrorModel(BaseModel):
    """Documented; which fields are required, and what a detail has in it, is inferred."""

    status_code: int
    message: str
    details: list[Any] | None = None


def answers(*codes: int, documented: tuple[int, ...] = ()) -> dict[int | str, dict[str, Any]]:
    """
    Return the error answers of an endpoint.

    :param documented: those whose number is documented; it is inferred for all others.
    """
    texts = {
        400: "Invalid input values. The text is documented; the number for POST /files only.",
        401: "Inferred: an invalid or revoked key. The text is documented.",
        403: "Documented for a start over the limit of concurrent runs; inferred for a key.",
        404: "Not found. The text is documented; the number for POST /files only.",
        429: "Inferred: too many requests. That there is a shared limit is documented.",
        503: "Inferred: not OK.",
    }
    shown: dict[int | str, dict[str, Any]] = {
        code: {"model": ErrorModel, "description": texts[code], **({} if code in documented else INFERRED)}
        for code in (*codes, 401, 429)
    }
    return {**shown, "default": {"description": "Inferred: anything else, in any form.", **INFERRED}}


def answer(model: type[BaseModel], description: str, *, inferred: bool = False) -> dict[str, Any]:
    """Return a success answer."""
    return {"model": model, "description": description, **(INFERRED if inferred else {})}
