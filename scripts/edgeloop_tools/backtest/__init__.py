"""The component's own engine over recordings."""
