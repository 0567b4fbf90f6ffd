"""The embedded text-to-audio model `stable_audio_nano`, its evaluation networks, and how they were trained."""
