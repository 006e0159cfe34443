"""A JSON Schema per document, and for gitops.yaml."""
