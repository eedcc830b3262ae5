"""How a death ends: in words, as the README and the matrix have it, and in numbers that can be checked."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

#: Of Airflow, oldest first.
SUPPORTED = ("2.11", "3.1", "3.2", "3.3")
HERE = ".".join(version("apache-airflow").split(".")[:2])


@dataclass(frozen=True)
class Ending:
    """
    What is expected of a task instance in the end.

    :param words: for the matrix
    :param runs: how many runs were started for it, where Airflow's own races decide any of these
    :param returns: which of them the task returned, counted as in a list; ``None`` when it returns nothing
    :param state: the task's
    :param retried: whether more than one attempt was made; ``None`` when either is right
    :param says: what the log of the last attempt says
    :param silent: what it doesn't say
    :param uploads: how many files were uploaded
    """

    words: str
    runs: tuple[int, ...] = (1,)
    returns: int | None = 0
    state: str = "success"
    retried: bool | None = True
    says: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    uploads: int = 0

    def on(self, airflow: str) -> Ending:
        """The same on every Airflow."""
        return self


ADOPTS = "Adopted Kognitos run"
GOES_ON = "goes on: the API has no cancel"

ADOPTED = Ending("adopted", says=(ADOPTS,))
STARTED = Ending("started by the retry", silent=(ADOPTS,))
ANEW = Ending("a new run", runs=(2,), returns=1, silent=(ADOPTS,))
ANEW_WARNING = Ending("a new run, with a warning", runs=(2,), returns=1, says=("of before goes on",), silent=(ADOPTS,))
WARNED = Ending("adopted or a new run, with a warning", runs=(1, 2), returns=-1, says=("with other inputs",))
UNDISTURBED = Ending("undisturbed", retried=False, silent=(ADOPTS,))
FOUND = Ending("found by its name", retried=False, says=("The start request had created Kognitos run",))
SENT_AGAIN = Ending("sent once more", retried=False, says=("sending the start request once more",))
UNCERTAIN = Ending("refused as uncertain", returns=None, state="failed", says=("KognitosStartUncertainError",))


@dataclass(frozen=True)
class Since:
    """
    What differs with Airflow's version.

    :param airflow: the first version that ends so
    :param ending: how
    :param before: how it ends on older ones
    """

    airflow: str
    ending: Ending
    before: Ending

    def on(self, airflow: str) -> Ending:
        """What is expected on an Airflow."""
        return self.ending if _order(airflow) >= _order(self.airflow) else self.before


def with_store(ending: Ending, without: Ending) -> Since:
    """What differs with the task state store: without one, the search of the run list has to do alone."""
    return Since("3.3", ending, without)


def _order(airflow: str) -> list[int]:
    return [int(part) for part in airflow.split(".")]
