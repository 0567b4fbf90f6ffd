"""Everything that touches a results folder: atomic files, records, identities, locks, feature caches."""
