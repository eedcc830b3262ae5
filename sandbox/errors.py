"""What can go wrong in the sandbox."""


class ServiceError(Exception):
    """A process of the sandbox ended, or didn't get ready. The message ends with the tail of its log."""


class AirflowApiError(Exception):
    """The REST API refused a request.

    :param status_code: HTTP status
    """

    def __init__(self, message: str, status_code: int) -> None:
        super().__init__(message)
        self.status_code = status_code


class NotReachedError(Exception):
    """Something didn't come to the awaited state in time, or ended in another one."""
