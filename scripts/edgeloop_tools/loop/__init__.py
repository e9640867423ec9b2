"""The loop back: what was uploaded and labelled becomes a better model, or a reason why not."""
