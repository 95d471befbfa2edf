"""Files: atomic writes, seals, locks, object storage, and where batches of work run."""
