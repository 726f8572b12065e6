"""The product under fire: everything is killed at any moment, and an independent judge looks at what is left."""
