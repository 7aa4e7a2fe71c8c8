"""Stand-ins for the provider plugins `kubernetes` and `azure-native`, served to the real Pulumi engine."""
