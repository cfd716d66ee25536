"""What the satellites saw: archives, scenes, pixels, composites."""
