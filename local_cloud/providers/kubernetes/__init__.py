"""A stand-in for the `kubernetes` provider: the real API server on one side, the real Pulumi engine on the other."""
