"""The web process: health checks now; webhooks, JSON API and pages join them."""
