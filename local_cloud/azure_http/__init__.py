"""A stand-in for what a preview asks Azure: Resource Manager's usages and SKUs, retail prices, sign-in. Over HTTPS.

`market` is what there is to buy, `answers` turns a request into Azure's answer, `faults` is what goes wrong on the way,
`server` listens on loopback. It answers with recorded shapes and counts nothing by itself: tests set the numbers.
"""

from local_cloud.azure_http.faults import Fault
from local_cloud.azure_http.market import Market, price, sku
from local_cloud.azure_http.server import AzureHttp

__all__ = ["AzureHttp", "Fault", "Market", "price", "sku"]
