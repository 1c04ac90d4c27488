"""The pure heart: observe, plan, conflict, join, spelling, backoff. No clock, network, log or database in here."""
