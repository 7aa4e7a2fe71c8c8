"""What went wrong with a question to Azure, as one sentence with a way out and without anything secret.

Of an answer only status, code and (where we have no words of our own) Azure's message are used; of an error of the
sign-in only its AADSTS number, because its text repeats what was sent. Called by survey.
"""

import re
from typing import Any

from kaito_components.azure.patience import TooLong

ADVICE = {
    "AuthorizationFailed": "the login needs the role Reader on the subscription",
    "SubscriptionNotFound": "check the subscription, and that the login is of its tenant",
    "InvalidSubscriptionId": "a subscription is an id like 00000000-0000-0000-0000-000000000000",
    "NoRegisteredProviderFound": "check the region's name: az account list-locations",
    "LocationNotAvailableForResourceType": "check the region's name: az account list-locations",
    "MissingSubscriptionRegistration": "az provider register --namespace Microsoft.Compute",
    "InvalidAuthenticationTokenTenant": "the login is of another tenant: az login --tenant",
    "InvalidAuthenticationToken": "the login is of another cloud or tenant: az login",
}
LOGIN = "az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
AADSTS = re.compile(r"AADSTS\d+")


def reason(error: Exception) -> str:
    """Why, and what to do."""
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceResponseError
    from httpx import HTTPStatusError, ReadTimeout, RemoteProtocolError

    if isinstance(error, TooLong):
        return _answered(429, "", str(error))
    code = _code(error)
    if isinstance(error, ClientAuthenticationError) and not code:
        number = AADSTS.search(str(error))
        return f"the login was refused ({number[0]}): {LOGIN}" if number else f"there is no login for Azure: {LOGIN}"
    response = error.response if isinstance(error, HttpResponseError | HTTPStatusError) else None
    if response is not None and response.status_code >= 400:
        return _answered(response.status_code, code, response.headers.get("Retry-After"))
    if isinstance(error, ServiceResponseError | HttpResponseError | ReadTimeout | RemoteProtocolError):
        return f"Azure did not answer to the end ({_kind(error)}): try again later"
    if isinstance(error, OSError | ValueError | KeyError):
        return f"Azure's answer or this machine's settings for it are not understood ({_kind(error)})"
    return f"Azure cannot be reached ({_kind(error)}): check network and proxy"


def _code(error: Any) -> str:
    """ARM's code, for example AuthorizationFailed."""
    return str(getattr(getattr(error, "error", None), "code", None) or "")


def _answered(status: int, code: str, retry_after: str | None) -> str:
    head = f"Azure answered {status} {code}".rstrip()
    if code in ADVICE:
        return f"{head}: {ADVICE[code]}"
    if status == 429:
        wait = f"; it asks to wait {retry_after} s" if retry_after else ""
        return f"{head}: too many requests{wait}: try again later"
    if status >= 500:
        return f"{head}: Azure has trouble of its own: try again later (https://azure.status.microsoft)"
    return f"{head}: check subscription, region and the login's role (Reader)"


def _kind(error: Exception) -> str:
    """The innermost error's class, which says more than the chain of texts and holds no address or token."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return type(error).__name__
