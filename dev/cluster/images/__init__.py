"""Container images: how they are made, and how nodes get them."""
