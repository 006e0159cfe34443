"""One verb per file: read the last document, core, adapters, write the next document."""
