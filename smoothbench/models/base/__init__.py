"""Base classes and components that several models share."""
