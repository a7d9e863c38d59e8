"""The shared-prefix Gemma: forward, sampling, scoring."""
