"""A CRM, or anything else that speaks the API in docs/connecting.md. All fields; each list has a version."""
