"""Migrate results folders of earlier versions to the names and the layout of this one."""
