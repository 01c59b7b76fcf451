"""All errors that a caller may meet.

    PenstockError
    ├── RequestError            the caller's request; knows its HTTP status
    │   ├── MalformedBody             400  BAD_REQUEST
    │   ├── ReservedName              400  BAD_REQUEST
    │   ├── MissingAuth               401  MISSING_AUTH
    │   ├── InvalidApiKey             401  INVALID_API_KEY
    │   ├── ProjectDisabled           403  PROJECT_DISABLED
    │   ├── InvalidSignature          403  INVALID_SIGNATURE
    │   ├── TopicNotRegistered        403  TOPIC_NOT_REGISTERED
    │   ├── NotFound                  404  RESOURCE_NOT_FOUND
    │   ├── MethodNotAllowed          405  METHOD_NOT_ALLOWED
    │   ├── Conflict                  409  CONFLICT
    │   ├── PayloadTooLarge           413  PAYLOAD_TOO_LARGE
    │   ├── UnsupportedMediaType      415  UNSUPPORTED_MEDIA_TYPE
    │   ├── ValidationFailed          422  VALIDATION_ERROR
    │   ├── RateLimitExceeded         429  RATE_LIMIT_EXCEEDED
    │   └── HeadTooLarge              431  REQUEST_HEADER_FIELDS_TOO_LARGE
    ├── Unavailable             a part is missing or full for now; retryable
    │   ├── LogUnavailable            503  the log did not take or give records
    │   ├── LogOverloaded             503  too much waits for the log
    │   ├── TablesUnavailable         503  ClickHouse did not answer
    │   ├── TablesHeld                503  a rebuild is about to put new tables in place
    │   ├── SourceUnavailable         503  a host that a message of SNS names did not answer
    │   └── NotYetVisible             503  X-After-Position was not reached in time
    ├── TablesRefused           ClickHouse refused a statement; a retry would be refused as well
    ├── WriterFenced            another writer has taken the partition
    └── StartError              a process cannot start or go on; the text is all the user needs

`code` is the stable text for clients, `retryable` says whether the same call may succeed later. `penstock.http` alone
makes responses of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


class PenstockError(Exception):
    """The root."""

    retryable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that is wrong.

    Attributes:
        field: its name, as a path (`data.locale`).
        code: one of Zod's codes, which existing clients know, or `reserved_event`.
    """

    field: str
    message: str
    code: str


class RequestError(PenstockError):
    """The request cannot be served as it is.

    Attributes:
        status: the HTTP status.
        suggestion: what would make it right, "" where the message says all.
    """

    status: ClassVar[int]
    code: ClassVar[str]

    def __init__(self, message: str, *, suggestion: str = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.suggestion = suggestion
        self.details = dict(details or {})
        self.field_errors: Sequence[FieldError] = ()
        self.headers: dict[str, str] = {}


class MalformedBody(RequestError):
    """The body, or a header that must be well formed, cannot be read."""

    status = 400
    code = "BAD_REQUEST"


class ReservedName(RequestError):
    """A name of the product's own events, where only names of callers can stand."""

    status = 400
    code = "BAD_REQUEST"


class MissingAuth(RequestError):
    """There is no `Authorization: Bearer <key>`."""

    status = 401
    code = "MISSING_AUTH"

    def __init__(self) -> None:
        super().__init__(
            "The Authorization header is missing or malformed",
            suggestion="Send the header 'Authorization: Bearer <key>'.",
        )
        self.headers = {"WWW-Authenticate": "Bearer"}


class InvalidApiKey(RequestError):
    """The key is unknown, revoked, or of the wrong kind."""

    status = 401
    code = "INVALID_API_KEY"

    def __init__(self, message: str = "The API key is unknown or revoked", suggestion: str = "") -> None:
        super().__init__(message, suggestion=suggestion)
        self.headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class ProjectDisabled(RequestError):
    """A write to a disabled project."""

    status = 403
    code = "PROJECT_DISABLED"

    def __init__(self) -> None:
        super().__init__("The project is disabled and takes no events", suggestion="penstock project enable ID")


class InvalidSignature(RequestError):
    """A message that claims to be of SNS is not, or that cannot be told."""

    status = 403
    code = "INVALID_SIGNATURE"


class TopicNotRegistered(RequestError):
    """A message of an SNS topic that belongs to no project."""

    status = 403
    code = "TOPIC_NOT_REGISTERED"


class NotFound(RequestError):
    """No such route or object."""

    status = 404
    code = "RESOURCE_NOT_FOUND"


class MethodNotAllowed(RequestError):
    """The route does not have the method."""

    status = 405
    code = "METHOD_NOT_ALLOWED"


class Conflict(RequestError):
    """What there is by now does not let it happen."""

    status = 409
    code = "CONFLICT"


class PayloadTooLarge(RequestError):
    """The decompressed body, or the number of events in it, is over the limit."""

    status = 413
    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(RequestError):
    """The body's type or encoding is not one that the route reads."""

    status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"


class ValidationFailed(RequestError):
    """Fields or parameters are wrong; all of them are named."""

    status = 422
    code = "VALIDATION_ERROR"

    def __init__(self, field_errors: Sequence[FieldError]) -> None:
        super().__init__("Request validation failed")
        self.field_errors = tuple(field_errors)


class RateLimitExceeded(RequestError):
    """The project used up what it may ask of a process in a time. Nothing of the request was done."""

    status = 429
    code = "RATE_LIMIT_EXCEEDED"
    retryable = True

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message, suggestion="Send it again after the seconds in Retry-After.")
        self.headers = {"Retry-After": str(retry_after_seconds)}


class HeadTooLarge(RequestError):
    """The URL and the headers are over the limit."""

    status = 431
    code = "REQUEST_HEADER_FIELDS_TOO_LARGE"

    def __init__(self) -> None:
        super().__init__("The URL and the headers of the request are too large")


class Unavailable(PenstockError):
    """A part cannot do its work for now; the same call may succeed later.

    Attributes:
        retry_after_seconds: when it is worth another try.
    """

    retryable = True

    def __init__(self, message: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_seconds = retry_after_seconds


class LogUnavailable(Unavailable):
    """The log did not confirm the events: they may or may not be there, so an exact retry needs an idempotency key."""


class LogOverloaded(Unavailable):
    """More waits for the log than memory is set aside for, in all or of the project. Nothing of the call was taken."""


class TablesUnavailable(Unavailable):
    """ClickHouse did not answer, or answered that it cannot for now."""


class TablesHeld(Unavailable):
    """No writer may claim partitions for the moment, as a rebuild is about to put new tables in place."""


class SourceUnavailable(Unavailable):
    """A host that a message of SNS names did not answer; SNS sends the message again."""


class NotYetVisible(Unavailable):
    """The position of `X-After-Position` was not visible in time."""


class TablesRefused(PenstockError):
    """ClickHouse refused a statement or its data.

    Attributes:
        number: ClickHouse's error code (`system.errors`), 0 where it gave none.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class WriterFenced(PenstockError):
    """Another writer has claimed the partition: this one must stop writing it."""


class StartError(PenstockError):
    """What keeps a process from starting or going on, in words for the person who started it."""
