"""The JSON API of the page, /api/v1/."""
