"""Asks Azure everything that a stack's plans need, at the same time. Called by connection and cli.plan.

A question that fails costs its answer and no more: `Region.troubles` says what is not checked or old, and why.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kaito_components.azure import compute, price_cache, retail
from kaito_components.azure.failures import reason
from kaito_components.azure.patience import Patience
from kaito_components.capacity import Region
from kaito_components.prices import HOURS_A_MONTH, UnitPrice

if TYPE_CHECKING:
    import httpx

AT_A_TIME = 8
Ask = Callable[["httpx.Client", str, str, str], Mapping[str, float]]


@dataclass(frozen=True)
class Wanted:
    """What to ask. `subscription` None: nothing that needs a login. `disks` are tiers such as P10."""

    region: str
    subscription: str | None
    currency: str = "USD"
    sizes: frozenset[str] = frozenset()
    disks: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Survey:
    """What Azure said. A price that is missing is one that it does not name."""

    region: Region
    on_demand: Mapping[str, UnitPrice] = field(default_factory=dict)  # by VM size
    spot: Mapping[str, UnitPrice] = field(default_factory=dict)
    disks: Mapping[str, UnitPrice] = field(default_factory=dict)  # by tier


@dataclass(frozen=True)
class _Answer:
    """A quote, and why it could not be asked for today."""

    quote: price_cache.Quote | None
    failure: Exception | None = None


def survey(wanted: Wanted, patience: Patience | None = None) -> Survey:
    """Asks; takes as long as the slowest answer."""
    patience = patience or Patience()
    with retail.client(patience) as http, ThreadPoolExecutor(AT_A_TIME) as pool:
        checks = _checks(wanted, patience, pool)
        machines = {size: pool.submit(_quote, retail.machine_prices, http, size, wanted) for size in wanted.sizes}
        disks = {tier: pool.submit(_quote, retail.disk_prices, http, tier, wanted) for tier in wanted.disks}
    answers = {thing: one.result() for thing, one in {**machines, **disks}.items()}
    troubles = (*_unchecked(checks, wanted.region), *_unpriced(answers.values()))
    return Survey(
        Region(wanted.region, _result(checks.get("quota")), _result(checks.get("VM sizes")), troubles),
        _prices({size: answers[size] for size in machines}, "onDemand", wanted.currency),
        _prices({size: answers[size] for size in machines}, "spot", wanted.currency),
        _prices({tier: answers[tier] for tier in disks}, "month", wanted.currency, HOURS_A_MONTH),
    )


def _checks(wanted: Wanted, patience: Patience, pool: ThreadPoolExecutor) -> dict[str, Future[Any]]:
    if wanted.subscription is None:
        return {}
    service = pool.submit(compute.client, wanted.subscription, patience)
    return {
        "quota": pool.submit(lambda: compute.quotas(service.result(), wanted.region)),
        "VM sizes": pool.submit(lambda: compute.offers(service.result(), wanted.region)),
    }


def _result(asked: Future[Any] | None) -> Any:
    return asked.result() if asked and asked.exception() is None else None


def _unchecked(checks: Mapping[str, Future[Any]], region: str) -> Iterator[str]:
    """One sentence for each reason: without a login all checks fail alike."""
    failed: dict[str, list[str]] = {}
    for what, asked in checks.items():
        if (failure := asked.exception()) is not None:
            assert isinstance(failure, Exception)
            failed.setdefault(reason(failure), []).append(what)
    for why, things in failed.items():
        yield f"{' and '.join(things)} in {region} not checked: {why}"


def _unpriced(answers: Any) -> Iterator[str]:
    failures = {reason(answer.failure) for answer in answers if answer.failure}
    for why in sorted(failures):
        yield f"prices are not of today: {why}"


def _quote(ask: Ask, http: "httpx.Client", thing: str, wanted: Wanted) -> _Answer:
    """The kept quote if it is fresh, else Azure's; where Azure does not answer, the kept one however old."""
    kept = price_cache.load(thing, wanted.region, wanted.currency)
    if kept and kept.is_fresh:
        return _Answer(kept)
    try:
        prices = ask(http, thing, wanted.region, wanted.currency)
    except Exception as failure:  # whatever it is, a preview goes on without this price
        return _Answer(kept, failure)
    return _Answer(price_cache.keep(thing, wanted.region, wanted.currency, prices))


def _prices(answers: Mapping[str, _Answer], kind: str, currency: str, hours: int = 1) -> dict[str, UnitPrice]:
    """Prices an hour, of those that have one."""
    return {
        thing: UnitPrice(quote.prices[kind] / hours, retail.SOURCE, quote.asked.date().isoformat(), currency)
        for thing, answer in answers.items()
        if (quote := answer.quote) and kind in quote.prices
    }
