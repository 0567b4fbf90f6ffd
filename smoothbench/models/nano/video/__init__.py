"""The embedded text-to-video model `opensora_nano`, its evaluation networks, and how they were trained."""
