"""Names of commits and files come in; what Git holds under them, read without trust, goes out.

Nothing is imported here: the storage initializer starts with each pod and needs one module of these.
"""
