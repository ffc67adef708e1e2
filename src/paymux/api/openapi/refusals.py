"""The errors as the document has them: a status, what it means, and the codes that come with it."""

from typing import Any, NamedTuple

from paymux.api.errors import (
    CONFLICT,
    FORBIDDEN,
    INTERNAL,
    INVALID_ID,
    MISSING_OR_INVALID_BODY,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    TIMEOUT,
    UNAUTHENTICATED,
    VALIDATION,
)


class Refusal(NamedTuple):
    """One status: its name in the document, its meaning, its codes, and a message it may come with."""

    name: str
    meaning: str
    codes: tuple[str, ...]
    message: str


REFUSALS = {
    400: Refusal(
        "BadRequest",
        "What was asked makes no sense; the message says what would.",
        (VALIDATION, INVALID_ID, MISSING_OR_INVALID_BODY, CONFLICT),
        "sort: colour is none of id, reference, createdAt",
    ),
    401: Refusal(
        "Unauthenticated",
        "There is no token, or it is no good.",
        (UNAUTHENTICATED,),
        "Send a token: Authorization: Bearer …",
    ),
    403: Refusal(
        "Forbidden",
        "The token does not allow this.",
        (FORBIDDEN,),
        "This needs the scope payments:write, which the token does not have.",
    ),
    404: Refusal(
        "NotFound",
        "There is no such thing.",
        (NOT_FOUND,),
        "There is no such payment.",
    ),
    408: Refusal(
        "BodyTooSlow",
        "The body did not come in time.",
        (TIMEOUT,),
        "The body did not come in time.",
    ),
    409: Refusal(
        "Conflict",
        "Not as things are; the message says why.",
        (CONFLICT,),
        "The installation is being reset.",
    ),
    413: Refusal(
        "BodyTooLarge",
        "The body is larger than this service takes.",
        (MISSING_OR_INVALID_BODY,),
        "The body is larger than this service takes (PAYMUX_MAX_BODY_BYTES).",
    ),
    500: Refusal("Failed", "Ours to mend.", (INTERNAL,), "Something went wrong here; the log says what."),
    501: Refusal(
        "NotImplemented",
        "Not done by this service; the message says what is.",
        (NOT_IMPLEMENTED,),
        "This service does not do that. Move money with POST /transfer-initiations.",
    ),
    502: Refusal(
        "ProviderAway",
        "The provider could not be asked, or its answer was lost; the message says which. Try again.",
        (INTERNAL,),
        "The provider was not asked, or could not answer; surely nothing was made. Forward it again later.",
    ),
    503: Refusal(
        "Unavailable",
        "Not for the moment; the message says why. Try again.",
        (INTERNAL,),
        "The database is not available at the moment. Try again.",
    ),
    504: Refusal(
        "TooSlow",
        "It took too long. What was asked may have happened: look before asking again.",
        (TIMEOUT,),
        "This took longer than 120 seconds and was given up (PAYMUX_ANSWER_TIMEOUT).",
    ),
}


def responses() -> dict[str, Any]:
    """All of them, by name."""
    found: dict[str, Any] = {}
    for refusal in REFUSALS.values():
        schema = {
            "allOf": [{"$ref": "#/components/schemas/Error"}],
            "properties": {"errorCode": {"enum": list(refusal.codes)}},
        }
        example = {"errorCode": refusal.codes[0], "errorMessage": refusal.message}
        found[refusal.name] = {
            "description": refusal.meaning,
            "content": {"application/json": {"schema": schema, "example": example}},
        }
    found["Unauthenticated"]["headers"] = {
        "WWW-Authenticate": {"schema": {"type": "string"}, "description": "How to log in."}
    }
    return found
