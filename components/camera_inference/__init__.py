"""Frames to verdicts: cameras in; verdicts, reject actions and hard examples out."""
