"""Write the records of a finished run to other people's trackers, after the fact."""
