"""The network: knows tensors, not countries."""
