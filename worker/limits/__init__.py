"""Rate budgets, Retry-After and the breaker: when a remote may be called. Used by `worker.sync`."""
