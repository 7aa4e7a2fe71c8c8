"""From a request to its tokens. Only the files here import torch, and only in the engine's own process."""
