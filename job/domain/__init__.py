"""The pure nouns and rules of imports: values and decisions without I/O."""
