"""Routes, one file per resource: they read a request, ask a service, and phrase the answer."""
