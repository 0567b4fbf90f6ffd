"""The embedded class-conditional image model `dit_nano`, its evaluation network, and how they were trained."""
