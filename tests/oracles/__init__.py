"""Models and metrics written anew from their equations, to test against."""
