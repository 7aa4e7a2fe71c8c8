"""From a request to Azure's answer, over a Market. Called by server.py; no sockets here."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from local_cloud.azure_http.faults import Route
from local_cloud.azure_http.market import Market

TOKEN = "stand-in-token"  # the one that is issued, and the only one that is accepted
USAGES = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/providers/Microsoft.Compute/locations/(?P<region>[^/]+)/usages"
)
SKUS = re.compile(r"/subscriptions/(?P<subscription>[^/]+)/providers/Microsoft.Compute/skus")
CLAUSE = re.compile(r"(\w+) eq '([^']*)'")


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    base: str
    target: str
    authorization: str = field(default="", repr=False)
    body: str = field(default="", repr=False)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def route(self) -> Route:
        """What is asked for; everything that is neither ARM's nor a price is sign-in."""
        if USAGES.fullmatch(self.path):
            return "usages"
        if SKUS.fullmatch(self.path):
            return "skus"
        return "prices" if self.path == "/api/retail/prices" else "token"


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    body: Mapping[str, Any]

    @property
    def content(self) -> bytes:
        return json.dumps(self.body).encode()


def answer(request: Request, market: Market) -> Answer:
    """Azure's answer."""
    if request.route == "prices":
        return _prices(request, market)
    if request.route == "token":
        return _sign_in(request, market)
    if request.authorization != f"Bearer {TOKEN}":
        return error(401, "InvalidAuthenticationToken", "The access token is invalid.")
    pattern = USAGES if request.route == "usages" else SKUS
    found = pattern.fullmatch(request.path)
    assert found
    if found["subscription"] != market.subscription:
        return error(404, "SubscriptionNotFound", f"The subscription '{found['subscription']}' could not be found.")
    return _usages(request, market, found["region"]) if request.route == "usages" else _skus(request, market)


def error(status: int, code: str, message: str) -> Answer:
    """An error in ARM's envelope."""
    return Answer(status, {"error": {"code": code, "message": message}})


def _usages(request: Request, market: Market, region: str) -> Answer:
    if region not in market.usages:
        where = f"location '{region}' and API version '{request.query['api-version']}' for type 'locations/usages'"
        return error(400, "NoRegisteredProviderFound", f"No registered resource provider found for {where}.")
    items = [
        {"unit": "Count", "currentValue": used, "limit": limit, "name": {"value": name, "localizedValue": name}}
        for name, (used, limit) in market.usages[region].items()
    ]
    return _page(request, market, items, ("value", "nextLink"))


def _skus(request: Request, market: Market) -> Answer:
    wanted = dict(CLAUSE.findall(request.query.get("$filter", ""))).get("location")
    items = [one for one in market.skus if wanted is None or wanted in one["locations"]]
    return _page(request, market, items, ("value", "nextLink"))


def _prices(request: Request, market: Market) -> Answer:
    """The filter knows `field eq 'value'` and `and`; priceType is the name of `type` there."""
    clauses = [("type" if name == "priceType" else name, value) for name, value in _clauses(request)]
    currency = request.query.get("currencyCode", "'USD'").strip("'")
    items = [
        one
        for one in market.prices
        if one["currencyCode"] == currency and all(one.get(name) == value for name, value in clauses)
    ]
    page = _page(request, market, items, ("Items", "NextPageLink"))
    whole = {"BillingCurrency": currency, "CustomerEntityId": "Default", "CustomerEntityType": "Retail"}
    return Answer(200, {**whole, "NextPageLink": None, **page.body, "Count": len(page.body["Items"])})


def _clauses(request: Request) -> list[tuple[str, str]]:
    text = request.query.get("$filter", "")
    clauses: list[tuple[str, str]] = CLAUSE.findall(text)
    assert text == " and ".join(f"{name} eq '{value}'" for name, value in clauses), f"not understood: {text}"
    return clauses


def _page(request: Request, market: Market, items: Sequence[Any], names: tuple[str, str]) -> Answer:
    """One page, and the address of the next one if there is more."""
    start = int(request.query.get("$skip", "0"))
    end = start + market.page
    body: dict[str, Any] = {names[0]: list(items[start:end])}
    if end < len(items):
        query = urlencode({**request.query, "$skip": end})
        body[names[1]] = f"{request.base}{request.path}?{query}"
    return Answer(200, body)


def _sign_in(request: Request, market: Market) -> Answer:
    """Entra ID's two addresses that a client secret needs: where things are, and the token."""
    tenant = request.path.split("/")[1]
    if request.path.endswith("/.well-known/openid-configuration"):
        at = f"{request.base}/{tenant}"
        token, authorize = f"{at}/oauth2/v2.0/token", f"{at}/oauth2/v2.0/authorize"
        return Answer(200, {"issuer": f"{at}/v2.0", "token_endpoint": token, "authorization_endpoint": authorize})
    given = parse_qs(request.body)
    if given.get("client_secret") != [market.client_secret]:
        text = "AADSTS7000215: Invalid client secret provided."
        return Answer(401, {"error": "invalid_client", "error_description": text, "error_codes": [7000215]})
    return Answer(200, {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": TOKEN})
