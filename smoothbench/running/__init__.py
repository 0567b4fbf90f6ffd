"""The stages of an experiment in order: the only room that knows them all."""
