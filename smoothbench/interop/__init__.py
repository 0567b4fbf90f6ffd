"""Files for and from other people's tools."""
