"""Read and write a results folder: atomic files, records, identities, locks, feature caches."""
