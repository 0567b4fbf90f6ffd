"""MACs, the papers' conventions, latency and memory."""
