"""Caches of other libraries, made to compute every N-th evaluation, so that their cost can be set beside ours."""
