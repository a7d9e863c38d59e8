"""Four methods in a small made-up world, and the world."""
