"""Azure's list prices: machines by the hour, disks by the month. Called by survey; needs no login.

Source of the meters' names: learn.microsoft.com "Azure Retail Prices overview", and how
Azure/karpenter-provider-azure (pkg/providers/pricing) tells Linux on-demand from Windows, spot and low priority.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kaito_components.azure.patience import Patience, TooLong, prices_endpoint

if TYPE_CHECKING:
    import httpx

SOURCE = "Azure Retail Prices API"
TRIED_AGAIN = (429, 500, 502, 503, 504)


def client(patience: Patience) -> "httpx.Client":
    """A client that asks again, as late as Retry-After says, also where an answer was cut off."""
    import httpx
    from httpx_retries import Retry, RetryTransport

    class Retries(Retry):
        def parse_retry_after(self, retry_after: str) -> float:
            seconds = super().parse_retry_after(retry_after)
            if seconds > patience.wait_seconds:
                raise TooLong(retry_after)
            return seconds

    retry = Retries(
        total=patience.tries - 1,
        backoff_factor=patience.backoff_seconds,
        status_forcelist=TRIED_AGAIN,
        validate_response=_read,
    )
    transport = RetryTransport(httpx.HTTPTransport(proxy=_proxy()), retry)
    timeout = httpx.Timeout(patience.read_seconds, connect=patience.connect_seconds)
    return httpx.Client(transport=transport, timeout=timeout, base_url=prices_endpoint())


def _read(answer: "httpx.Response") -> None:
    """Reads the answer to its end, so that a cut one is asked for again."""
    answer.read()


def _proxy() -> str | None:
    """What HTTPS_PROXY and NO_PROXY say; httpx reads them only where it makes the transport itself."""
    url = urlsplit(prices_endpoint())
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)


def machine_prices(http: "httpx.Client", size: str, region: str, currency: str) -> dict[str, float]:
    """What one machine costs an hour with Linux: `onDemand` and `spot`, each where Azure has one price for it.

    Raises:
        httpx.HTTPError: after the last try.
    """
    wanted = {"serviceName": "Virtual Machines", "armRegionName": region, "armSkuName": size}
    kinds: dict[str, set[float]] = {}
    for item in _items(http, wanted, currency):
        if kind := _kind(item):
            kinds.setdefault(kind, set()).add(float(item["retailPrice"]))
    return {kind: prices.pop() for kind, prices in kinds.items() if len(prices) == 1}


def disk_prices(http: "httpx.Client", tier: str, region: str, currency: str) -> dict[str, float]:
    """What one premium SSD of a tier such as P10 costs a month, locally redundant: `month`, where there is one price.

    Raises:
        httpx.HTTPError: after the last try.
    """
    wanted = {"serviceName": "Storage", "armRegionName": region, "skuName": f"{tier} LRS"}
    wanted["productName"] = "Premium SSD Managed Disks"
    found = {
        float(item["retailPrice"])
        for item in _items(http, wanted, currency)
        if item["meterName"] in (f"{tier} LRS Disk", f"{tier} Disks") and _is_primary(item)
    }
    return {"month": found.pop()} if len(found) == 1 else {}


def _kind(item: Mapping[str, Any]) -> str | None:
    if not _is_primary(item) or item["unitOfMeasure"] != "1 Hour" or item["productName"].endswith(" Windows"):
        return None
    if item["meterName"].endswith(" Low Priority") or item["skuName"].endswith(" Low Priority"):
        return None
    return "spot" if item["skuName"].endswith(" Spot") else "onDemand"


def _is_primary(item: Mapping[str, Any]) -> bool:
    """Not a second meter for the same thing, and not one that begins after so many units."""
    return bool(item.get("isPrimaryMeterRegion", True)) and not item.get("tierMinimumUnits")


def _items(http: "httpx.Client", wanted: Mapping[str, str], currency: str) -> Iterator[Mapping[str, Any]]:
    """All pages."""
    clauses = {**wanted, "priceType": "Consumption"}
    filter = " and ".join(f"{name} eq '{value}'" for name, value in clauses.items())
    query = {"currencyCode": f"'{currency}'", "$filter": filter}
    page = _page(http, "/api/retail/prices", query)
    while True:
        items: Iterable[Mapping[str, Any]] = page["Items"]
        yield from items
        if not page.get("NextPageLink"):
            return
        page = _page(http, page["NextPageLink"], None)


def _page(http: "httpx.Client", url: str, query: Mapping[str, str] | None) -> Mapping[str, Any]:
    answer = http.get(url, params=query)
    answer.raise_for_status()
    page: Mapping[str, Any] = answer.json()
    return page
