"""What runs images: pods, what keeps so many of them, and the triggers that move them to a tag's newest image."""
