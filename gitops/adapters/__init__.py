"""One file per outside thing, the only importer of its package; they do not import each other."""
