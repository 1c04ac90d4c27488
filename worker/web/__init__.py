"""The web process: webhooks and health checks; JSON API and pages join them."""
