"""Objects in a store (``s3://…``, ``gs://…``, ``memory://…``) beside files of this machine.

`boxless.storage.paths.place` gives a `Path` or a `RemotePath`, which has those of a path's parts
that boxless uses, so whoever takes an `AnyPath` need not ask which it is. Objects are read and
replaced as a whole, with fsspec; credentials and endpoints are those of its package for the store.
What must be mapped into memory is copied first: `boxless.copies`.
"""
