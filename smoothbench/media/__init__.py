"""Encode samples as files (images, audio, video) and decode them again."""
