"""Server-rendered pages. Rules live in engine services; a view asks, then renders or redirects."""
