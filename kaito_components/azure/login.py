"""Who asks Azure: what the Azure provider of Pulumi is given by ARM_*, else what `az` and Azure's SDKs use.

Called by compute. No credential is kept, printed or logged here.
"""

import logging
import os
from typing import TYPE_CHECKING

from kaito_components.azure.patience import Patience, arm_endpoint

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

SERVICE_PRINCIPAL = ("ARM_TENANT_ID", "ARM_CLIENT_ID", "ARM_CLIENT_SECRET")


def credential(patience: Patience) -> "TokenCredential":
    """The login, not tried yet."""
    from azure.identity import ClientSecretCredential, DefaultAzureCredential

    logging.getLogger("azure").addHandler(logging.NullHandler())  # what fails is said in our words, once
    options = {
        "disable_instance_discovery": arm_endpoint() is not None,  # a private cloud is not in Microsoft's list
        "retry_total": patience.tries - 1,
        "connection_timeout": patience.connect_seconds,
        "read_timeout": patience.read_seconds,
    }
    tenant, client, secret = (os.environ.get(name, "") for name in SERVICE_PRINCIPAL)
    if tenant and client and secret:
        return ClientSecretCredential(tenant, client, secret, **options)
    return DefaultAzureCredential(**options)
