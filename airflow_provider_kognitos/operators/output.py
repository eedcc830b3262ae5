"""What ``.output`` of a task gives: the run dictionary, and any part of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

try:
    from airflow.sdk.definitions.xcom_arg import PlainXComArg
except ImportError:
    from airflow.models.xcom_arg import PlainXComArg  # type: ignore[attr-defined,no-redef]

RETURN_VALUE = "return_value"
#: What is in the run dictionary and nowhere else. Anything else that ``.output[...]`` names is an XCom of its own, as
#: for any operator; ``run_id`` is one that is there as soon as the run has started.
PARTS = frozenset(
    ("name", "status", "process_id", "agent_id", "stage", "created_at", "file_ids", "outputs", "url"),
)


class RunOutput(PlainXComArg):
    """
    The run dictionary that a task returns, or a part of it: ``run.output["outputs"]["total"]``.

    For Airflow itself this is the task's return value; the part is taken out of it where it is used.

    :param operator: the task.
    :param path: keys that lead to the part.
    """

    def __init__(self, operator: Any, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(operator, RETURN_VALUE)
        self.path = path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunOutput) and (self.operator, self.path) == (other.operator, other.path)

    def __getitem__(self, item: str | int) -> Any:
        if not self.path and item not in PARTS:
            return super().__getitem__(str(item))
        return RunOutput(self.operator, (*self.path, item))

    def __str__(self) -> str:
        template: str = super().__str__()
        return template.removesuffix(" }}") + "".join(f"[{key!r}]" for key in self.path) + " }}"

    def iter_references(self) -> Iterator[tuple[Any, str]]:
        """Give Airflow the task and the key, which is how it refuses to map over a part: it could not count it."""
        yield self.operator, self.key + "".join(f"[{key!r}]" for key in self.path)

    def resolve(self, context: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Return the part of the run dictionary that is meant."""
        value: Any = super().resolve(context, *args, **kwargs)
        if not self.path or isinstance(value, Mapping):
            return self._part(value)
        # Seen from outside of a mapped task group a task has as many return values as the group has instances.
        return [self._part(one) for one in value]

    def _part(self, value: Any) -> Any:
        for key in self.path:
            value = value[key]
        return value
