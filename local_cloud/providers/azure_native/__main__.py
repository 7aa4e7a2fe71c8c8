"""The plugin executable: `python -m local_cloud.providers.azure_native ENGINE_ADDRESS`."""

import os
import sys

from local_cloud.providers.azure_native.provider import AzureNative
from local_cloud.providers.wire import serve

if __name__ == "__main__":
    if "KAITO_LOCAL_CLOUD" not in os.environ:
        sys.exit("azure-native stand-in: KAITO_LOCAL_CLOUD names no local cloud (see `python -m local_cloud env`)")
    serve(AzureNative(os.environ["KAITO_LOCAL_CLOUD"]))
