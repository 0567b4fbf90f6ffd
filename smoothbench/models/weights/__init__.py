"""Published weights: where they lie, and how they are read without running code of theirs."""
